#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The base of the exponentials, as a type, so that states of different bases cannot meet.
struct natural_base {
  template <class T>
  FANFOLD_HD static constexpr T scale(T x) {
    return x;
  }
  template <class T>
  FANFOLD_HD static constexpr T unscale(T x) {
    return x;
  }
};
/// Scores are exponents of 2: `log2(sum 2^x)`; x is multiplied by ln 2 on the way in, the answer by log2 e on the way out.
struct binary_base {
  template <class T>
  FANFOLD_HD static constexpr T scale(T x) {
    return x * static_cast<T>(0.693147180559945309417);
  }
  template <class T>
  FANFOLD_HD static constexpr T unscale(T x) {
    return x * static_cast<T>(1.442695040888963407360);
  }
};

/// `sum exp(x_i) = sum * exp(max)`.
template <class T>
struct softmax_state {
  T max;
  T sum;

  template <class Same>
  constexpr bool matches(softmax_state const& other, Same const& same) const {
    return same(max, other.max) && same(sum, other.sum);
  }
};

namespace detail {

/// The common maximum of two softmax states, and the factors that bring each side to it.
template <class T>
struct softmax_join {
  T max;
  T first;
  T second;
};

template <class T>
FANFOLD_HD inline softmax_join<T> join_softmax(T a, T b) {
  T const m = a != a ? a : b > a || b != b ? b : a;
  return {m, a == m ? T(1) : math::exp_nonpositive(a - m), b == m ? T(1) : math::exp_nonpositive(b - m)};
}

template <class T>
FANFOLD_HD inline softmax_state<T> combine_softmax(softmax_state<T> const& a, softmax_state<T> const& b) {
  softmax_join<T> const j = join_softmax(a.max, b.max);
  return {j.max, a.sum * j.first + b.sum * j.second};
}

/// An item of weight exp(x): nothing where x is -infinity. Zeros become +0, so that the maximum does not depend on the order.
template <class T>
FANFOLD_HD constexpr softmax_state<T> lift_softmax(T x) {
  return {x + T(0), x == -math::infinity<T>() ? T(0) : x != x ? x : T(1)};
}

/// One item into a state with one exponential: the bits of combine_softmax(s, lift_softmax(x)), but for the maximum beside a NaN sum.
/// By `select`, since compilers keep a loop scalar rather than compute an exponential that a branch may not want.
template <class T>
FANFOLD_HD FANFOLD_INLINE void absorb_softmax(T& max, T& sum, T item) {
  T const x = item + T(0);
  T const same = math::select(x == -math::infinity<T>(), T(0), T(1));
  T const e = math::select(x == max, same, math::exp_nonpositive(-math::abs(x - max)));
  sum = math::select(x > max, sum * e + T(1), sum + e);
  max = math::select(x > max, x, max);
}

}  // namespace detail

/// dL/dx_i = g exp(x_i - lse), 0 where lse is -infinity.
template <class T, class Base>
struct softmax_pullback {
  T lse{};
  T gradient{};
  FANFOLD_HD T operator()(T const& x) const {
    if (lse == -math::infinity<T>()) return T(0);
    return gradient * math::exp(Base::scale(x) - lse);
  }
};

/// `log(sum exp(x_i))` without overflow; of no items (or only -infinity) -infinity; +infinity and NaN propagate.
///
/// State (m, s) with value m + log s. Commutative bit for bit; associative up to rounding.
template <class T, class Base = natural_base>
struct log_sum_exp {
  static_assert(std::is_floating_point_v<T>);
  using input = T;
  using state = softmax_state<T>;
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {-math::infinity<T>(), T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return detail::lift_softmax(Base::scale(x)); }
  FANFOLD_HD state combine(state const& a, state const& b) const { return detail::combine_softmax(a, b); }
  FANFOLD_HD output lower(state const& s) const {
    return s.sum == T(0) ? -math::infinity<T>() : Base::unscale(s.max + math::log(s.sum));
  }
  FANFOLD_HD void absorb(state& s, input const& x) const {
    detail::absorb_softmax(s.max, s.sum, Base::scale(x));
    if (s.sum != s.sum) s.max = s.sum;
  }
  FANFOLD_HD softmax_pullback<T, Base> fold_vjp(state const& final, output const& g) const {
    return {final.sum == T(0) ? -math::infinity<T>() : final.max + math::log(final.sum), g};
  }

  template <int L>
  struct lane_block {
    T max[std::size_t{L}];
    T sum[std::size_t{L}];

    FANFOLD_HD void start(log_sum_exp const& m, input const* x) {
      for (int l = 0; l < L; ++l) {
        state const s = m.lift(x[l]);
        max[l] = s.max;
        sum[l] = s.sum;
      }
    }
    // a function of its own: g++ vectorises it reliably there
    FANFOLD_NOINLINE FANFOLD_HD void absorb(log_sum_exp const&, input const* FANFOLD_RESTRICT x) {
      for (int l = 0; l < L; ++l) detail::absorb_softmax(max[l], sum[l], Base::scale(x[l]));
    }
    FANFOLD_HD state lane(log_sum_exp const&, int l) const { return {sum[l] != sum[l] ? sum[l] : max[l], sum[l]}; }
  };
};

/// The same carrier, answering what a softmax needs: the maximum and the normaliser, so that `p_i = exp(x_i - max) / sum`.
template <class T>
struct online_softmax : log_sum_exp<T> {
  using state = softmax_state<T>;
  using output = softmax_state<T>;
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
  template <int L>
  struct lane_block : log_sum_exp<T>::template lane_block<L> {};
};

}  // namespace fanfold::inline FANFOLD_ABI
