#pragma once

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `add` is max (or min), `multiply` is +: best paths (Viterbi), shortest paths.
template <class T>
struct max_plus {
  using value = T;
  FANFOLD_HD static constexpr T zero() { return below_all<T>(); }
  FANFOLD_HD static constexpr T one() { return T(0); }
  FANFOLD_HD static constexpr T add(T a, T b) { return a != a ? a : b != b ? b : a > b ? a : b; }
  FANFOLD_HD static constexpr T multiply(T a, T b) { return a != a ? a : b != b ? b : a == zero() || b == zero() ? zero() : a + b; }
};
template <class T>
struct min_plus {
  using value = T;
  FANFOLD_HD static constexpr T zero() { return above_all<T>(); }
  FANFOLD_HD static constexpr T one() { return T(0); }
  FANFOLD_HD static constexpr T add(T a, T b) { return a != a ? a : b != b ? b : a < b ? a : b; }
  FANFOLD_HD static constexpr T multiply(T a, T b) { return a != a ? a : b != b ? b : a == zero() || b == zero() ? zero() : a + b; }
};
/// `add` is log(e^a + e^b), `multiply` is +: sums over all paths.
template <class T>
struct log_plus {
  using value = T;
  FANFOLD_HD static constexpr T zero() { return -math::infinity<T>(); }
  FANFOLD_HD static constexpr T one() { return T(0); }
  FANFOLD_HD static T add(T a, T b) {
    log_sum_exp<T> const m;
    return m.lower(m.combine(m.lift(a), m.lift(b)));
  }
  FANFOLD_HD static constexpr T multiply(T a, T b) { return max_plus<T>::multiply(a, b); }
};

/// Products of J x J matrices (row-major) over a semiring, the earlier operand on the left. Associative up to rounding of `multiply` and
/// `add` (exact where they are, as for integers), not commutative.
template <class S, int J>
struct semiring_matrix {
  using input = small_array<typename S::value, J * J>;
  using state = input;
  using output = input;
  static constexpr law laws = law::associative;

  FANFOLD_HD constexpr state identity() const {
    state s = state::filled(S::zero());
    for (int j = 0; j < J; ++j) s[j * J + j] = S::one();
    return s;
  }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int i = 0; i < J; ++i)
      for (int j = 0; j < J; ++j) {
        auto sum = S::multiply(a[i * J], b[j]);
        for (int k = 1; k < J; ++k) sum = S::add(sum, S::multiply(a[i * J + k], b[k * J + j]));
        s[i * J + j] = sum;
      }
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
