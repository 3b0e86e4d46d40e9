#include "fanfold/core/half.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>

#include "support/bits.hpp"

namespace {

using fanfold::bfloat16;
using fanfold::float16;
using support::same_bits;

template <class H>
struct format;
template <>
struct format<float16> {
  static constexpr int fraction = 10, min_exponent = -14;
  static constexpr double largest = 65504.0;
};
template <>
struct format<bfloat16> {
  static constexpr int fraction = 7, min_exponent = -126;
  static constexpr double largest = 0x1.fep127;
};

/// The value of a finite pattern from its fields.
template <class H>
double reference_value(std::uint16_t bits) {
  int const p = format<H>::fraction;
  int const field = (bits & 0x7fff) >> p;
  double const fraction = std::ldexp(static_cast<double>(bits & ((1 << p) - 1)), -p);
  double const magnitude =
      field == 0 ? std::ldexp(fraction, format<H>::min_exponent) : std::ldexp(1.0 + fraction, field - 1 + format<H>::min_exponent);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

template <class H>
constexpr std::uint16_t infinity_bits = std::is_same_v<H, float16> ? 0x7c00 : 0x7f80;

/// Rounds exactly in double: the step at x's magnitude divides out, the default rounding mode does ties to even.
template <class H>
double reference_round(float x) {
  double const d = x;
  if (d == 0 || std::isinf(d)) return d;
  int exponent = std::ilogb(d);
  if (exponent < format<H>::min_exponent) exponent = format<H>::min_exponent;
  double const step = std::ldexp(1.0, exponent - format<H>::fraction);
  double const rounded = std::nearbyint(d / step) * step;
  if (std::fabs(rounded) > format<H>::largest) return std::copysign(std::numeric_limits<double>::infinity(), d);
  return std::copysign(rounded, d);
}

template <class H>
bool rounds_right(float x) {
  return same_bits(static_cast<double>(static_cast<float>(H(x))), reference_round<H>(x));
}

}  // namespace

TEST_CASE_TEMPLATE("half: every pattern decodes to its value and encodes back", H, float16, bfloat16) {
  int wrong = 0;
  for (std::uint32_t b = 0; b < 65536; ++b) {
    auto const bits = static_cast<std::uint16_t>(b);
    float const x = static_cast<float>(H::from_bits(bits));
    std::uint16_t const magnitude = bits & 0x7fff;
    if (magnitude > infinity_bits<H>) {
      // NaN: quiet both ways, sign and payload kept
      std::uint16_t const quiet = std::is_same_v<H, float16> ? 0x0200 : 0x0040;
      wrong += !std::isnan(x) || (fanfold::math::bits_of(x) & 0x400000u) == 0 || H(x).bits != (bits | quiet);
    } else if (magnitude == infinity_bits<H>) {
      wrong += !std::isinf(x) || std::signbit(x) != (bits >> 15) || H(x).bits != bits;
    } else {
      wrong += !same_bits(static_cast<double>(x), reference_value<H>(bits)) || H(x).bits != bits;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: rounds to nearest even at, just below and just above every halfway point", H, float16, bfloat16) {
  int wrong = 0;
  for (std::uint32_t b = 0; b < infinity_bits<H>; ++b) {
    double const low = reference_value<H>(static_cast<std::uint16_t>(b));
    double const high = b + 1 == infinity_bits<H> ? 2 * format<H>::largest - reference_value<H>(static_cast<std::uint16_t>(b - 1))
                                                  : reference_value<H>(static_cast<std::uint16_t>(b + 1));
    float const half = static_cast<float>((low + high) / 2);
    REQUIRE(static_cast<double>(half) == (low + high) / 2);
    for (float const x : {half, std::nextafter(half, 0.0f), std::nextafter(half, std::numeric_limits<float>::infinity())})
      wrong += !rounds_right<H>(x) + !rounds_right<H>(-x);
    std::uint32_t const even = (b & 1) == 0 ? b : b + 1;
    wrong += H(half).bits != even;
    wrong += H(std::nextafter(half, 0.0f)).bits != b;
    wrong += H(std::nextafter(half, std::numeric_limits<float>::infinity())).bits != b + 1;
  }
  CHECK(wrong == 0);
}

TEST_CASE_TEMPLATE("half: random floats of every exponent", H, float16, bfloat16) {
  std::mt19937 random(2024);
  int wrong = 0;
  for (int i = 0; i < 400000; ++i) {
    float const x = fanfold::math::from_bits(static_cast<std::uint32_t>(random()));
    if (std::isnan(x))
      wrong += !std::isnan(static_cast<float>(H(x)));
    else
      wrong += !rounds_right<H>(x);
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: overflow boundary, underflow boundary, NaN payloads") {
  CHECK(float16(65504.0f).bits == 0x7bff);
  CHECK(float16(65519.996f).bits == 0x7bff);
  CHECK(float16(65520.0f).bits == 0x7c00);
  CHECK(float16(-65520.0f).bits == 0xfc00);
  CHECK(float16(3.4e38f).bits == 0x7c00);
  CHECK(float16(0x1p-25f).bits == 0x0000);  // half of the smallest subnormal ties to zero
  CHECK(float16(0x1.000002p-25f).bits == 0x0001);
  CHECK(float16(0x1.8p-24f).bits == 0x0002);
  CHECK(float16(-0x1p-149f).bits == 0x8000);
  CHECK(bfloat16(0x1.feffp127f).bits == 0x7f7f);
  CHECK(bfloat16(0x1.ffp127f).bits == 0x7f80);
  CHECK(bfloat16(0x1p-149f).bits == 0x0000);
  CHECK(bfloat16(-0x1p-134f).bits == 0x8000);
  CHECK(bfloat16(0x1.8p-133f).bits == 0x0002);
  // a signalling NaN whose payload lies below the kept bits must not turn into infinity
  CHECK(float16(fanfold::math::from_bits(0x7f800001u)).bits == 0x7e00);
  CHECK(bfloat16(fanfold::math::from_bits(0xff800001u)).bits == 0xffc0);
  CHECK(bfloat16(fanfold::math::from_bits(0x7fffffffu)).bits == 0x7fff);
}

TEST_CASE("half: arithmetic type and conversions") {
  static_assert(std::is_same_v<fanfold::arithmetic_t<float16>, float>);
  static_assert(std::is_same_v<fanfold::arithmetic_t<bfloat16 const>, float>);
  static_assert(std::is_same_v<fanfold::arithmetic_t<float>, float>);
  static_assert(std::is_same_v<fanfold::arithmetic_t<double>, double>);
  static_assert(std::is_same_v<fanfold::arithmetic_t<std::int32_t>, std::int32_t>);
  static_assert(std::is_same_v<decltype(fanfold::to_arithmetic(bfloat16(1.0f))), float>);
  static_assert(std::is_same_v<decltype(fanfold::from_arithmetic<float16 const>(1.0f)), float16>);
  static_assert(!std::is_convertible_v<float, float16> && !std::is_convertible_v<float16, float>);
  static_assert(fanfold::floating_storage<bfloat16 const> && fanfold::floating_storage<double> && !fanfold::floating_storage<int>);
  static_assert(float16(1.5f).bits == 0x3e00 && static_cast<float>(bfloat16::from_bits(0x3fc0)) == 1.5f);  // usable in constant expressions
  CHECK(fanfold::to_arithmetic(fanfold::from_arithmetic<float16>(0.1f)) == 0x1.998p-4f);
  CHECK(fanfold::to_arithmetic(fanfold::from_arithmetic<bfloat16>(0.1f)) == 0x1.9ap-4f);
  CHECK(fanfold::from_arithmetic<double>(0.1) == 0.1);
  CHECK(fanfold::from_arithmetic<std::int64_t>(std::int64_t{1} << 60) == std::int64_t{1} << 60);
}
