#include "fanfold/core/math.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "support/bits.hpp"

namespace math = fanfold::math;

namespace {

using support::same_bits;

constexpr float inf_f = std::numeric_limits<float>::infinity();
constexpr double inf_d = std::numeric_limits<double>::infinity();

template <class T, class Exact>
double error_in_ulps(T y, Exact exact) {
  if (std::isnan(exact) || std::isnan(y)) return std::isnan(exact) && std::isnan(y) ? 0.0 : 1e9;
  T const rounded = static_cast<T>(exact);
  if (std::isinf(rounded) || std::isinf(y)) return rounded == y ? 0.0 : 1e9;
  constexpr int lowest = std::numeric_limits<T>::min_exponent - 1;
  int const exponent = exact == 0 ? lowest : std::max(lowest, std::ilogb(exact));
  return static_cast<double>(std::fabs(static_cast<Exact>(y) - exact) /
                             std::ldexp(Exact(1), exponent - std::numeric_limits<T>::digits + 1));
}

/// Largest error over every 20011th float: all exponents and signs, infinities and NaNs among them.
template <class F, class G>
double worst_float(F f, G exact) {
  double worst = 0;
  for (std::uint64_t u = 0; u <= 0xffffffffu; u += 20011) {
    float const x = math::from_bits(static_cast<std::uint32_t>(u));
    worst = std::max(worst, error_in_ulps(f(x), exact(static_cast<double>(x))));
  }
  for (int i = -20000; i <= 20000; ++i) {
    float const x = static_cast<float>(i) * 0x1.003p-10f;
    worst = std::max(worst, error_in_ulps(f(x), exact(static_cast<double>(x))));
  }
  return worst;
}

template <class F, class G>
double worst_double(double low, double high, F f, G exact) {
  std::mt19937_64 random(7);
  double worst = 0;
  for (int i = 0; i < 30000; ++i) {
    double x = low + (high - low) * (static_cast<double>(random() >> 11) * 0x1p-53);
    if (i % 4 == 3) x = std::ldexp(x, -static_cast<int>(random() % 60));
    worst = std::max(worst, error_in_ulps(f(x), exact(static_cast<long double>(x))));
  }
  return worst;
}

template <class R>
R softplus_of(R x) {
  return (x > 0 ? x : R(0)) + std::log1p(std::exp(-std::fabs(x)));
}

}  // namespace

#define FLOAT_ERROR(function, exact) worst_float([](float x) { return math::function(x); }, [](double x) { return exact; })
#define DOUBLE_ERROR(function, low, high, exact) \
  worst_double(                                  \
      low, high, [](double x) { return math::function(x); }, [](long double x) { return exact; })

TEST_CASE("math: float errors stay within the documented bounds") {
  CHECK(FLOAT_ERROR(exp, std::exp(x)) <= 0.99);
  CHECK(FLOAT_ERROR(log, std::log(x)) <= 0.84);
  CHECK(FLOAT_ERROR(tanh, std::tanh(x)) <= 1.47);
  CHECK(FLOAT_ERROR(sigmoid, 1 / (1 + std::exp(-x))) <= 1.97);
  CHECK(FLOAT_ERROR(softplus, softplus_of(x)) <= 1.97);
  CHECK(FLOAT_ERROR(erf, std::erf(x)) <= 1.24);
  CHECK(FLOAT_ERROR(sqrt, std::sqrt(x)) <= 0.5);
  CHECK(FLOAT_ERROR(rint, std::nearbyint(x)) == 0);
  CHECK(FLOAT_ERROR(floor, std::floor(x)) == 0);
  CHECK(FLOAT_ERROR(ceil, std::ceil(x)) == 0);
}

