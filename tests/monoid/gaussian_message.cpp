#include "fanfold/monoid/gaussian_message.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

using plane = gaussian_message<double, 2>;

struct message_item {
  gaussian_natural<double, 2> operator()(double, std::int64_t, word_stream& w) const {
    double const a = w.uniform(), b = w.uniform();
    return {{a, -b}, {1 + a * a, a * b, a * b, 1 + b * b}};
  }
};
/// As a monoid: states are compared, because the flat message has no moments.
struct states_only {
  using state = plane::state;
  static constexpr law laws = plane::laws;
  state identity() const { return plane{}.identity(); }
  state combine(state const& a, state const& b) const { return plane{}.combine(a, b); }
};

}  // namespace

TEST_CASE("gaussian_message obeys its laws") {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 2, 33};
  law_report const r = check_monoid_laws(states_only{}, items_from{nasty_values<double>{false, false}, message_item{}}, relative{1e-13}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("gaussian_message: worked example") {
  using line = gaussian_message<double, 1>;
  line const m;
  auto const s = m.combine(m.lift(line::from_moments(2.0, 4.0)), m.lift(line::from_moments(5.0, 1.0)));
  CHECK(s.precision[0] == 1.25);
  auto const y = m.lower(s);
  CHECK(y.mean[0] == doctest::Approx(4.4));
  CHECK(y.covariance[0] == doctest::Approx(0.8));
  auto const cavity = m.subtract(s, line::from_moments(5.0, 1.0));
  CHECK(m.lower(cavity).mean[0] == doctest::Approx(2.0));
}

TEST_CASE("gaussian_message: a singular precision is an error") {
  CHECK_THROWS_WITH_AS(static_cast<void>(plane{}.lower(plane{}.identity())), doctest::Contains("positive definite"), argument_error);
}

TEST_CASE("gaussian_message: covariance is the inverse, gradients against central differences") {
  plane const m;
  plane::state const s{{0.4, -1.1}, {2.0, 0.3, 0.3, 1.5}};
  auto const y = m.lower(s);
  CHECK(2.0 * y.covariance[0] + 0.3 * y.covariance[2] == doctest::Approx(1.0));
  CHECK(std::abs(2.0 * y.covariance[1] + 0.3 * y.covariance[3]) < 1e-15);
  plane::output const g{{0.7, -0.2}, {0.5, 0.1, -0.3, 1.0}};
  auto const loss = [&](plane::state const& v) {
    auto const z = m.lower(v);
    double sum = 0;
    for (int i = 0; i < 2; ++i) sum += g.mean[i] * z.mean[i];
    for (int k = 0; k < 4; ++k) sum += g.covariance[k] * z.covariance[k];
    return sum;
  };
  auto const d = m.lower_vjp(s, g);
  for (int i = 0; i < 2; ++i) {
    auto up = s, down = s;
    up.eta[i] += 1e-5, down.eta[i] -= 1e-5;
    CHECK(d.eta[i] == doctest::Approx((loss(up) - loss(down)) / 2e-5).epsilon(1e-6));
    // both triangles move together: the matrix is symmetric
    up = down = s;
    up.precision[3 * i] += 1e-5, down.precision[3 * i] -= 1e-5;
    CHECK(d.precision[3 * i] == doctest::Approx((loss(up) - loss(down)) / 2e-5).epsilon(1e-6));
  }
  auto up = s, down = s;
  up.precision[1] += 1e-5, up.precision[2] += 1e-5, down.precision[1] -= 1e-5, down.precision[2] -= 1e-5;
  CHECK(d.precision[1] + d.precision[2] == doctest::Approx((loss(up) - loss(down)) / 2e-5).epsilon(1e-6));
}
