#include "fanfold/monoid/covariance.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

law_options exact_commutativity() {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 2, 33, 65};
  return o;
}

}  // namespace

TEST_CASE("covariance obeys its laws, commutativity bit for bit") {
  auto const items = items_from{nasty_values<double>{false, false}, [](double x, std::int64_t i, word_stream& words) {
                                  double const a = i % 5 == 0 && std::abs(x) < 10 ? x : words.uniform();
                                  return observation<double, 2, 3>{{{a, words.uniform()}}, {{words.uniform(), a * 2, -1.0}}};
                                }};
  law_report const r = check_monoid_laws(covariance<2, 3>{}, items, relative{1e-11, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("correlation obeys its laws, commutativity bit for bit") {
  auto const items = items_from{nasty_values<double>{false, false}, [](double x, std::int64_t, word_stream& words) {
                                  return correlation<>::input{std::abs(x) < 10 ? x : -0.0, words.uniform()};
                                }};
  law_report const r = check_monoid_laws(correlation<>{}, items, relative{1e-11, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("covariance and correlation: worked example") {
  double const x[] = {1, 2, 3, 4}, y[] = {2, 1, 4, 5};
  covariance<1> const m;
  correlation<> const c;
  auto s = m.identity();
  auto t = c.identity();
  for (int i = 0; i < 4; ++i) {
    s = m.combine(s, m.lift({{{x[i]}}, {{y[i]}}}));
    t = c.combine(t, c.lift({x[i], y[i]}));
  }
  CHECK(s.cross[0] == doctest::Approx(6.0));
  CHECK(s.covariance(0, 0) == doctest::Approx(1.5));
  CHECK(s.sample_covariance(0, 0) == doctest::Approx(2.0));
  CHECK(t.cross == doctest::Approx(6.0));
  CHECK(t.pearson() == doctest::Approx(6.0 / std::sqrt(5.0 * 10.0)));
}

TEST_CASE("covariance: nothing, one item, a constant variable") {
  covariance<1> const m;
  CHECK(std::isnan(m.identity().covariance(0, 0)));
  auto const one = m.lift({{{3.0}}, {{4.0}}});
  CHECK(one.covariance(0, 0) == 0.0);
  CHECK(std::isnan(one.sample_covariance(0, 0)));
  correlation<> const c;
  CHECK(std::isnan(c.combine(c.lift({1.0, 2.0}), c.lift({1.0, 3.0})).pearson()));
}
