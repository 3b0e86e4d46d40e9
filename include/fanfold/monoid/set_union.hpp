#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Union of sets of items of an ordered type, kept as sorted vectors (host only).
template <class T>
struct set_union {
  using input = T;
  using state = std::vector<T>;
  using output = std::vector<T>;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  state identity() const { return {}; }
  state lift(input const& x) const { return {x}; }
  state combine(state const& a, state const& b) const {
    state s;
    s.reserve(a.size() + b.size());
    std::size_t i = 0, j = 0;
    while (i < a.size() || j < b.size()) {
      if (j == b.size() || (i < a.size() && a[i] < b[j]))
        s.push_back(a[i++]);
      else if (i == a.size() || b[j] < a[i])
        s.push_back(b[j++]);
      else {
        s.push_back(a[i]);
        ++i, ++j;
      }
    }
    return s;
  }
  output lower(state const& s) const { return s; }
};

/// Union of subsets of {0, ..., N - 1} as bits, for host and device; other items are left out.
template <int N>
struct bit_set_union {
  static constexpr int words = (N + 63) / 64;
  using input = std::int32_t;
  using state = small_array<std::uint64_t, words>;
  using output = state;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    if (x >= 0 && x < N) s[x / 64] = std::uint64_t{1} << (x % 64);
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int i = 0; i < words; ++i) s[i] = a[i] | b[i];
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
  /// How many items are in the set.
  FANFOLD_HD static constexpr int count(state const& s) {
    int n = 0;
    for (int i = 0; i < words; ++i) n += math::popcount(s[i]);
    return n;
  }
};

/// The free monoid: items in their order (host only). Not commutative.
template <class T>
struct concatenation {
  using input = T;
  using state = std::vector<T>;
  using output = std::vector<T>;
  static constexpr law laws = law::associative | law::bitwise;

  state identity() const { return {}; }
  state lift(input const& x) const { return {x}; }
  void absorb(state& s, input const& x) const { s.push_back(x); }
  state combine(state const& a, state const& b) const {
    state s = a;
    s.insert(s.end(), b.begin(), b.end());
    return s;
  }
  output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
