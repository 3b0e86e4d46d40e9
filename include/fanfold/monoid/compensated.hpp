#pragma once

#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A sum and what rounding has taken from it.
template <class T>
struct compensated {
  T sum;
  T error;

  template <class Same>
  constexpr bool matches(compensated const& other, Same const& same) const {
    return same(sum, other.sum) && same(error, other.error);
  }
};

namespace detail {

/// `sum + error = a + b` exactly (Knuth), unless it overflows.
template <class T>
FANFOLD_HD constexpr compensated<T> two_sum(T a, T b) {
  T const s = a + b;
  T const bb = s - a;
  return {s, (a - (s - bb)) + (b - bb)};
}
/// The same for |a| >= |b| (Dekker).
template <class T>
FANFOLD_HD constexpr compensated<T> fast_two_sum(T a, T b) {
  T const s = a + b;
  return {s, b - (s - a)};
}

}  // namespace detail

/// Sum with a running compensation that merges (Neumaier 1974, states joined by an exact two-term sum).
///
/// Error at most u |sum| + (depth u)^2 sum |x| to leading order. Commutative bit for bit; associative up to rounding. A zero is +0.
template <class T>
struct sum_neumaier {
  static_assert(std::is_floating_point_v<T>);
  using input = T;
  using state = compensated<T>;
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {-T(0), T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {x, T(0)}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state const s = detail::two_sum(a.sum, b.sum);
    return {s.sum, is_finite(s.sum) ? (a.error + b.error) + s.error : T(0)};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return (s.sum + s.error) + T(0); }
  FANFOLD_HD constexpr constant_pullback<T> fold_vjp(state const&, output const& g) const { return {g}; }

  template <int L>
  struct lane_block {
    T sum[std::size_t{L}];
    T error[std::size_t{L}];

    FANFOLD_HD void start(sum_neumaier const&, input const* x) {
      for (int l = 0; l < L; ++l) {
        sum[l] = x[l];
        error[l] = T(0);
      }
    }
    FANFOLD_HD void absorb(sum_neumaier const&, input const* FANFOLD_RESTRICT x) {
      for (int l = 0; l < L; ++l) {
        state const s = detail::two_sum(sum[l], x[l]);
        T const e = error[l] + s.error;  // an error is never -0: the item's own, 0, need not be added
        sum[l] = s.sum;
        error[l] = is_finite(s.sum) ? e : T(0);
      }
    }
    FANFOLD_HD state lane(sum_neumaier const&, int l) const { return {sum[l], error[l]}; }
  };
};

/// Sum in twice the precision: an unevaluated pair of T.
///
/// Each addition has a relative error of at most 3 u^2, so the sum one of about 3 u^2 depth sum |x|. Commutative bit for bit; associative
/// up to rounding. A zero is +0.
template <class T>
struct sum_double_double {
  static_assert(std::is_floating_point_v<T>);
  using input = T;
  using state = compensated<T>;
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {T(0), T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {x + T(0), T(0)}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s = detail::two_sum(a.sum, b.sum);
    state const t = detail::two_sum(a.error, b.error);
    T const plain = s.sum;
    s = detail::fast_two_sum(s.sum, s.error + t.sum);
    s = detail::fast_two_sum(s.sum, s.error + t.error);
    return {is_finite(plain) ? s.sum : plain, is_finite(plain) ? s.error : T(0)};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s.sum + s.error; }
  FANFOLD_HD constexpr constant_pullback<T> fold_vjp(state const&, output const& g) const { return {g}; }

  template <int L>
  struct lane_block {
    T sum[std::size_t{L}];
    T error[std::size_t{L}];

    FANFOLD_HD void start(sum_double_double const& m, input const* x) {
      for (int l = 0; l < L; ++l) {
        sum[l] = m.lift(x[l]).sum;
        error[l] = T(0);
      }
    }
    FANFOLD_HD void absorb(sum_double_double const& m, input const* FANFOLD_RESTRICT x) {
      for (int l = 0; l < L; ++l) {
        state const s = m.combine({sum[l], error[l]}, m.lift(x[l]));
        sum[l] = s.sum;
        error[l] = s.error;
      }
    }
    FANFOLD_HD state lane(sum_double_double const&, int l) const { return {sum[l], error[l]}; }
  };
};

}  // namespace fanfold::inline FANFOLD_ABI
