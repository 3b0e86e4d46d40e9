#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/fold/bin.hpp"

// How many rows an expert's bin occupies in row space. Each layout is a `row_layout` with, besides, `bound(assignments, experts)`: the most
// rows a plan can have.
namespace fanfold::inline FANFOLD_ABI::dispatch {

/// A bin occupies its kept assignments rounded up to `alignment` rows, an empty one none. Alignment 1: dense, dropless.
struct packed {
  std::int64_t alignment = 1;

  FANFOLD_HD constexpr std::int64_t rows(std::int64_t kept) const { return (kept + alignment - 1) / alignment * alignment; }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t) const { return most_rows; }
  FANFOLD_HD constexpr std::int64_t bound(std::int64_t assignments, std::int64_t experts) const {
    std::int64_t const each_its_own = assignments * alignment, all_bins = assignments + experts * (alignment - 1);
    return rows(each_its_own < all_bins ? each_its_own : all_bins);
  }
  FANFOLD_HD constexpr bool valid() const { return alignment >= 1; }
};

/// Every bin has exactly `slots` rows; further assignments are dropped.
struct capacity {
  std::int64_t slots = 0;

  FANFOLD_HD constexpr std::int64_t rows(std::int64_t) const { return slots; }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t) const { return slots; }
  FANFOLD_HD constexpr std::int64_t bound(std::int64_t, std::int64_t experts) const { return slots * experts; }
  FANFOLD_HD constexpr bool valid() const { return slots >= 0; }
};

/// Like `capacity`, but payload rows past a bin's kept ones are unspecified: nobody writes or reads them. A static shape for graph capture.
struct masked {
  std::int64_t slots = 0;
  static constexpr bool leaves_padding = true;

  FANFOLD_HD constexpr std::int64_t rows(std::int64_t) const { return slots; }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t) const { return slots; }
  FANFOLD_HD constexpr std::int64_t bound(std::int64_t, std::int64_t experts) const { return slots * experts; }
  FANFOLD_HD constexpr bool valid() const { return slots >= 0; }
};

/// Whether payload rows that are padding stay as they are instead of being set to zero.
template <class L>
inline constexpr bool leaves_padding = requires { L::leaves_padding; };

/// A row_layout that knows its bound beforehand.
template <class L>
concept plan_layout = row_layout<L> && requires(L const& l, std::int64_t n) {
  { l.bound(n, n) } -> std::convertible_to<std::int64_t>;
  { l.valid() } -> std::convertible_to<bool>;
};

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
