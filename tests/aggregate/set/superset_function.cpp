#include "fanfold/aggregate/set/superset_function.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/bits.hpp"
#include "support/central_differences.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;

fanfold::matrix_view<double> matrix(numbers& v, std::int64_t cols) { return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols}; }

struct tanh_activation {
  template <class A>
  static A value(A x) {
    return fanfold::math::tanh(x);
  }
  template <class A>
  static A slope(A x) {
    return A(1) - fanfold::math::tanh(x) * fanfold::math::tanh(x);
  }
};

numbers random_numbers(std::size_t n, std::uint64_t seed) {
  support::lcg g(seed);
  numbers x(n);
  for (double& v : x) v = g.real();
  return x;
}

numbers const example{.5, -.5, 1, 0, .1, .2, -.3, .4, 0, .1, 1, -.5};

}  // namespace

TEST_CASE("superset function: the worked example") {
  ag::superset_function<double> const f{.size = 2, .hidden = 2, .parameter = example};
  numbers phi{1, 0, 0, 1, 2, 1}, masks{1, 0, 1, 1, 1, 1}, value(2), q(3), one{1, 0, 1};
  ag::superset_value(fanfold::serial, f, 1, matrix(phi, 2), matrix(masks, 3), value);
  CHECK(value[0] == doctest::Approx(0.2));
  CHECK(value[1] - value[0] == doctest::Approx(-0.5));
  ag::mean_field_step(fanfold::serial, f, 1, matrix(phi, 2), matrix(one, 3), matrix(q, 3));
  CHECK(q[1] == doctest::Approx(0.377540669).epsilon(1e-8));
  for (double v : q) CHECK((v > 0 && v < 1));
}

TEST_CASE("permutations of the items, empty and whole subsets, no superset term") {
  numbers const p = random_numbers(2 * 4 * 4, 1);
  ag::superset_function<double> const f{.size = 3, .hidden = 4, .parameter = p};
  numbers phi = random_numbers(15, 2), masks{1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, value(3), other(3);
  ag::superset_value(fanfold::serial, f, 1, matrix(phi, 3), matrix(masks, 5), value);
  numbers turned, turned_masks;
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t c = 0; c < 3; ++c) turned.push_back(phi[(4 - i) * 3 + c]);
  for (std::size_t m = 0; m < 3; ++m)
    for (std::size_t i = 0; i < 5; ++i) turned_masks.push_back(masks[m * 5 + 4 - i]);
  ag::superset_value(fanfold::serial, f, 1, matrix(turned, 3), matrix(turned_masks, 5), other);
  for (std::size_t m = 0; m < 3; ++m) CHECK(other[m] == doctest::Approx(value[m]).epsilon(1e-12));
  // another superset with the same subset
  numbers bigger = phi, bigger_masks, seen(3);
  for (int c = 0; c < 3; ++c) bigger.push_back(0.7);
  for (std::size_t m = 0; m < 3; ++m) {
    bigger_masks.insert(bigger_masks.end(), masks.begin() + static_cast<std::ptrdiff_t>(5 * m),
                        masks.begin() + static_cast<std::ptrdiff_t>(5 * m + 5));
    bigger_masks.push_back(0);
  }
  ag::superset_value(fanfold::serial, f, 1, matrix(bigger, 3), matrix(bigger_masks, 6), seen);
  CHECK(seen[0] != value[0]);
  numbers blind = p;
  for (std::size_t i = 12; i < 24; ++i) blind[i] = 0;
  ag::superset_function<double> const deep_sets{.size = 3, .hidden = 4, .parameter = blind};
  ag::superset_value(fanfold::serial, deep_sets, 1, matrix(phi, 3), matrix(masks, 5), value);
  ag::superset_value(fanfold::serial, deep_sets, 1, matrix(bigger, 3), matrix(bigger_masks, 6), seen);
  for (std::size_t m = 0; m < 3; ++m) CHECK(seen[m] == doctest::Approx(value[m]).epsilon(1e-12));
}

