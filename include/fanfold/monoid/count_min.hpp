#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Counters of a count-min sketch, rows one after the other.
struct count_min_table {
  std::int64_t width = 0;
  int depth = 0;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> counts;
  bool operator==(count_min_table const&) const = default;

  std::size_t slot(int row, std::uint64_t id) const {
    return static_cast<std::size_t>(row) * static_cast<std::size_t>(width) +
           static_cast<std::size_t>(rank_hash(seed, id, static_cast<std::uint32_t>(row)) % static_cast<std::uint64_t>(width));
  }
  /// Never less than the true count; more than it by e n / width with a probability of at most e^-depth.
  std::uint64_t count(std::uint64_t id) const {
    std::uint64_t least = ~std::uint64_t{0};
    for (int r = 0; r < depth; ++r) {
      std::uint64_t const c = counts[slot(r, id)];
      if (c < least) least = c;
    }
    return least;
  }
};

/// Frequencies of 64-bit ids (Cormode, Muthukrishnan 2005) (host only). Plain updates: the conservative update does not merge.
struct count_min {
  using input = std::uint64_t;
  using state = count_min_table;
  using output = count_min_table;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;

  std::int64_t width = 2048;
  int depth = 5;
  std::uint64_t seed = 0;

  state identity() const {
    check_argument(width >= 1, "count_min", "width", width, "1 or more");
    check_argument(depth >= 1, "count_min", "depth", depth, "1 or more");
    return {width, depth, own_seed(seed, tags::rank_hash), std::vector<std::uint64_t>(static_cast<std::size_t>(width) * static_cast<std::size_t>(depth))};
  }
  state lift(input const& id) const {
    state s = identity();
    absorb(s, id);
    return s;
  }
  void absorb(state& s, input const& id) const {
    for (int r = 0; r < s.depth; ++r) ++s.counts[s.slot(r, id)];
  }
  state combine(state const& a, state const& b) const {
    state s = checked(a, b);
    for (std::size_t i = 0; i < s.counts.size(); ++i) s.counts[i] += b.counts[i];
    return s;
  }
  state subtract(state const& whole, state const& part) const {
    state s = checked(whole, part);
    for (std::size_t i = 0; i < s.counts.size(); ++i) s.counts[i] -= part.counts[i];
    return s;
  }
  output lower(state const& s) const { return s; }

 private:
  static state checked(state const& a, state const& b) {
    check_argument(a.width == b.width && a.depth == b.depth && a.seed == b.seed, "count_min", "an operand", "of other parameters",
                   "of the same width, depth and seed");
    return a;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
