#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"

namespace fanfold::inline FANFOLD_ABI::io {

/// Element types of tensor files, in the order in which writers rank them (larger alignment last; files list them in descending order).
enum class tensor_type : unsigned char {
  boolean, f4, f6_e2m3, f6_e3m2, u8, i8, f8_e5m2, f8_e4m3, f8_e8m0, f8_e4m3fnuz, f8_e5m2fnuz, i16, u16, f16, bf16, i32, u32, f32, c64, f64, i64, u64
};
inline constexpr int tensor_type_count = 22;

namespace detail {

struct tensor_type_row {
  std::string_view name;
  int bits;
};
inline constexpr tensor_type_row tensor_type_table[tensor_type_count] = {
    {"BOOL", 8}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8},
    {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16}, {"BF16", 16}, {"I32", 32},
    {"U32", 32}, {"F32", 32}, {"C64", 64}, {"F64", 64}, {"I64", 64}, {"U64", 64}};

}  // namespace detail

/// The type's name in files.
constexpr std::string_view name_of(tensor_type t) { return detail::tensor_type_table[static_cast<int>(t)].name; }
/// Bits of an element.
constexpr int bits_of(tensor_type t) { return detail::tensor_type_table[static_cast<int>(t)].bits; }

/// The type of that name; false where there is none.
constexpr bool find_tensor_type(std::string_view name, tensor_type& type) {
  for (int i = 0; i < tensor_type_count; ++i)
    if (detail::tensor_type_table[i].name == name) {
      type = static_cast<tensor_type>(i);
      return true;
    }
  return false;
}

/// The file type of a C++ element type.
template <class T>
constexpr tensor_type tensor_type_of() {
  if constexpr (std::is_same_v<T, bool>) return tensor_type::boolean;
  else if constexpr (std::is_same_v<T, float>) return tensor_type::f32;
  else if constexpr (std::is_same_v<T, double>) return tensor_type::f64;
  else if constexpr (std::is_same_v<T, float16>) return tensor_type::f16;
  else if constexpr (std::is_same_v<T, bfloat16>) return tensor_type::bf16;
  else if constexpr (std::is_same_v<T, std::int8_t>) return tensor_type::i8;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return tensor_type::u8;
  else if constexpr (std::is_same_v<T, std::int16_t>) return tensor_type::i16;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return tensor_type::u16;
  else if constexpr (std::is_same_v<T, std::int32_t>) return tensor_type::i32;
  else if constexpr (std::is_same_v<T, std::uint32_t>) return tensor_type::u32;
  else if constexpr (std::is_same_v<T, std::int64_t>) return tensor_type::i64;
  else {
    static_assert(std::is_same_v<T, std::uint64_t>, "tensor files have no such element type");
    return tensor_type::u64;
  }
}

namespace detail {

// sign, `E` exponent bits of the given bias, the rest mantissa; no infinities and NaNs treated by the caller
template <int E>
constexpr float small_float(std::uint8_t b, int bias) {
  constexpr int mantissa_bits = 7 - E;
  int const exponent = (b & 0x7F) >> mantissa_bits, mantissa = b & ((1 << mantissa_bits) - 1);
  float value = static_cast<float>(exponent == 0 ? mantissa : mantissa + (1 << mantissa_bits));
  for (int e = (exponent == 0 ? 1 : exponent) - bias - mantissa_bits; e != 0; e += e < 0 ? 1 : -1) value = e < 0 ? value * 0.5f : value * 2.0f;
  return (b & 0x80) != 0 ? -value : value;
}

}  // namespace detail

/// The value of an 8-bit float (exact in float). E4M3: bias 7, no infinity, NaN S1111111; E5M2: IEEE, bias 15; the FNUZ kinds: bias 8 and 16, 0x80 is
/// the only NaN, no infinity, no negative zero; E8M0: 2^(byte - 127), 255 is NaN. Other types give NaN.
constexpr float decode_float8(tensor_type type, std::uint8_t b) {
  float const nan = math::quiet_nan<float>();
  switch (type) {
    case tensor_type::f8_e4m3:
      return (b & 0x7F) == 0x7F ? nan : detail::small_float<4>(b, 7);
    case tensor_type::f8_e5m2:
      if ((b & 0x7F) > 0x7C) return nan;
      if ((b & 0x7F) == 0x7C) return b == 0x7C ? math::infinity<float>() : -math::infinity<float>();
      return detail::small_float<5>(b, 15);
    case tensor_type::f8_e4m3fnuz:
      return b == 0x80 ? nan : detail::small_float<4>(b, 8);
    case tensor_type::f8_e5m2fnuz:
      return b == 0x80 ? nan : detail::small_float<5>(b, 16);
    case tensor_type::f8_e8m0: {
      if (b == 255) return nan;
      float value = 1;
      for (int e = b - 127; e != 0; e += e < 0 ? 1 : -1) value = e < 0 ? value * 0.5f : value * 2.0f;
      return value;
    }
    default:
      return nan;
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::io
