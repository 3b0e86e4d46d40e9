#include "fanfold/monoid/compensated.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return m.lower(s);
}

template <class M>
void passes(double eps) {
  law_options o;
  o.commutative_bits = true;
  law_report const r = check_monoid_laws(M{}, nasty_values<typename M::input>{}, relative_to_items{eps}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

}  // namespace

TEST_CASE("sum_neumaier obeys its laws") {
  passes<sum_neumaier<float>>(0x1p-23);
  passes<sum_neumaier<double>>(0x1p-52);
}
TEST_CASE("sum_double_double obeys its laws") {
  passes<sum_double_double<float>>(0x1p-23);
  passes<sum_double_double<double>>(0x1p-52);
}

TEST_CASE("compensated sums: worked example and Kahan's trap") {
  std::vector<double> const x{1.0, 1e100, 1.0, -1e100};
  CHECK(fold_list(plus<double>{}, x) == 0.0);
  CHECK(fold_list(sum_neumaier<double>{}, x) == 2.0);
  double s = 0.0, c = 0.0;
  for (double const v : x) {
    double const y = v - c, t = s + y;
    c = (t - s) - y;
    s = t;
  }
  CHECK(s == 0.0);  // Kahan's form loses the addend that is larger than the running sum
}

TEST_CASE("compensated sums: partial sums that cancel meet again") {
  sum_neumaier<double> const m;
  auto const a = m.combine(m.lift(1e100), m.lift(1.0));
  auto const b = m.combine(m.lift(-1e100), m.lift(3.0));
  CHECK(m.lower(m.combine(a, b)) == 4.0);
  CHECK(m.lower(m.combine(b, a)) == 4.0);
}

TEST_CASE("sum_double_double keeps twice the digits") {
  std::vector<float> x;
  double reference = 0.0;
  for (int i = 0; i < 5000; ++i) {
    x.push_back(1.0f / static_cast<float>(i + 1));
    reference += static_cast<double>(x.back());
  }
  CHECK(fold_list(sum_double_double<float>{}, x) == static_cast<float>(reference));
}

TEST_CASE("compensated sums: overflow, infinities, NaN, zeros, nothing") {
  double const inf = std::numeric_limits<double>::infinity();
  double const max = std::numeric_limits<double>::max();
  for (auto const& f : {+[](std::vector<double> const& x) { return fold_list(sum_neumaier<double>{}, x); },
                        +[](std::vector<double> const& x) { return fold_list(sum_double_double<double>{}, x); }}) {
    CHECK(f({max, max}) == inf);
    CHECK(f({1.0, inf, 2.0}) == inf);
    CHECK(f({-inf, 2.0}) == -inf);
    CHECK(std::isnan(f({inf, -inf})));
    CHECK(std::isnan(f({1.0, std::nan("")})));
    CHECK_FALSE(std::signbit(f({})));
    CHECK_FALSE(std::signbit(f({-0.0, -0.0})));
  }
}
