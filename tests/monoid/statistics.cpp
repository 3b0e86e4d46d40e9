#include "fanfold/monoid/statistics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M>
auto fold_state(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return s;
}

struct uniform_item {
  double operator()(double, std::int64_t, word_stream& words) const { return 0.5 + words.uniform(); }
};
auto const smooth = items_from{nasty_values<double>{false, false}, uniform_item{}};

template <class M>
void passes(M const& m) {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 33, 65};
  law_report const r = check_monoid_laws(m, smooth, relative{1e-12}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

template <class M>
void gradients_agree(M const& m) {
  std::vector<double> const x{0.7, 1.9, 0.4, 2.5};
  auto const pullback = m.fold_vjp(fold_state(m, x), 1.3);
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto up = x, down = x;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    double const expected = 1.3 * (m.lower(fold_state(m, up)) - m.lower(fold_state(m, down))) / 2e-5;
    CHECK(pullback(x[i]) == doctest::Approx(expected).epsilon(1e-6));
  }
}

}  // namespace

TEST_CASE("mean, deviation, norm and power mean obey their laws") {
  passes(mean<double>{});
  passes(standard_deviation<>{});
  passes(l2_norm<double>{});
  passes(power_mean<double>{3.0});
}

TEST_CASE("mean, deviation, norm and power mean: gradients against central differences") {
  gradients_agree(mean<double>{});
  gradients_agree(standard_deviation<>{});
  gradients_agree(standard_deviation<>{.eps = 0.1, .shift = 1.0});
  gradients_agree(l2_norm<double>{});
  gradients_agree(power_mean<double>{3.0});
  gradients_agree(power_mean<double>{-1.0});
}

TEST_CASE("weighted_mean: values, gradients, no weight") {
  weighted_mean<double> const m;
  std::vector<weighted<double>> const x{{1.0, 1.0}, {4.0, 2.0}};
  CHECK(m.lower(fold_state(m, x)) == doctest::Approx(3.0));
  auto const pullback = m.fold_vjp(fold_state(m, x), 2.0);
  CHECK(pullback(x[1]).value == doctest::Approx(2.0 * 2.0 / 3.0));
  CHECK(pullback(x[1]).weight == doctest::Approx(2.0 * (4.0 - 3.0) / 3.0));
  CHECK(std::isnan(m.lower(m.identity())));
  CHECK(weighted_mean<double>{.empty_value = 0.0}.lower(m.identity()) == 0.0);
  CHECK(m.fold_vjp(m.identity(), 1.0)({1, 1}).value == 0.0);
  auto const items = items_from{nasty_values<double>{false, false}, [](double, std::int64_t, word_stream& words) { return weighted<double>{words.uniform(), 0.1 + words.uniform()}; }};
  law_report const r = check_monoid_laws(m, items, relative{1e-12});
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("statistics: degenerate inputs") {
  CHECK(std::isnan(empty_answer(mean<float>{})));
  CHECK(mean<int>{}.lower(fold_state(mean<int>{}, {1, 2})) == 1.5);
  CHECK(empty_answer(l2_norm<double>{}) == 0.0);
  CHECK(l2_norm<double>{}.fold_vjp(0.0, 1.0)(0.0) == 0.0);
  CHECK(std::isnan(empty_answer(standard_deviation<>{})));
  standard_deviation<> const m;
  CHECK(m.fold_vjp(fold_state(m, {2.0, 2.0}), 1.0)(2.0) == 0.0);
  CHECK(mean<double>{}.fold_vjp(mean<double>{}.identity(), 1.0)(5.0) == 0.0);
}
