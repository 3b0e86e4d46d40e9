#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `fraction * 2^exponent` with |fraction| in [0.5, 1), or fraction 0, infinite or NaN and exponent 0.
template <class T>
struct scaled_number {
  T fraction;
  std::int64_t exponent;

  template <class Same>
  constexpr bool matches(scaled_number const& other, Same const& same) const {
    return exponent == other.exponent && same(fraction, other.fraction);
  }
};

namespace detail {

template <class T>
FANFOLD_HD constexpr scaled_number<T> normalised(T x, std::int64_t exponent) {
  if (x == T(0) || !is_finite(x)) return {x, 0};
  using bits = typename ieee<T>::bits;
  constexpr int m = ieee<T>::mantissa_bits;
  bits b = math::bits_of(x);
  if (((b & ieee<T>::infinity) >> m) == 0) {  // subnormal
    b = math::bits_of(x * static_cast<T>(std::uint64_t{1} << (m + 1)));
    exponent -= m + 1;
  }
  auto const e = static_cast<std::int64_t>((b & ieee<T>::infinity) >> m) - (ieee<T>::bias - 1);
  auto const half = static_cast<bits>(static_cast<bits>(ieee<T>::bias - 1) << m);
  return {math::from_bits(static_cast<bits>((b & static_cast<bits>(~ieee<T>::infinity)) | half)), exponent + e};
}

/// fraction * 2^exponent, rounded once (also into the subnormals).
template <class T>
FANFOLD_HD constexpr T scaled_value(scaled_number<T> const& s) {
  using bits = typename ieee<T>::bits;
  constexpr int m = ieee<T>::mantissa_bits;
  constexpr int bias = ieee<T>::bias;
  if (s.fraction == T(0) || !is_finite(s.fraction)) return s.fraction;
  auto const power = [](std::int64_t e) { return math::from_bits(static_cast<bits>(static_cast<bits>(e + bias) << m)); };
  if (s.exponent > bias + 1) return s.fraction * power(bias) * T(4);
  if (s.exponent < -bias - m) return s.fraction * power(1 - bias) * power(-m - 2);
  std::int64_t const lower = 1 - bias;
  if (s.exponent > bias) return (s.fraction * T(2)) * power(s.exponent - 1);
  if (s.exponent >= lower) return s.fraction * power(s.exponent);
  return (s.fraction * power(s.exponent - lower)) * power(lower);
}

}  // namespace detail

/// Product that neither over- nor underflows before it is lowered; relative error at most (n - 1) u, once more into the subnormals.
/// Commutative bit for bit; associative up to rounding.
template <class T>
struct scaled_product {
  static_assert(std::is_floating_point_v<T>);
  using input = T;
  using state = scaled_number<T>;
  using output = T;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {T(0.5), 1}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return detail::normalised(x, 0); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    return detail::normalised(a.fraction * b.fraction, a.exponent + b.exponent);
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return detail::scaled_value(s); }
  /// log2 |product|: -infinity for 0; never overflows.
  FANFOLD_HD T log2(state const& s) const {
    T const a = s.fraction < T(0) ? -s.fraction : s.fraction;
    return math::log(a) * static_cast<T>(1.442695040888963407360) + static_cast<T>(s.exponent);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
