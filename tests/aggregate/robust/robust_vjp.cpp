#include "fanfold/aggregate/robust/robust_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

namespace {

template <class R, class... Options>
table<double> gradients(R const& rule, table<double> const& x, std::vector<double> const& g, Options const&... options) {
  table<double> dx(x.rows, x.cols);
  for (double& v : dx.data) v = 7;  // overwritten
  robust_vjp(rule, x.view(), g, dx.view(), options...);
  return dx;
}

std::vector<double> some_gradient(std::int64_t d) {
  std::vector<double> g;
  for (std::int64_t c = 0; c < d; ++c) g.push_back(1 + 0.25 * static_cast<double>(c));
  return g;
}

/// sum over c of g_c out_c against central differences, for rules that only choose.
template <class R>
void check_choice(R const& rule, table<double> const& x) {
  auto const g = some_gradient(x.cols);
  table<double> const dx = gradients(rule, x, g);
  auto const loss = [&](table<double> const& rows) {
    auto const out = aggregated(rule, rows);
    double sum = 0;
    for (std::size_t c = 0; c < out.size(); ++c) sum += g[c] * out[c];
    return sum;
  };
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t c = 0; c < x.cols; ++c) {
      double const step = 1e-6;
      table<double> up = x, down = x;
      up(i, c) += step;
      down(i, c) -= step;
      CHECK(dx(i, c) == doctest::Approx((loss(up) - loss(down)) / (2 * step)).epsilon(1e-6).scale(1e-1));
    }
}

}  // namespace

TEST_CASE("robust_vjp: rules that choose agree with central differences") {
  table<double> const x = random_rows(11, 4, 31);
  check_choice(coordinate_median{}, x);
  check_choice(coordinate_median{}, random_rows(10, 4, 32));
  check_choice(coordinate_median{median_kind::lower}, random_rows(10, 4, 33));
  check_choice(coordinate_median{median_kind::upper}, random_rows(10, 4, 33));
  check_choice(trimmed_mean{.f = 3}, x);
  check_choice(mean_around_median{.f = 3}, x);
  check_choice(krum{.f = 2}, x);
  check_choice(multi_krum{.f = 2}, x);
  check_choice(bulyan{.f = 2}, x);
  check_choice(minimum_diameter_average{.f = 2}, x);
  check_choice(smallest_eigen_average{.f = 2}, x);
  check_choice(nearest_to_trusted{.f = 2, .index = 3}, x);
  check_choice(average{}, x);
  check_choice(compose(nearest_neighbour_mixing{.f = 2}, trimmed_mean{.f = 2}), x);
  check_choice(compose(nearest_neighbour_mixing{.f = 2}, krum{.f = 2}), x);
  check_choice(compose(nearest_neighbour_mixing{.f = 2}, bulyan{.f = 2}), x);
  check_choice(compose(bucketing{.size = 3}, coordinate_median{}), x);
}

TEST_CASE("robust_vjp: weights are constants") {
  table<double> const x = random_rows(11, 4, 35);
  auto const g = some_gradient(4);
  // where out = sum of alpha_i x_i, the gradients of a row are alpha_i g, and <dx, x> = <g, out>
  auto const check = [&](auto const& rule) {
    table<double> const dx = gradients(rule, x, g);
    auto const out = aggregated(rule, x);
    double left = 0, right = 0;
    for (std::size_t i = 0; i < x.data.size(); ++i) left += dx.data[i] * x.data[i];
    for (std::size_t c = 0; c < g.size(); ++c) right += g[c] * out[c];
    CHECK(left == doctest::Approx(right).epsilon(1e-9));
    for (std::int64_t i = 0; i < x.rows; ++i)
      for (std::int64_t c = 1; c < x.cols; ++c) CHECK(dx(i, c) == doctest::Approx(dx(i, 0) * g[static_cast<std::size_t>(c)]).epsilon(1e-12));
  };
  check(geometric_median{});
  check(covariance_filter{.f = 2});
  check(flag_aggregate{.rank = 3});
  check(centered_clipping{.tau = 0.5, .iterations = 3});
  check(compose(norm_clip{1.0}, average{}));
  check(compose(adaptive_robust_clip{.f = 2}, geometric_median{}));
}

TEST_CASE("robust_vjp: rows of equal value in index order; rows that are not finite") {
  std::vector<double> const g{6};
  CHECK(gradients(coordinate_median{}, table<double>{{1.0}, {2.0}, {2.0}, {2.0}, {3.0}}, g).data == std::vector<double>{0, 0, 6, 0, 0});
  CHECK(gradients(trimmed_mean{.f = 1}, table<double>{{2.0}, {2.0}, {2.0}, {2.0}, {3.0}}, g).data == std::vector<double>{0, 2, 2, 2, 0});
  CHECK(gradients(trimmed_mean{.f = 1}, table<double>{{3.0}, {2.0}, {3.0}, {2.0}, {3.0}}, g).data == std::vector<double>{2, 0, 2, 2, 0});
  CHECK(gradients(mean_around_median{.f = 1}, table<double>{{0.0}, {0.0}, {10.0}, {11.0}, {12.0}}, {4}).data == std::vector<double>{0, 1, 1, 1, 1});
  double const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(gradients(coordinate_median{}, table<double>{{nan}, {2.0}, {1.0}}, g).data == std::vector<double>{0, 6, 0});
  table<double> const x{{1.0}, {2.0}, {1.5}, {nan}, {1.2}};
  CHECK(gradients(minimum_diameter_average{.f = 1}, x, {4}).data == std::vector<double>{1, 1, 1, 0, 1});
}

TEST_CASE("robust_vjp: the same bits on every executor, long and many rows") {
  table<double> const x = random_rows(70, 900, 37);
  auto const g = some_gradient(900);
  auto const check = [&](auto const& rule) {
    table<double> const expected = gradients(rule, x, g);
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      table<double> dx(70, 900);
      robust_vjp(ex, rule, x.view(), g, dx.view());
      CHECK(support::same_bits(dx.data, expected.data));
    });
  };
  check(mean_around_median{.f = 20});
  check(compose(nearest_neighbour_mixing{.f = 10}, trimmed_mean{.f = 10}));
  check(geometric_median{});
}

TEST_CASE("robust_vjp: shapes that do not match are refused") {
  table<double> const x = random_rows(5, 4, 1);
  table<double> dx(4, 4), right(5, 4);
  CHECK_THROWS_AS(robust_vjp(krum{.f = 1}, x.view(), some_gradient(4), dx.view()), fanfold::argument_error);
  CHECK_THROWS_AS(robust_vjp(trimmed_mean{.f = 1}, x.view(), some_gradient(3), right.view()), fanfold::argument_error);
  CHECK_THROWS_AS(robust_vjp(trimmed_mean{.f = 3}, x.view(), some_gradient(4), right.view()), fanfold::argument_error);
}