TEST_CASE("math: double errors stay within the documented bounds") {
  CHECK(DOUBLE_ERROR(exp, -750, 715, std::exp(x)) <= 0.97);
  CHECK(DOUBLE_ERROR(log, 0, 4, std::log(x)) <= 0.85);
  CHECK(DOUBLE_ERROR(log, 0, 1e300, std::log(x)) <= 0.85);
  CHECK(DOUBLE_ERROR(tanh, -3, 3, std::tanh(x)) <= 1.45);
  CHECK(DOUBLE_ERROR(sigmoid, -40, 40, 1 / (1 + std::exp(-x))) <= 1.90);
  CHECK(DOUBLE_ERROR(softplus, -40, 40, softplus_of(x)) <= 1.90);
  CHECK(DOUBLE_ERROR(erf, -6.5, 6.5, std::erf(x)) <= 1.35);
  CHECK(DOUBLE_ERROR(sqrt, 0, 1e10, std::sqrt(x)) <= 0.5005);
  CHECK(DOUBLE_ERROR(sin, -10, 10, std::sin(x)) <= 0.80);
  CHECK(DOUBLE_ERROR(cos, -10, 10, std::cos(x)) <= 0.80);
  CHECK(DOUBLE_ERROR(sin, -0x1p20, 0x1p20, std::sin(x)) <= 0.80);
  CHECK(DOUBLE_ERROR(cos, -0x1p20, 0x1p20, std::cos(x)) <= 0.80);
  CHECK(DOUBLE_ERROR(acos, -1, 1, std::acos(x)) <= 1.25);
  CHECK(DOUBLE_ERROR(rint, -1e16, 1e16, std::nearbyint(x)) == 0);
  CHECK(DOUBLE_ERROR(floor, -1e3, 1e3, std::floor(x)) == 0);
  CHECK(DOUBLE_ERROR(ceil, -1e3, 1e3, std::ceil(x)) == 0);
}

TEST_CASE("math: exp_nonpositive has the bits of exp down to the limit and is exactly zero below") {
  for (std::uint32_t u = math::bits_of(-0.0f); u <= math::bits_of(-87.0f); u += 997)
    REQUIRE(same_bits(math::exp_nonpositive(math::from_bits(u)), math::exp(math::from_bits(u))));
  CHECK(math::exp_nonpositive(-87.0f) == math::exp(-87.0f));
  CHECK(math::exp_nonpositive(-87.0f) > 0);
  for (float const x : {std::nextafter(-87.0f, -inf_f), -88.0f, -1e30f, -inf_f}) CHECK(same_bits(math::exp_nonpositive(x), 0.0f));
  CHECK(std::isnan(math::exp_nonpositive(std::numeric_limits<float>::quiet_NaN())));
  for (int i = 0; i <= 70800; ++i) REQUIRE(same_bits(math::exp_nonpositive(-0.01 * i), math::exp(-0.01 * i)));
  for (double const x : {std::nextafter(-708.0, -inf_d), -1e300, -inf_d}) CHECK(same_bits(math::exp_nonpositive(x), 0.0));
  CHECK(std::isnan(math::exp_nonpositive(std::numeric_limits<double>::quiet_NaN())));
}

TEST_CASE_TEMPLATE("math: special values", T, float, double) {
  T const inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN(), tiny = std::numeric_limits<T>::denorm_min();
  CHECK(math::exp(T(0)) == T(1));
  CHECK(math::exp(-inf) == T(0));
  CHECK(math::exp(inf) == inf);
  CHECK(math::exp(std::numeric_limits<T>::max()) == inf);
  CHECK(math::exp(std::numeric_limits<T>::lowest()) == T(0));
  CHECK(same_bits(math::log(T(0)), -inf));
  CHECK(same_bits(math::log(T(-0.0)), -inf));
  CHECK(same_bits(math::log(T(1)), T(0)));
  CHECK(math::log(inf) == inf);
  CHECK(std::isnan(math::log(T(-1))));
  CHECK(std::isnan(math::log(-tiny)));
  CHECK(std::isnan(math::log(-inf)));
  CHECK(error_in_ulps(math::log(tiny), std::log(static_cast<long double>(tiny))) < 1);
  for (T const zero : {T(0), T(-0.0)}) {
    CHECK(same_bits(math::tanh(zero), zero));
    CHECK(same_bits(math::erf(zero), zero));
    CHECK(same_bits(math::sqrt(zero), zero));
    CHECK(same_bits(math::rint(zero), zero));
    CHECK(same_bits(math::floor(zero), zero));
    CHECK(math::sigmoid(zero) == T(0.5));
  }
  CHECK(same_bits(math::tanh(tiny), tiny));
  CHECK(math::tanh(inf) == T(1));
  CHECK(math::tanh(-inf) == T(-1));
  CHECK(math::erf(inf) == T(1));
  CHECK(math::erf(-inf) == T(-1));
  CHECK(math::sigmoid(inf) == T(1));
  CHECK(math::sigmoid(-inf) == T(0));
  CHECK(math::softplus(inf) == inf);
  CHECK(math::softplus(-inf) == T(0));
  CHECK(std::isnan(math::sqrt(T(-1))));
  CHECK(math::sqrt(inf) == inf);
  for (T const y : {math::exp(nan), math::log(nan), math::tanh(nan), math::sigmoid(nan), math::softplus(nan), math::erf(nan),
                    math::sqrt(nan), math::rint(nan), math::floor(nan)})
    CHECK(std::isnan(y));
  CHECK(math::rint(T(2.5)) == T(2));
  CHECK(math::rint(T(-3.5)) == T(-4));
  CHECK(same_bits(math::rint(T(-0.25)), T(-0.0)));
  CHECK(math::floor(T(-0.25)) == T(-1));
  CHECK(math::ceil(T(0.25)) == T(1));
  CHECK(math::floor(inf) == inf);
}

