#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"

/// \file
/// Representations of floating-point numbers and their limits, in a form that device code accepts.

namespace fanfold::inline FANFOLD_ABI::math {

/// The representation of a number, and back.
FANFOLD_HD constexpr std::uint32_t bits_of(float x) { return __builtin_bit_cast(std::uint32_t, x); }
FANFOLD_HD constexpr std::uint64_t bits_of(double x) { return __builtin_bit_cast(std::uint64_t, x); }
FANFOLD_HD constexpr float from_bits(std::uint32_t b) { return __builtin_bit_cast(float, b); }
FANFOLD_HD constexpr double from_bits(std::uint64_t b) { return __builtin_bit_cast(double, b); }

/// Number of one bits.
FANFOLD_HD constexpr int popcount(std::uint32_t x) {
  x = x - ((x >> 1) & 0x55555555u);
  x = (x & 0x33333333u) + ((x >> 2) & 0x33333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0fu;
  return static_cast<int>((x * 0x01010101u) >> 24);
}
FANFOLD_HD constexpr int popcount(std::uint64_t x) {
  return popcount(static_cast<std::uint32_t>(x)) + popcount(static_cast<std::uint32_t>(x >> 32));
}

/// Number of leading and trailing zero bits; the width of the type for 0.
template <class T>
  requires std::is_unsigned_v<T>
FANFOLD_HD constexpr int leading_zeros(T x) {
  int n = 0;
  for (int step = static_cast<int>(sizeof(T)) * 4; step > 0; step /= 2)
    if ((x >> (static_cast<int>(sizeof(T)) * 8 - step)) == 0) {
      n += step;
      x = static_cast<T>(x << step);
    }
  return x == 0 ? n + 1 : n;
}
template <class T>
  requires std::is_unsigned_v<T>
FANFOLD_HD constexpr int trailing_zeros(T x) {
  return x == 0 ? static_cast<int>(sizeof(T)) * 8 : static_cast<int>(sizeof(T)) * 8 - 1 - leading_zeros(static_cast<T>(x & (~x + 1)));
}

template <class T>
  requires std::is_floating_point_v<T>
FANFOLD_HD constexpr T infinity() {
  return static_cast<T>(__builtin_huge_val());
}
template <class T>
  requires std::is_floating_point_v<T>
FANFOLD_HD constexpr T quiet_nan() {
  return static_cast<T>(__builtin_nan(""));
}
/// The largest finite number, the smallest positive normal one, and the distance from 1 to the next number.
template <class T>
  requires std::is_floating_point_v<T>
FANFOLD_HD constexpr T largest() {
  if constexpr (sizeof(T) == 4)
    return 0x1.fffffep127f;
  else
    return 0x1.fffffffffffffp1023;
}
template <class T>
  requires std::is_floating_point_v<T>
FANFOLD_HD constexpr T smallest_normal() {
  if constexpr (sizeof(T) == 4)
    return 0x1p-126f;
  else
    return 0x1p-1022;
}
template <class T>
  requires std::is_floating_point_v<T>
FANFOLD_HD constexpr T epsilon() {
  if constexpr (sizeof(T) == 4)
    return 0x1p-23f;
  else
    return 0x1p-52;
}

FANFOLD_HD constexpr bool isnan(float x) { return (bits_of(x) & 0x7fffffffu) > 0x7f800000u; }
FANFOLD_HD constexpr bool isnan(double x) { return (bits_of(x) & 0x7fffffffffffffffu) > 0x7ff0000000000000u; }
FANFOLD_HD constexpr bool isinf(float x) { return (bits_of(x) & 0x7fffffffu) == 0x7f800000u; }
FANFOLD_HD constexpr bool isinf(double x) { return (bits_of(x) & 0x7fffffffffffffffu) == 0x7ff0000000000000u; }
FANFOLD_HD constexpr bool isfinite(float x) { return (bits_of(x) & 0x7fffffffu) < 0x7f800000u; }
FANFOLD_HD constexpr bool isfinite(double x) { return (bits_of(x) & 0x7fffffffffffffffu) < 0x7ff0000000000000u; }
FANFOLD_HD constexpr bool signbit(float x) { return (bits_of(x) >> 31) != 0; }
FANFOLD_HD constexpr bool signbit(double x) { return (bits_of(x) >> 63) != 0; }
FANFOLD_HD constexpr float abs(float x) { return from_bits(bits_of(x) & 0x7fffffffu); }
FANFOLD_HD constexpr double abs(double x) { return from_bits(bits_of(x) & 0x7fffffffffffffffu); }
FANFOLD_HD constexpr float copysign(float magnitude, float sign) {
  return from_bits((bits_of(magnitude) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u));
}
FANFOLD_HD constexpr double copysign(double magnitude, double sign) {
  return from_bits((bits_of(magnitude) & 0x7fffffffffffffffu) | (bits_of(sign) & 0x8000000000000000u));
}

/// `condition ? a : b` by masks: nothing that leads to `a` or `b` can be moved into a branch, which would keep a loop from being
/// vectorised.
FANFOLD_HD constexpr float select(bool condition, float a, float b) {
  std::uint32_t const mask = std::uint32_t{0} - static_cast<std::uint32_t>(condition);
  return from_bits((bits_of(a) & mask) | (bits_of(b) & ~mask));
}
FANFOLD_HD constexpr double select(bool condition, double a, double b) {
  std::uint64_t const mask = std::uint64_t{0} - static_cast<std::uint64_t>(condition);
  return from_bits((bits_of(a) & mask) | (bits_of(b) & ~mask));
}

/// `b < a ? b : a` and `a < b ? b : a`: the first of equals; where one is NaN, `a`.
template <class T>
FANFOLD_HD constexpr T (min)(T a, T b) {
  return b < a ? b : a;
}
template <class T>
FANFOLD_HD constexpr T (max)(T a, T b) {
  return a < b ? b : a;
}
template <class T>
FANFOLD_HD constexpr T clamp(T x, T low, T high) {
  return x < low ? low : high < x ? high : x;
}

}  // namespace fanfold::inline FANFOLD_ABI::math
