#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// IEEE binary16 as storage: 5 exponent and 10 fraction bits. No arithmetic of its own: convert to float, compute, convert back.
/// From float it rounds to nearest, ties to even, with subnormals, overflow to infinity and NaNs made quiet (upper payload bits kept).
struct float16 {
  std::uint16_t bits;

  float16() = default;
  FANFOLD_HD constexpr explicit float16(float x) : bits(encode(x)) {}
  FANFOLD_HD constexpr explicit operator float() const { return decode(bits); }
  FANFOLD_HD static constexpr float16 from_bits(std::uint16_t b) {
    float16 h{};
    h.bits = b;
    return h;
  }

 private:
  FANFOLD_HD static constexpr std::uint16_t encode(float x) {
    std::uint32_t const u = math::bits_of(x);
    std::uint32_t const a = u & 0x7fffffffu;
    // Rounding a normal may carry into the exponent, up to infinity; beyond 2^16 the minimum keeps it there.
    std::uint32_t const rebiased = (a + 0xfffu + ((a >> 13) & 1u) - 0x38000000u) >> 13;
    std::uint32_t const normal = rebiased < 0x7c00u ? rebiased : 0x7c00u;
    // The last place of 0.5 + a is 2^-24, the step of the subnormals, so this addition rounds.
    std::uint32_t const tiny = a < 0x38800000u ? a : 0u;
    std::uint32_t const subnormal = math::bits_of(math::from_bits(tiny) + 0.5f) - 0x3f000000u;
    std::uint32_t const number = a < 0x38800000u ? subnormal : normal;
    std::uint32_t const magnitude = a > 0x7f800000u ? (0x7e00u | ((a >> 13) & 0x3ffu)) : number;
    return static_cast<std::uint16_t>(magnitude | ((u >> 16) & 0x8000u));
  }
  FANFOLD_HD static constexpr float decode(std::uint16_t h) {
    std::uint32_t const a = h & 0x7fffu;
    std::uint32_t const normal = (a << 13) + 0x38000000u;
    std::uint32_t const special = (a << 13) | (a > 0x7c00u ? 0x7fc00000u : 0x7f800000u);
    std::uint32_t const subnormal = math::bits_of(math::from_bits(0x3f000000u + (a & 0x3ffu)) - 0.5f);
    std::uint32_t const magnitude = a >= 0x7c00u ? special : a >= 0x400u ? normal : subnormal;
    return math::from_bits(magnitude | (static_cast<std::uint32_t>(h & 0x8000u) << 16));
  }
};

/// The upper half of a float as storage: 8 exponent and 7 fraction bits. Conversions as for float16.
struct bfloat16 {
  std::uint16_t bits;

  bfloat16() = default;
  FANFOLD_HD constexpr explicit bfloat16(float x) : bits(encode(x)) {}
  FANFOLD_HD constexpr explicit operator float() const { return decode(bits); }
  FANFOLD_HD static constexpr bfloat16 from_bits(std::uint16_t b) {
    bfloat16 h{};
    h.bits = b;
    return h;
  }

 private:
  FANFOLD_HD static constexpr std::uint16_t encode(float x) {
    std::uint32_t const u = math::bits_of(x);
    std::uint32_t const rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
    return static_cast<std::uint16_t>((u & 0x7fffffffu) > 0x7f800000u ? ((u >> 16) | 0x40u) : rounded);
  }
  FANFOLD_HD static constexpr float decode(std::uint16_t h) {
    std::uint32_t const u = static_cast<std::uint32_t>(h) << 16;
    return math::from_bits((u & 0x7fffffffu) > 0x7f800000u ? (u | 0x400000u) : u);
  }
};

static_assert(sizeof(float16) == 2 && std::is_trivial_v<float16> && std::is_standard_layout_v<float16>);
static_assert(sizeof(bfloat16) == 2 && std::is_trivial_v<bfloat16> && std::is_standard_layout_v<bfloat16>);

/// Two-byte floating-point types that are stored, never computed with.
template <class T>
inline constexpr bool is_half_v = std::is_same_v<std::remove_cv_t<T>, float16> || std::is_same_v<std::remove_cv_t<T>, bfloat16>;

/// The four element types of tensors.
template <class T>
concept floating_storage = is_half_v<T> || std::is_same_v<std::remove_cv_t<T>, float> || std::is_same_v<std::remove_cv_t<T>, double>;

namespace detail {

template <class T>
struct arithmetic {
  using type = T;
};
template <>
struct arithmetic<float16> {
  using type = float;
};
template <>
struct arithmetic<bfloat16> {
  using type = float;
};

}  // namespace detail

/// What loops compute in: float for float16 and bfloat16, the type itself otherwise.
template <class T>
using arithmetic_t = typename detail::arithmetic<std::remove_cv_t<T>>::type;

/// A stored element as the number that policies see; exact.
template <class T>
FANFOLD_HD constexpr arithmetic_t<T> to_arithmetic(T const& x) {
  if constexpr (is_half_v<T>)
    return static_cast<float>(x);
  else
    return x;
}

/// A computed number as a stored element of type T, rounded to nearest even.
template <class T>
FANFOLD_HD constexpr std::remove_cv_t<T> from_arithmetic(arithmetic_t<T> const& x) {
  if constexpr (is_half_v<T>)
    return std::remove_cv_t<T>(x);
  else
    return x;
}

}  // namespace fanfold::inline FANFOLD_ABI
