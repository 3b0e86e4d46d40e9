#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/layout.hpp"
#include "fanfold/fold/bin.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Pure index data that carries T tokens of K slots to the rows of E experts, for any number of tensors, forward and backward.
/// Assignment a = t * K + s. Rows pull from tokens by `src_of`, tokens pull from rows by `row_of`.
struct plan_view {
  view<std::int64_t> offsets{};  ///< [E + 1] first row of each expert; offsets[E] = R rows
  view<std::int32_t> counts{};   ///< [E] assignments requested
  view<std::int32_t> kept{};     ///< [E] assignments placed
  view<std::int32_t> row_of{};   ///< [T * K] assignment -> row, -1: dropped or unused
  view<std::int32_t> src_of{};   ///< [at least R] row -> assignment, -1: padding
  std::int64_t tokens = 0;
  std::int64_t slots = 0;
  bool leaves_padding = false;  ///< padding rows of payloads are neither written nor read

  FANFOLD_HD constexpr std::int64_t experts() const { return counts.size(); }
  FANFOLD_HD constexpr std::int64_t assignments() const { return tokens * slots; }
  /// The most rows there can be: what a buffer of rows must offer.
  FANFOLD_HD constexpr std::int64_t row_bound() const { return src_of.size(); }
  /// Rows in use; reads the plan.
  FANFOLD_HD constexpr std::int64_t rows() const { return offsets.size() == 0 ? 0 : offsets[offsets.size() - 1]; }
};

/// A plan that owns its host memory, sized for the worst case of its layout.
class dispatch_plan {
 public:
  dispatch_plan() = default;
  template <plan_layout L>
  dispatch_plan(L const& layout, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
    resize(layout, tokens, slots, experts);
  }

  /// New sizes; memory is reused where it suffices.
  template <plan_layout L>
  void resize(L const& layout, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
    check_argument(tokens >= 0 && slots >= 0 && experts >= 0, "dispatch_plan", "a size", tokens < 0 ? tokens : slots < 0 ? slots : experts, "0 or more");
    check_argument(layout.valid(), "dispatch_plan", "layout", "invalid", "an alignment of 1 or more, or a capacity of 0 or more");
    std::int64_t const bound = layout.bound(tokens * slots, experts);
    check_argument(bound <= most_rows, "dispatch_plan", "bound on the rows", bound, "at most 2^31 - 1");
    auto const fit = [](auto& v, std::int64_t n) { v.resize(static_cast<std::size_t>(n)); };
    fit(offsets_, experts + 1), fit(counts_, experts), fit(kept_, experts), fit(row_of_, tokens * slots), fit(src_of_, bound);
    tokens_ = tokens;
    slots_ = slots;
    leaves_padding_ = leaves_padding<L>;
  }

  plan_view view() { return {offsets_, counts_, kept_, row_of_, src_of_, tokens_, slots_, leaves_padding_}; }

 private:
  std::vector<std::int64_t> offsets_;
  std::vector<std::int32_t> counts_, kept_, row_of_, src_of_;
  std::int64_t tokens_ = 0, slots_ = 0;
  bool leaves_padding_ = false;
};

/// Memory for a plan in a workspace, so in the executor's memory; unset until `make_plan`.
template <plan_layout L>
plan_view take_plan(workspace::frame& frame, L const& layout, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  check_argument(layout.valid(), "take_plan", "layout", "invalid", "an alignment of 1 or more, or a capacity of 0 or more");
  return {frame.take<std::int64_t>(experts + 1), frame.take<std::int32_t>(experts), frame.take<std::int32_t>(experts),
          frame.take<std::int32_t>(tokens * slots), frame.take<std::int32_t>(layout.bound(tokens * slots, experts)), tokens, slots, leaves_padding<L>};
}

/// Bytes that `take_plan` takes.
template <plan_layout L>
std::size_t plan_bytes(L const& layout, std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  auto const maps = static_cast<std::size_t>(tokens * slots + layout.bound(tokens * slots, experts) + 2 * experts);
  return maps * sizeof(std::int32_t) + static_cast<std::size_t>(experts + 1) * sizeof(std::int64_t) + 5 * workspace::alignment;
}

/// Whether the plan keeps its promises: offsets rise from 0, kept is at most counts and the bin's rows, both maps are inverse, padding
/// comes last in each bin, and bins hold increasing assignments where `token_major`. Reads the data, so host memory only.
inline bool validate_plan(plan_view const& plan, bool token_major = true) {
  if (plan.offsets.size() != plan.experts() + 1 || plan.offsets[0] != 0 || plan.row_of.size() != plan.assignments()) return false;
  if (plan.rows() > plan.row_bound()) return false;
  std::int64_t placed = 0;
  for (std::int64_t e = 0; e < plan.experts(); ++e) {
    std::int64_t const first = plan.offsets[e], last = plan.offsets[e + 1];
    if (plan.kept[e] < 0 || plan.kept[e] > plan.counts[e] || plan.kept[e] > last - first) return false;
    placed += plan.kept[e];
    for (std::int64_t r = first; r < last; ++r) {
      std::int32_t const a = plan.src_of[r];
      if ((r - first < plan.kept[e]) != (a >= 0) || a >= plan.assignments()) return false;
      if (a >= 0 && plan.row_of[a] != r) return false;
      if (token_major && a >= 0 && r > first && plan.src_of[r - 1] >= a) return false;
    }
  }
  for (std::int64_t a = 0; a < plan.assignments(); ++a) placed -= plan.row_of[a] >= 0;
  return placed == 0;
}

/// First token that names an expert twice, or -1. Host memory only.
inline std::int64_t validate_distinct(matrix_view<std::int32_t const> ids) {
  for (std::int64_t t = 0; t < ids.rows(); ++t)
    for (std::int64_t s = 1; s < ids.cols(); ++s)
      for (std::int64_t earlier = 0; earlier < s; ++earlier)
        if (ids(t, s) >= 0 && ids(t, s) == ids(t, earlier)) return t;
  return -1;
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
