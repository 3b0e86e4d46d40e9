#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Minima of k hashes of a set, and their seed.
struct min_hash_signature {
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> minima;
  bool operator==(min_hash_signature const&) const = default;
};

/// The share of equal entries: an unbiased estimate of |A and B| / |A or B|.
inline double jaccard(min_hash_signature const& a, min_hash_signature const& b) {
  check_argument(a.seed == b.seed && a.minima.size() == b.minima.size() && !a.minima.empty(), "jaccard", "an operand", "of other parameters",
                 "of the same k and seed");
  std::int64_t equal = 0;
  for (std::size_t i = 0; i < a.minima.size(); ++i) equal += a.minima[i] == b.minima[i];
  return static_cast<double>(equal) / static_cast<double>(a.minima.size());
}

/// MinHash signatures of sets of 64-bit ids (Broder 1997) (host only): the signature of a union is the elementwise minimum.
struct min_hash {
  using input = std::uint64_t;
  using state = min_hash_signature;
  using output = min_hash_signature;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  int k = 128;
  std::uint64_t seed = 0;

  state identity() const {
    check_argument(k >= 1, "min_hash", "k", k, "1 or more");
    return {own_seed(seed, tags::rank_hash), std::vector<std::uint64_t>(static_cast<std::size_t>(k), ~std::uint64_t{0})};
  }
  state lift(input const& id) const {
    state s = identity();
    absorb(s, id);
    return s;
  }
  void absorb(state& s, input const& id) const {
    for (std::size_t i = 0; i < s.minima.size(); ++i) {
      std::uint64_t const h = rank_hash(s.seed, id, static_cast<std::uint32_t>(i));
      if (h < s.minima[i]) s.minima[i] = h;
    }
  }
  state combine(state const& a, state const& b) const {
    check_argument(a.seed == b.seed && a.minima.size() == b.minima.size(), "min_hash", "an operand", "of other parameters", "of the same k and seed");
    state s = a;
    for (std::size_t i = 0; i < s.minima.size(); ++i)
      if (b.minima[i] < s.minima[i]) s.minima[i] = b.minima[i];
    return s;
  }
  output lower(state const& s) const { return s; }
};

/// The k ids of smallest hash, ascending by (hash, id): a uniform sample of the distinct ids.
struct bottom_k_state {
  std::uint64_t seed = 0;
  int k = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> entries;
  bool operator==(bottom_k_state const&) const = default;

  /// `(k - 1) / h_k` with hashes scaled to (0, 1]; their number where there are fewer than k.
  double distinct() const {
    if (static_cast<std::int64_t>(entries.size()) < k) return static_cast<double>(entries.size());
    double const h = (static_cast<double>(entries.back().first) + 1.0) * 0x1p-64;
    return static_cast<double>(k - 1) / h;
  }
};

/// A uniform sample of k distinct 64-bit ids that does not depend on order or repetition (host only).
struct bottom_k_sample {
  using input = std::uint64_t;
  using state = bottom_k_state;
  using output = bottom_k_state;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  int k = 256;
  std::uint64_t seed = 0;

  state identity() const {
    check_argument(k >= 1, "bottom_k_sample", "k", k, "1 or more");
    return {own_seed(seed, tags::rank_hash), k, {}};
  }
  state lift(input const& id) const {
    state s = identity();
    s.entries.emplace_back(rank_hash(s.seed, id), id);
    return s;
  }
  state combine(state const& a, state const& b) const {
    check_argument(a.seed == b.seed && a.k == b.k, "bottom_k_sample", "an operand", "of other parameters", "of the same k and seed");
    state s{a.seed, a.k, {}};
    std::size_t i = 0, j = 0;
    while (s.entries.size() < static_cast<std::size_t>(s.k) && (i < a.entries.size() || j < b.entries.size())) {
      bool const take_b = i == a.entries.size() || (j < b.entries.size() && b.entries[j] < a.entries[i]);
      auto const& e = take_b ? b.entries[j++] : a.entries[i++];
      if (s.entries.empty() || s.entries.back() != e) s.entries.push_back(e);
    }
    return s;
  }
  output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
