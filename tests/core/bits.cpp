#include "fanfold/core/bits.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace math = fanfold::math;

TEST_CASE("bits: counting agrees with the standard library") {
  std::uint64_t x = 1;
  for (int i = 0; i < 2000; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    std::uint64_t const y = x >> (i % 64);
    auto const z = static_cast<std::uint32_t>(y);
    REQUIRE(math::popcount(y) == std::popcount(y));
    REQUIRE(math::popcount(z) == std::popcount(z));
    REQUIRE(math::leading_zeros(y) == std::countl_zero(y));
    REQUIRE(math::leading_zeros(z) == std::countl_zero(z));
    REQUIRE(math::trailing_zeros(y << (i % 64)) == std::countr_zero(y << (i % 64)));
    REQUIRE(math::trailing_zeros(z) == std::countr_zero(z));
  }
  CHECK(math::leading_zeros(std::uint32_t{0}) == 32);
  CHECK(math::trailing_zeros(std::uint64_t{0}) == 64);
}

TEST_CASE_TEMPLATE("bits: classification and limits", T, float, double) {
  using limits = std::numeric_limits<T>;
  CHECK(math::infinity<T>() == limits::infinity());
  CHECK(math::largest<T>() == limits::max());
  CHECK(math::smallest_normal<T>() == limits::min());
  CHECK(math::epsilon<T>() == limits::epsilon());
  CHECK(std::isnan(math::quiet_nan<T>()));
  T const values[] = {
      T(0), T(-0.0), T(1), T(-2.5), limits::denorm_min(), -limits::max(), limits::infinity(), -limits::infinity(), limits::quiet_NaN()};
  for (T const x : values) {
    CHECK(math::isnan(x) == std::isnan(x));
    CHECK(math::isinf(x) == std::isinf(x));
    CHECK(math::isfinite(x) == std::isfinite(x));
    CHECK(math::signbit(x) == std::signbit(x));
    CHECK(math::signbit(math::abs(x)) == false);
    CHECK(math::signbit(math::copysign(x, T(-1))) == true);
    CHECK(math::bits_of(math::from_bits(math::bits_of(x))) == math::bits_of(x));
  }
  CHECK(math::min(T(1), T(2)) == T(1));
  CHECK(math::max(T(1), T(2)) == T(2));
  CHECK(math::clamp(T(5), T(-1), T(3)) == T(3));
  CHECK(math::clamp(T(-5), T(-1), T(3)) == T(-1));
  CHECK(std::isnan(math::max(limits::quiet_NaN(), T(1))));
}
