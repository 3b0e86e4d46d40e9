#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/vector_lanes.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class T>
struct accumulator {
  using type = arithmetic_t<T>;
};
template <std::integral T>
struct accumulator<T> {
  using type = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
};

// integers wrap: computed unsigned
template <class T>
FANFOLD_HD constexpr T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) + static_cast<std::make_unsigned_t<T>>(b));
  else
    return a + b;
}
template <class T>
FANFOLD_HD constexpr T wrapping_subtract(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) - static_cast<std::make_unsigned_t<T>>(b));
  else
    return a - b;
}
template <class T>
FANFOLD_HD constexpr T wrapping_multiply(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) * static_cast<std::make_unsigned_t<T>>(b));
  else
    return a * b;
}

template <class T>
inline constexpr law arithmetic_laws =
    std::is_integral_v<T> ? law::associative | law::commutative | law::bitwise : law::associative | law::commutative;

}  // namespace detail

/// Default accumulator of an item type: 64 bit for integers, float for float and the 16-bit storage types, double for double.
template <class T>
using accumulator_t = typename detail::accumulator<T>::type;

/// The same gradient for every item.
template <class G>
struct constant_pullback {
  G gradient{};
  template <class X>
  FANFOLD_HD constexpr G operator()(X const&) const {
    return gradient;
  }
};

/// Sum in `Accumulator` (integers wrap). Of no items: +0.
///
/// The identity is -0, the neutral element of IEEE addition. Error at most depth * u * sum |x|, the depth being that of the tree.
template <class T, class Accumulator = accumulator_t<T>>
struct plus {
  using input = T;
  using state = Accumulator;
  using output = Accumulator;
  static constexpr law laws = detail::arithmetic_laws<state> | (std::is_integral_v<state> ? law::invertible : law::none);

  FANFOLD_HD constexpr state identity() const {
    if constexpr (std::is_floating_point_v<state>)
      return -state(0);
    else
      return state(0);
  }
  FANFOLD_HD constexpr state lift(input const& x) const { return static_cast<state>(to_arithmetic(x)); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return detail::wrapping_add(a, b); }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
  FANFOLD_HD constexpr output empty() const { return output(0); }
  /// `whole` without `part`; exact for integers.
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const
    requires std::is_integral_v<state>
  {
    return detail::wrapping_subtract(whole, part);
  }
  /// dL/dx_i = g.
  FANFOLD_HD constexpr constant_pullback<output> fold_vjp(state const&, output const& g) const { return {g}; }

  template <int L>
    requires(L >= 4 && std::is_same_v<T, state> && std::is_floating_point_v<state>)
  struct lane_block {
    using registers = vector_lanes<state, L>;
    registers sum;

    void start(plus const&, input const* x) {
      for (int p = 0; p < registers::pieces; ++p) sum.v[p] = registers::load(x, p);
    }
    void absorb(plus const&, input const* FANFOLD_RESTRICT x) {
      for (int p = 0; p < registers::pieces; ++p) sum.v[p] = sum.v[p] + registers::load(x, p);
    }
    state lane(plus const&, int l) const { return sum.lane(l); }
  };
};

/// Product in `Accumulator` (integers wrap; floats may over- or underflow, see scaled_product). Of no items: 1.
template <class T, class Accumulator = accumulator_t<T>>
struct product {
  using input = T;
  using state = Accumulator;
  using output = Accumulator;
  static constexpr law laws = detail::arithmetic_laws<state>;

  FANFOLD_HD constexpr state identity() const { return state(1); }
  FANFOLD_HD constexpr state lift(input const& x) const { return static_cast<state>(to_arithmetic(x)); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return detail::wrapping_multiply(a, b); }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// Gradient of a product: `dx_i = g * (product of the items before i * product of the items after i)`: no division, so right with zeros.
/// `dx` may not overlap `x`.
template <class T>
FANFOLD_HD constexpr void product_vjp(view<T const> x, T g, view<T> dx) {
  T before = T(1);
  for (std::int64_t i = 0; i < x.size(); ++i) {
    dx[i] = before;
    before = before * x[i];
  }
  T after = T(1);
  for (std::int64_t i = x.size() - 1; i >= 0; --i) {
    dx[i] = g * (dx[i] * after);
    after = x[i] * after;
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
