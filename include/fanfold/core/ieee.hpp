#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Layout of an IEEE type; `key` is the signed integer of the same width.
template <class T>
struct ieee;
template <>
struct ieee<float> {
  using bits = std::uint32_t;
  using key = std::int32_t;
  static constexpr int mantissa_bits = 23;
  static constexpr int bias = 127;
  static constexpr bits sign = 0x80000000u;
  static constexpr bits infinity = 0x7f800000u;
};
template <>
struct ieee<double> {
  using bits = std::uint64_t;
  using key = std::int64_t;
  static constexpr int mantissa_bits = 52;
  static constexpr int bias = 1023;
  static constexpr bits sign = 0x8000000000000000u;
  static constexpr bits infinity = 0x7ff0000000000000u;
};

/// Also for integers, which are always finite.
template <class T>
FANFOLD_HD constexpr bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return x != x;
  else
    return false;
}
template <class T>
FANFOLD_HD constexpr bool is_finite(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return (math::bits_of(x) & ieee<T>::infinity) != ieee<T>::infinity;
  else
    return true;
}
/// Any NaN becomes the canonical one.
template <class T>
FANFOLD_HD constexpr T canonical(T x) {
  if constexpr (std::is_floating_point_v<T>)
    return x != x ? math::quiet_nan<T>() : x;
  else
    return x;
}

namespace detail {

// as variables, because device code may use scalar constants but not the functions of numeric_limits
template <class T>
inline constexpr T integer_max = (std::numeric_limits<T>::max)();
template <class T>
inline constexpr T integer_min = (std::numeric_limits<T>::min)();

}  // namespace detail

/// Neutral element of maximum: -infinity, or the least integer.
template <class T>
FANFOLD_HD constexpr T below_all() {
  if constexpr (std::is_floating_point_v<T>)
    return -math::infinity<T>();
  else
    return detail::integer_min<T>;
}
/// Neutral element of minimum: infinity, or the greatest integer.
template <class T>
FANFOLD_HD constexpr T above_all() {
  if constexpr (std::is_floating_point_v<T>)
    return math::infinity<T>();
  else
    return detail::integer_max<T>;
}

/// The integer whose signed order is the order of floats with -0 before +0 (NaN: beyond the infinities, by sign); its own inverse
/// together with `from_monotone_key`. Integers are their own key.
template <class T>
FANFOLD_HD constexpr auto monotone_key(T x) {
  if constexpr (std::is_floating_point_v<T>) {
    using key = typename ieee<T>::key;
    auto const b = static_cast<key>(math::bits_of(x));
    return static_cast<key>(b ^ ((b >> (sizeof(T) * 8 - 1)) & static_cast<key>(~ieee<T>::sign)));
  } else {
    return x;
  }
}
template <class T, class K>
FANFOLD_HD constexpr T from_monotone_key(K k) {
  if constexpr (std::is_floating_point_v<T>) {
    using key = typename ieee<T>::key;
    return math::from_bits(static_cast<typename ieee<T>::bits>(k ^ ((k >> (sizeof(T) * 8 - 1)) & static_cast<key>(~ieee<T>::sign))));
  } else {
    return k;
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