TEST_CASE("math: edges of overflow and of the subnormals") {
  CHECK(math::exp(0x1.62e42ep6f) < inf_f);
  CHECK(math::exp(std::nextafter(0x1.62e42ep6f, inf_f)) == inf_f);
  CHECK(math::exp(-0x1.9fe368p6f) == std::numeric_limits<float>::denorm_min());
  CHECK(math::exp(-104.0f) == 0.0f);
  CHECK(math::exp(709.782712893384) == doctest::Approx(1.797693134862273e308).epsilon(1e-12));
  CHECK(math::exp(709.7827128933841) == inf_d);
  CHECK(math::exp(-745.1) == std::numeric_limits<double>::denorm_min());
  CHECK(math::exp(-746.0) == 0.0);
}

TEST_CASE("math: sin, cos and acos outside their range and at exact points") {
  CHECK(math::sin(0.0) == 0.0);
  CHECK(same_bits(math::sin(-0.0), -0.0));
  CHECK(math::cos(0.0) == 1.0);
  CHECK(std::isnan(math::sin(0x1.1p20)));
  CHECK(std::isnan(math::cos(-inf_d)));
  CHECK(std::isnan(math::cos(std::numeric_limits<double>::quiet_NaN())));
  CHECK(math::acos(1.0) == 0.0);
  CHECK(math::acos(-1.0) == 0x1.921fb54442d18p1);
  CHECK(math::acos(0.0) == 0x1.921fb54442d18p0);
  CHECK(std::isnan(math::acos(1.0000000001)));
  CHECK(std::isnan(math::acos(std::numeric_limits<double>::quiet_NaN())));
}

TEST_CASE("math: fma rounds once, for any operands") {
  std::mt19937 random(11);
  for (int i = 0; i < 300000; ++i) {
    auto const draw = [&](std::uint32_t mask) { return math::from_bits(static_cast<std::uint32_t>(random()) & mask); };
    // operands of near magnitude meet cancellation and halfway cases; every second triple is arbitrary
    std::uint32_t const mask = i % 2 == 0 ? 0xffffffffu : 0x80ffffffu;
    float const offset = i % 2 == 0 ? 1.0f : 0x1p60f;
    float const a = draw(mask) * offset, b = draw(mask) * offset;
    float const c = i % 3 == 0 ? -(a * b) * (1.0f + 0x1p-20f) : draw(mask) * offset;
    REQUIRE(same_bits(math::fma(a, b, c), std::fma(a, b, c)));
  }
  CHECK(math::fma(0x1.000002p0f, 0x1.000002p0f, -0x1.000004p0f) == 0x1p-46f);
  CHECK(math::fma(0x1p-100f, 0x1p-100f, 0x1p-149f) == 0x1p-149f);
  CHECK(math::fma(0x1.fffffep127f, 2.0f, -0x1.fffffep127f) == 0x1.fffffep127f);
  CHECK(math::fma(inf_f, 1.0f, 2.0f) == inf_f);
  // just above and below the middle of two floats, by less than a double can hold
  CHECK(math::fma(0x1p-40f, 0x1p-40f, 0x1.000002p0f) == 0x1.000002p0f);
  CHECK(math::fma(0x1.000001p0f, 1.0f, 0x1p-80f) == std::fma(0x1.000001p0f, 1.0f, 0x1p-80f));
}

TEST_CASE("math: the square root of lane loops has the bits of sqrt") {
  for (std::uint64_t u = 0x00800000u; u < 0x7f800000u; u += 1009) {
    float const x = math::from_bits(static_cast<std::uint32_t>(u));
    REQUIRE(same_bits(math::detail::lane_sqrt(x), std::sqrt(x)));
  }
  CHECK(same_bits(math::detail::lane_sqrt(0.0f), 0.0f));
  CHECK(same_bits(math::detail::lane_sqrt(math::largest<float>()), std::sqrt(math::largest<float>())));
}
