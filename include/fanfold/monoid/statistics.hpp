#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/counted.hpp"
#include "fanfold/monoid/moments.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `sum x / n` with the sum in the accumulator of T; of no items `empty_value`. For long streams of doubtful scale prefer moments<1>.
template <class T, class Accumulator = std::conditional_t<std::is_integral_v<T>, double, accumulator_t<T>>>
struct mean {
  using input = T;
  using state = with_count<Accumulator>;
  using output = Accumulator;
  static constexpr law laws = law::associative | law::commutative;

  Accumulator empty_value = math::quiet_nan<Accumulator>();

  FANFOLD_HD constexpr state identity() const { return {0, -Accumulator(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {1, static_cast<Accumulator>(to_arithmetic(x))}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return {a.count + b.count, a.value + b.value}; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s.count == 0 ? empty_value : s.value / static_cast<Accumulator>(s.count); }
  /// g / n.
  FANFOLD_HD constexpr constant_pullback<output> fold_vjp(state const& final, output const& g) const {
    return {final.count == 0 ? output(0) : g / static_cast<output>(final.count)};
  }
};

/// `sum w x / sum w`; of weight 0 `empty_value`.
template <class T>
struct weighted_mean {
  static_assert(std::is_floating_point_v<T>);
  using input = weighted<T>;
  struct state {
    T sum;
    T weight;
    template <class Same>
    constexpr bool matches(state const& other, Same const& same) const {
      return same(sum, other.sum) && same(weight, other.weight);
    }
  };
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  T empty_value = math::quiet_nan<T>();

  FANFOLD_HD constexpr state identity() const { return {-T(0), -T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {x.weight * x.value, x.weight}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return {a.sum + b.sum, a.weight + b.weight}; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s.weight == T(0) ? empty_value : s.sum / s.weight; }

  struct pullback {
    T mean{};
    T per_weight{};
    FANFOLD_HD constexpr weighted<T> operator()(input const& x) const { return {per_weight * x.weight, per_weight * (x.value - mean)}; }
  };
  /// `dx_i = g w_i / W`, `dw_i = g (x_i - mean) / W`.
  FANFOLD_HD constexpr pullback fold_vjp(state const& final, output const& g) const {
    if (final.weight == T(0)) return {};
    return {final.sum / final.weight, g / final.weight};
  }
};

/// `sqrt(variance + eps)` of the population, in double; NaN of no items and of items that are not all finite.
template <class T = double>
struct standard_deviation {
  using input = T;
  using state = moments_state<2>;
  using output = double;
  static constexpr law laws = law::associative | law::commutative;

  double eps = 0.0;
  double shift = 0.0;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return plain().lift(x); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return plain().combine(a, b); }
  FANFOLD_HD output lower(state const& s) const {
    if (s.count == 0 || s.mean - s.mean != 0.0) return math::quiet_nan<double>();
    return math::sqrt(s.sums[0] / static_cast<double>(s.count) + eps);
  }
  /// `g (x - mean) / (n std)`, 0 where std = 0.
  FANFOLD_HD moments_pullback fold_vjp(state const& final, output g) const {
    if (final.count == 0) return {};
    double const std = lower(final);
    return {final.mean + shift, 0.0, std == 0.0 ? 0.0 : g / (static_cast<double>(final.count) * std)};
  }

 private:
  FANFOLD_HD constexpr moments<2, T> plain() const { return {shift, 0.0}; }
};

/// `sqrt(sum x^2)`, squares summed in the accumulator of T.
template <class T, class Accumulator = accumulator_t<T>>
struct l2_norm {
  using input = T;
  using state = Accumulator;
  using output = Accumulator;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return state(0); }
  FANFOLD_HD constexpr state lift(input const& x) const {
    auto const v = static_cast<state>(to_arithmetic(x));
    return v * v;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return a + b; }
  FANFOLD_HD output lower(state const& s) const { return math::sqrt(s); }

  struct pullback {
    output factor{};
    FANFOLD_HD constexpr output operator()(input const& x) const { return factor * static_cast<output>(to_arithmetic(x)); }
  };
  /// `g x / norm`, 0 at norm 0.
  FANFOLD_HD pullback fold_vjp(state const& final, output const& g) const { return {final == state(0) ? output(0) : g / lower(final)}; }
};

/// `(mean x^p)^(1/p)` for x > 0 and p != 0; of no items NaN.
template <class T>
struct power_mean {
  static_assert(std::is_floating_point_v<T>);
  using input = T;
  using state = with_count<T>;
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  T p = T(1);

  FANFOLD_HD constexpr state identity() const { return {0, T(0)}; }
  FANFOLD_HD state lift(input const& x) const { return {1, power(x, p)}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return {a.count + b.count, a.value + b.value}; }
  FANFOLD_HD output lower(state const& s) const {
    return s.count == 0 ? math::quiet_nan<T>() : power(s.value / static_cast<T>(s.count), T(1) / p);
  }

  struct pullback {
    T factor{};
    T exponent{};
    FANFOLD_HD T operator()(T const& x) const { return factor * power(x, exponent); }
  };
  /// `g y^(1 - p) x^(p - 1) / n`.
  FANFOLD_HD pullback fold_vjp(state const& final, output const& g) const {
    if (final.count == 0) return {};
    return {g * power(lower(final), T(1) - p) / static_cast<T>(final.count), p - T(1)};
  }

 private:
  FANFOLD_HD static T power(T x, T e) { return math::exp(e * math::log(x)); }
};

}  // namespace fanfold::inline FANFOLD_ABI
