#include "fanfold/monoid/extrema.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M>
void passes() {
  law_report const r = check_monoid_laws(M{}, nasty_values<typename M::input>{});
  CHECK_MESSAGE(r.ok(), r.text());
}

template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return m.lower(s);
}

float const nan_value = std::numeric_limits<float>::quiet_NaN();
float const inf = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE_TEMPLATE("extrema obey their laws bit for bit", T, float, double, std::int32_t, std::int64_t, std::uint8_t) {
  passes<maximum<T>>();
  passes<minimum<T>>();
  passes<maximum<T, nan_policy::ignore>>();
  passes<minimum<T, nan_policy::ignore>>();
}

TEST_CASE_TEMPLATE("counting extrema obey their laws bit for bit", T, float, double) {
  passes<tied_maximum<T>>();
  passes<tied_minimum<T>>();
}

TEST_CASE("extrema: NaN by policy") {
  CHECK(std::isnan(fold_list(maximum<float>{}, {1.0f, nan_value, 2.0f})));
  CHECK(std::isnan(fold_list(minimum<float>{}, {-nan_value, 1.0f, 2.0f})));
  CHECK(support::same_bits(fold_list(maximum<float>{}, {-nan_value}), nan_value));
  CHECK(fold_list(maximum<float, nan_policy::ignore>{}, {1.0f, nan_value, 2.0f}) == 2.0f);
  CHECK(fold_list(minimum<float, nan_policy::ignore>{}, {nan_value, 1.0f, -nan_value}) == 1.0f);
  CHECK(fold_list(maximum<float, nan_policy::ignore>{}, {nan_value, nan_value}) == -inf);
  CHECK(fold_list(maximum<float, nan_policy::error>{}, {1.0f, 2.0f}) == 2.0f);
  CHECK_THROWS_WITH_AS(fold_list(maximum<float, nan_policy::error>{}, {1.0f, nan_value, nan_value}), doctest::Contains("count of NaN items is 2"),
                       argument_error);
}

TEST_CASE("extrema: zeros are ordered, infinities are ordinary, nothing is the identity") {
  CHECK_FALSE(std::signbit(fold_list(maximum<float>{}, {-0.0f, 0.0f, -0.0f})));
  CHECK(std::signbit(fold_list(minimum<float>{}, {0.0f, -0.0f, 0.0f})));
  CHECK(fold_list(minimum<float>{}, {inf, inf}) == inf);
  CHECK(fold_list(maximum<float>{}, {}) == -inf);
  CHECK(fold_list(minimum<double>{}, {}) == std::numeric_limits<double>::infinity());
  CHECK(fold_list(maximum<std::int32_t>{}, {}) == std::numeric_limits<std::int32_t>::lowest());
  CHECK(fold_list(minimum<std::uint8_t>{}, {}) == 255);
}

TEST_CASE("counting extrema split the gradient among the ties") {
  std::vector<double> const x{1.0, 3.0, 2.0, 3.0};
  tied_maximum<double> const m;
  auto s = m.identity();
  for (double const v : x) s = m.combine(s, m.lift(v));
  CHECK(s.ties == 2);
  auto const pullback = m.fold_vjp(s, 1.0);
  CHECK(pullback(3.0) == 0.5);
  CHECK(pullback(2.0) == 0.0);
  CHECK(m.fold_vjp(m.identity(), 1.0)(2.0) == 0.0);
}
