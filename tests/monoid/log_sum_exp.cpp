#include "fanfold/monoid/log_sum_exp.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return s;
}

law_options exact_commutativity() {
  law_options o;
  o.commutative_bits = true;
  return o;
}

double const inf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE_TEMPLATE("log_sum_exp obeys its laws, commutativity and the fast forms bit for bit", T, float, double) {
  double const eps = sizeof(T) == 4 ? 1e-5 : 1e-13;
  law_report const r = check_monoid_laws(log_sum_exp<T>{}, nasty_values<T>{}, relative{eps, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("log_sum_exp in base 2 obeys its laws") {
  law_report const r = check_monoid_laws(log_sum_exp<double, binary_base>{}, nasty_values<double>{}, relative{1e-13, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("log_sum_exp: worked example") {
  log_sum_exp<double> const m;
  auto const two = fold_list(m, {1, 2});
  CHECK(two.max == 2.0);
  CHECK(two.sum == doctest::Approx(1.36787944).epsilon(1e-8));
  auto const three = m.combine(two, m.lift(3));
  CHECK(three.max == 3.0);
  CHECK(three.sum == doctest::Approx(1.50321472).epsilon(1e-8));
  CHECK(m.lower(three) == doctest::Approx(3.40760596).epsilon(1e-8));
}

TEST_CASE("log_sum_exp: infinities, NaN, nothing") {
  log_sum_exp<double> const m;
  CHECK(empty_answer(m) == -inf);
  CHECK(m.lower(fold_list(m, {-inf, -inf})) == -inf);
  CHECK(m.lower(fold_list(m, {-inf, 1.5})) == doctest::Approx(1.5));
  CHECK(m.lower(fold_list(m, {1.0, inf})) == inf);
  CHECK(m.lower(fold_list(m, {inf, inf, -inf})) == inf);
  CHECK(std::isnan(m.lower(fold_list(m, {1.0, std::nan(""), inf}))));
  CHECK(m.lower(fold_list(m, {1e308, 1e308})) == 1e308);
}

TEST_CASE("log_sum_exp: a common shift of the items shifts the answer") {
  log_sum_exp<double> const m;
  CHECK(m.lower(fold_list(m, {1001, 1002, 1003})) == doctest::Approx(1000 + m.lower(fold_list(m, {1, 2, 3}))).epsilon(1e-14));
}

TEST_CASE("log_sum_exp in base 2 is log2 of the sum of powers of 2") {
  log_sum_exp<double, binary_base> const m;
  CHECK(m.lower(fold_list(m, {3, 3, 4})) == doctest::Approx(5.0).epsilon(1e-14));
}

TEST_CASE("log_sum_exp: the gradient is the softmax") {
  std::vector<double> const x{0.5, -1.0, 2.0, -inf};
  log_sum_exp<double> const m;
  auto const pullback = m.fold_vjp(fold_list(m, x), 1.5);
  for (std::size_t i = 0; i < 3; ++i) {
    auto up = x, down = x;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    CHECK(pullback(x[i]) == doctest::Approx(1.5 * (m.lower(fold_list(m, up)) - m.lower(fold_list(m, down))) / 2e-5).epsilon(1e-6));
  }
  CHECK(pullback(-inf) == 0.0);
  CHECK(m.fold_vjp(m.identity(), 1.0)(-inf) == 0.0);
}

TEST_CASE("online_softmax answers maximum and normaliser") {
  online_softmax<double> const m;
  auto const s = m.lower(fold_list(m, {1, 2}));
  CHECK(s.max == 2.0);
  CHECK(std::exp(1.0 - s.max) / s.sum == doctest::Approx(0.26894142).epsilon(1e-8));
  law_report const r = check_monoid_laws(m, nasty_values<double>{}, relative{1e-13, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}