TEST_CASE("gradients agree with central differences, for several sets and relaxed masks") {
  numbers p = random_numbers(2 * 4 * 4, 1), phi = random_numbers(24, 2), masks = random_numbers(24, 3), g = random_numbers(6, 4);
  for (double& m : masks) m = 0.5 + 0.4 * m;
  auto const loss = [&] {
    numbers value(6);
    ag::superset_value(fanfold::serial, ag::superset_function<double, tanh_activation>{.size = 3, .hidden = 4, .parameter = p}, 2,
                       matrix(phi, 3), matrix(masks, 4), value);
    double s = 0;
    for (std::size_t i = 0; i < 6; ++i) s += g[i] * value[i];
    return s;
  };
  numbers dphi(24), dp(32), dmask(24);
  ag::superset_value_vjp(fanfold::serial, ag::superset_function<double, tanh_activation>{.size = 3, .hidden = 4, .parameter = p}, 2,
                         matrix(phi, 3), matrix(masks, 4), g, matrix(dphi, 3), dp, matrix(dmask, 4));
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(loss, at, gradient, 1e-6, 0.1); };
  check(p, dp), check(phi, dphi), check(masks, dmask);
}

TEST_CASE("the incremental mean-field step is what n folds a sample give, and does not depend on threads") {
  std::int64_t const sets = 3, n = 6, samples = 5;
  numbers const p = random_numbers(2 * 4 * 4, 1);
  numbers phi = random_numbers(static_cast<std::size_t>(sets * n * 3), 2), q(static_cast<std::size_t>(sets * n), 0.5),
          masks(static_cast<std::size_t>(sets * samples * n));
  ag::superset_function<double> const f{.size = 3, .hidden = 4, .parameter = p};
  ag::sample_masks(fanfold::random_stream{1, 2, 3}, fanfold::as_const(matrix(q, n)), matrix(masks, n));
  int ones = 0;
  for (double m : masks) {
    CHECK((m == 0 || m == 1));
    ones += m == 1;
  }
  CHECK(ones > 20);
  CHECK(ones < 70);
  numbers first;
  support::for_each_executor([&](char const*, auto const& ex) {
    numbers again(q.size());
    ag::mean_field_step(ex, f, sets, matrix(phi, 3), matrix(masks, n), matrix(again, n));
    if (first.empty()) first = again;
    CHECK(support::same_bits(again, first));
  });
  for (std::int64_t i = 0; i < n; ++i) {
    numbers with = masks, without = masks, a(15), b(15);
    for (std::int64_t r = 0; r < sets * samples; ++r) matrix(with, n)(r, i) = 1, matrix(without, n)(r, i) = 0;
    ag::superset_value(fanfold::serial, f, sets, matrix(phi, 3), matrix(with, n), a);
    ag::superset_value(fanfold::serial, f, sets, matrix(phi, 3), matrix(without, n), b);
    for (std::int64_t s = 0; s < sets; ++s) {
      double sum = 0;
      for (std::int64_t m = 0; m < samples; ++m)
        sum += a[static_cast<std::size_t>(s * samples + m)] - b[static_cast<std::size_t>(s * samples + m)];
      CHECK(matrix(first, n)(s, i) == doctest::Approx(1 / (1 + std::exp(-sum / 5))).epsilon(1e-12));
    }
  }
}

TEST_CASE("gradients of a mean-field step and its loss agree with central differences") {
  std::int64_t const sets = 2, n = 4;
  numbers p = random_numbers(32, 1), phi = random_numbers(24, 2), masks{1, 0, 1, 1, 0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 1},
          wanted{1, 0, 1, 0, 0, 0, 1, 1}, counted{1, 1, 1, 0, 1, 1, 1, 1}, q(8), dq(8);
  auto const loss = [&] {
    ag::superset_function<double, tanh_activation> const f{.size = 3, .hidden = 4, .parameter = p};
    ag::mean_field_step(fanfold::serial, f, sets, matrix(phi, 3), matrix(masks, n), matrix(q, n));
    return ag::selection_loss(fanfold::serial, matrix(q, n), matrix(wanted, n), matrix(counted, n));
  };
  loss();
  ag::selection_loss_vjp(fanfold::serial, matrix(q, n), matrix(wanted, n), matrix(counted, n), 1.0, matrix(dq, n));
  numbers dphi(24), dp(32), first;
  support::for_each_executor([&](char const*, auto const& ex) {
    ag::superset_function<double, tanh_activation> const f{.size = 3, .hidden = 4, .parameter = p};
    ag::mean_field_step_vjp(ex, f, sets, matrix(phi, 3), matrix(masks, n), matrix(q, n), matrix(dq, n), matrix(dphi, 3), dp);
    if (first.empty()) first = dp;
    CHECK(support::same_bits(dp, first));
  });
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(loss, at, gradient, 1e-6, 0.1); };
  check(p, dp), check(phi, dphi);
  CHECK_THROWS_WITH_AS(ag::mean_field_step_vjp(fanfold::serial, ag::superset_function<double, tanh_activation>{.size = 3, .hidden = 4, .parameter = p}, sets,
                                               matrix(phi, 3), matrix(masks, n), matrix(q, n), matrix(q, 8), matrix(dphi, 3), dp),
                       doctest::Contains("shape of the gradient"), fanfold::argument_error);
}

