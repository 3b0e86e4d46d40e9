#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// A solution and its M objectives; more is better in all of them.
template <class T, int M>
struct solution {
  small_array<T, M> value{};
  std::int32_t id = 0;
};

/// a is at least as good as b everywhere and better somewhere.
template <class T>
constexpr bool dominates(view<T const> a, view<T const> b) {
  bool better = false;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    if (!(a[i] >= b[i])) return false;
    better = better || a[i] > b[i];
  }
  return better;
}

/// The set of solutions that no other one dominates, equal ones kept once under their smallest id, in descending order of their objectives.
/// Union and pruning are associative, commutative and idempotent to the bit, so archives of generations and machines merge in any way.
/// A solution with a NaN objective is left out. Host only.
template <class T, int M>
struct pareto_archive {
  using input = solution<T, M>;
  using state = std::vector<input>;
  using output = state;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  state identity() const { return {}; }
  state lift(input const& x) const {
    for (T v : x.value)
      if (v != v) return {};
    return {x};
  }
  state combine(state const& a, state const& b) const {
    state merged;
    merged.reserve(a.size() + b.size());
    std::size_t i = 0, j = 0;
    while (i < a.size() || j < b.size()) {
      bool const left = j == b.size() || (i < a.size() && compare(a[i], b[j]) >= 0);
      input const& x = left ? a[i] : b[j];
      int const order = i < a.size() && j < b.size() ? compare(a[i], b[j]) : 1;
      if (order == 0) {  // equal objectives
        merged.push_back(a[i].id <= b[j].id ? a[i] : b[j]);
        ++i, ++j;
      } else {
        merged.push_back(x);
        ++(left ? i : j);
      }
    }
    // in descending order only an earlier solution can dominate a later one
    state kept;
    for (input const& x : merged) {
      bool beaten = false;
      for (input const& k : kept) beaten = beaten || dominates(view<T const>(k.value.value), view<T const>(x.value.value));
      if (!beaten) kept.push_back(x);
    }
    return kept;
  }
  output lower(state const& s) const { return s; }

 private:
  static int compare(input const& x, input const& y) {
    for (int k = 0; k < M; ++k) {
      if (x.value[k] > y.value[k]) return 1;
      if (x.value[k] < y.value[k]) return -1;
    }
    return 0;
  }
};

/// Rows of `points` [n, m] that no other row dominates, ascending; of equal rows the first; rows with NaN left out. O(n^2 m).
template <matrix_viewable X>
std::vector<std::int32_t> pareto_front(X const& points) {
  auto const p = as_const(as_matrix_view(points));
  std::vector<std::int32_t> front;
  for (std::int64_t i = 0; i < p.rows(); ++i) {
    bool beaten = false;
    for (std::int64_t c = 0; c < p.cols(); ++c) beaten = beaten || p(i, c) != p(i, c);
    for (std::int64_t j = 0; j < p.rows() && !beaten; ++j) {
      beaten = dominates(p.row(j), p.row(i));
      if (beaten || j >= i) continue;
      bool equal = true;
      for (std::int64_t c = 0; c < p.cols(); ++c) equal = equal && p(i, c) == p(j, c);
      beaten = equal;
    }
    if (!beaten) front.push_back(static_cast<std::int32_t>(i));
  }
  return front;
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
