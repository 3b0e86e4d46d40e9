#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "fanfold/dispatch/activation.hpp"

using namespace fanfold::dispatch;

namespace {

template <class Activation, class F>
void check(F reference) {
  for (double x = -6; x <= 6; x += 0.173) {
    CHECK(Activation::value(x) == doctest::Approx(reference(x)).epsilon(1e-12));
    CHECK(static_cast<double>(Activation::value(static_cast<float>(x))) == doctest::Approx(reference(static_cast<double>(static_cast<float>(x)))).epsilon(2e-6));
    CHECK(Activation::slope(x) == doctest::Approx((reference(x + 1e-6) - reference(x - 1e-6)) / 2e-6).epsilon(1e-6));
  }
}

}  // namespace

TEST_CASE("activations: values against the C library, slopes against differences") {
  check<silu>([](double x) { return x / (1 + std::exp(-x)); });
  check<gelu>([](double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); });
  check<gelu_tanh>([](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x))); });
  check<relu>([](double x) { return x > 0 ? x : 0.0; });
  check<identity>([](double x) { return x; });
}

TEST_CASE("activations: limits and NaN") {
  constexpr double infinity = std::numeric_limits<double>::infinity(), nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(silu::value(1000.0) == 1000.0);
  CHECK(silu::value(-1000.0) == 0.0);
  CHECK(gelu::value(100.0) == 100.0);
  CHECK(relu::value(-infinity) == 0.0);
  CHECK(std::isnan(relu::value(nan)));
  CHECK(std::isnan(silu::value(nan)));
  CHECK(relu::slope(0.0) == 0.0);
  clamped_swiglu const clamped;
  CHECK(clamped.value(9.0, 9.0) == clamped.value(7.0, 7.0));
  CHECK(clamped.value(1.0, -9.0) == clamped.value(1.0, -7.0));
  CHECK(std::isnan(clamped.value(nan, 1.0)));
  CHECK(clamped.gradient(8.0, 1.0, 1.0).gate == 0.0);
  CHECK(clamped.gradient(7.0, 1.0, 1.0).gate != 0.0);
  CHECK(clamped.gradient(1.0, -8.0, 1.0).up == 0.0);
  CHECK(clamped.gradient(1.0, -7.0, 1.0).up != 0.0);
}