TEST_CASE("a set of one item") {
  ag::superset_function<double> const f{.size = 2, .hidden = 2, .parameter = example};
  numbers phi{1, 0}, masks{0, 1}, value(2), q(1);
  ag::superset_value(fanfold::serial, f, 1, matrix(phi, 2), matrix(masks, 1), value);
  CHECK(value[0] == doctest::Approx(0.1));                 // hidden (.1, -.2)
  CHECK(value[1] == doctest::Approx(0.6 - 0.5 * 0.8));     // hidden (.6, .8)
  ag::mean_field_step(fanfold::serial, f, 1, matrix(phi, 2), matrix(masks, 1), matrix(q, 1));
  CHECK(q[0] == doctest::Approx(1 / (1 + std::exp(-0.1))));
}

TEST_CASE("the loss of a selection: by hand, cut off, against central differences, on every executor") {
  numbers q{.8, .3, .5, .9}, y{1, 0, 1, 0}, counted{1, 1, 0, 2}, dq(4);
  double const loss = ag::selection_loss(fanfold::serial, matrix(q, 2), matrix(y, 2), matrix(counted, 2));
  CHECK(loss == doctest::Approx(-(std::log(.8) + std::log(.7) + 2 * std::log(.1))).epsilon(1e-14));
  ag::selection_loss_vjp(fanfold::serial, matrix(q, 2), matrix(y, 2), matrix(counted, 2), 1.0, matrix(dq, 2));
  for (std::size_t i = 0; i < 4; ++i) {
    numbers up = q, down = q;
    up[i] += 1e-6, down[i] -= 1e-6;
    double const slope = (ag::selection_loss(fanfold::serial, matrix(up, 2), matrix(y, 2), matrix(counted, 2)) -
                          ag::selection_loss(fanfold::serial, matrix(down, 2), matrix(y, 2), matrix(counted, 2))) / 2e-6;
    CHECK(dq[i] == doctest::Approx(slope).epsilon(1e-6).scale(1));
  }
  numbers certain{0, 1}, missed{1, 0}, both{1, 1}, slope(2, 7.0);
  CHECK(ag::selection_loss(fanfold::serial, matrix(certain, 2), matrix(missed, 2), matrix(both, 2)) == doctest::Approx(-2 * std::log(1e-12)));
  CHECK(ag::selection_loss(fanfold::serial, matrix(certain, 2), matrix(certain, 2), matrix(both, 2)) == 0);
  ag::selection_loss_vjp(fanfold::serial, matrix(certain, 2), matrix(missed, 2), matrix(both, 2), 1.0, matrix(slope, 2));
  CHECK(slope == numbers{0, 0});
  numbers many = random_numbers(300 * 40, 5), wanted(many.size()), all(many.size(), 1.0);
  for (std::size_t i = 0; i < many.size(); ++i) wanted[i] = many[i] > 0.2, many[i] = 0.5 + 0.4 * many[i];
  double const expected = ag::selection_loss(fanfold::serial, matrix(many, 40), matrix(wanted, 40), matrix(all, 40));
  support::for_each_executor([&](char const*, auto const& ex) {
    CHECK(ag::selection_loss(ex, matrix(many, 40), matrix(wanted, 40), matrix(all, 40)) == expected);
  });
  CHECK_THROWS_WITH_AS(ag::selection_loss(fanfold::serial, matrix(q, 2), matrix(both, 2), matrix(counted, 2)), doctest::Contains("wanted"),
                       fanfold::argument_error);
}

TEST_CASE("what does not fit is refused") {
  ag::superset_function<double> const f{.size = 2, .hidden = 2, .parameter = example};
  numbers phi(6), masks(3), value(1), two(2);
  CHECK_THROWS_WITH_AS(ag::superset_value(fanfold::serial, f, 2, matrix(phi, 2), matrix(masks, 3), value),
                       doctest::Contains("features.rows()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::superset_value(fanfold::serial, f, 1, matrix(phi, 2), matrix(masks, 3), two), doctest::Contains("value.size()"),
                       fanfold::argument_error);
#if FANFOLD_CHECKED
  masks[1] = 2;
  CHECK_THROWS_WITH_AS(ag::superset_value(fanfold::serial, f, 1, matrix(phi, 2), matrix(masks, 3), value), doctest::Contains("in [0, 1]"),
                       fanfold::argument_error);
#endif
}
