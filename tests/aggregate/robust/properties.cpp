#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

namespace {

using row = std::vector<double>;

void check_near(row const& a, row const& b, double tolerance = 1e-12) {
  REQUIRE(a.size() == b.size());
  for (std::size_t c = 0; c < a.size(); ++c) CHECK(a[c] == doctest::Approx(b[c]).epsilon(tolerance).scale(1));
}

double length(row const& a) {
  double sum = 0;
  for (double v : a) sum += v * v;
  return std::sqrt(sum);
}
row difference(row a, row const& b) {
  for (std::size_t c = 0; c < a.size(); ++c) a[c] -= b[c];
  return a;
}
row row_of(table<double> const& x, std::int64_t i) { return {x.data.begin() + i * x.cols, x.data.begin() + (i + 1) * x.cols}; }

/// Rows turned by a product of plane rotations.
table<double> rotated(table<double> x) {
  for (std::int64_t i = 0; i < x.rows; ++i)
    for (std::int64_t c = 0; c + 1 < x.cols; ++c) {
      double const angle = 0.3 + static_cast<double>(c), p = x(i, c), q = x(i, c + 1);
      x(i, c) = std::cos(angle) * p - std::sin(angle) * q;
      x(i, c + 1) = std::sin(angle) * p + std::cos(angle) * q;
    }
  return x;
}

double sum_of_distances(table<double> const& x, row const& z) {
  double sum = 0;
  for (std::int64_t i = 0; i < x.rows; ++i) sum += length(difference(row_of(x, i), z));
  return sum;
}

}  // namespace

TEST_CASE("robust: order statistics at their ends are the mean and the median, and stay within the range of the honest") {
  table<double> const x = random_rows(9, 40, 61);
  check_near(aggregated(trimmed_mean{.f = 0}, x), aggregated(average{}, x));
  CHECK(aggregated(trimmed_mean{.f = 4}, x) == aggregated(coordinate_median{}, x));
  check_near(aggregated(mean_around_median{.f = 0}, x), aggregated(average{}, x));
  table<double> attacked = x;
  for (std::int64_t c = 0; c < 40; ++c) attacked(2, c) = 1e9, attacked(7, c) = -1e9;
  for (auto const& out : {aggregated(trimmed_mean{.f = 2}, attacked), aggregated(coordinate_median{}, attacked), aggregated(mean_around_median{.f = 2}, attacked)})
    for (std::int64_t c = 0; c < 40; ++c) {
      double low = 1e9, high = -1e9;
      for (std::int64_t i = 0; i < 9; ++i)
        if (i != 2 && i != 7) low = std::fmin(low, x(i, c)), high = std::fmax(high, x(i, c));
      CHECK(low <= out[static_cast<std::size_t>(c)]);
      CHECK(out[static_cast<std::size_t>(c)] <= high);
    }
}

TEST_CASE("robust: the sign vote of an odd number is the median of the signs") {
  table<double> const x = random_rows(7, 60, 62);
  table<double> signs = x;
  for (double& v : signs.data) v = v > 0 ? 1 : -1;
  CHECK(aggregated(sign_vote{}, x) == aggregated(coordinate_median{}, signs));
}

TEST_CASE("robust: rules on distances turn with the rows") {
  table<double> const x = random_rows(11, 5, 63), y = rotated(x);
  auto const check = [&](auto const& rule) {
    auto const out = aggregated(rule, x);
    table<double> one(1, 5);
    one.data = out;
    check_near(rotated(one).data, aggregated(rule, y), 1e-7);
  };
  check(krum{.f = 2});
  check(multi_krum{.f = 2});
  check(minimum_diameter_average{.f = 2});
  check(smallest_eigen_average{.f = 2});
  check(geometric_median{});
  check(covariance_filter{.f = 2});
  check(flag_aggregate{.rank = 2});
  check(centered_clipping{.tau = 1, .iterations = 3});
  check(compose(nearest_neighbour_mixing{.f = 2}, geometric_median{}));
}

TEST_CASE("robust: the geometric median") {
  table<double> const x = random_rows(9, 4, 64);
  row const best = aggregated(geometric_median{}, x);
  for (std::int64_t c = 0; c < 4; ++c)  // no step away is better
    for (double step : {-1e-3, 1e-3}) {
      row z = best;
      z[static_cast<std::size_t>(c)] += step;
      CHECK(sum_of_distances(x, z) > sum_of_distances(x, best));
    }
  check_near(aggregated(geometric_median{}, table<double>{{0, 2}, {4, 0}}), {2, 1}, 1e-6);
  check_near(aggregated(geometric_median{}, table<double>{{0, 0}, {1, 2}, {3, 6}, {10, 20}, {50, 100}}), {3, 6}, 1e-5);  // collinear: the median
  row const before = aggregated(geometric_median{}, x);
  table<double> outward = x;  // a row moved outward along its ray from the median does not move it
  for (std::int64_t c = 0; c < 4; ++c) outward(3, c) = before[static_cast<std::size_t>(c)] + 1000 * (x(3, c) - before[static_cast<std::size_t>(c)]);
  check_near(aggregated(geometric_median{}, outward), before, 1e-6);
}

TEST_CASE("robust: centered clipping: the mean for large tau, the start for tau 0, steps and influence within their bounds") {
  table<double> const x = random_rows(8, 6, 65);
  row const start(6, 0.5);
  auto const run = [&](table<double> const& rows, double tau, std::int64_t steps) {
    return aggregated(centered_clipping{.tau = tau, .iterations = steps}, rows, previous_output{fanfold::view<double const>(start)});
  };
  check_near(run(x, 1e9, 1), aggregated(average{}, x), 1e-9);
  check_near(run(x, 0, 3), start);
  for (std::int64_t steps : {1, 2, 5}) CHECK(length(difference(run(x, 0.3, steps), start)) <= 0.3 * static_cast<double>(steps) * (1 + 1e-12));
  table<double> forged = x;
  for (std::int64_t c = 0; c < 6; ++c) forged(5, c) = 1e7 * static_cast<double>(c + 1);
  CHECK(length(difference(run(forged, 0.3, 1), run(x, 0.3, 1))) <= 2 * 0.3 / 8 * (1 + 1e-9));
}

TEST_CASE("robust: pre-aggregations: the longest row after ARC, mixing with f = 0, identical rows, one bucket") {
  table<double> const x = random_rows(9, 5, 66);
  table<double> clipped(9, 5), again(9, 5);
  mix_rows(fanfold::serial, adaptive_robust_clip{.f = 2}, x.view(), clipped.view());
  mix_rows(fanfold::serial, adaptive_robust_clip{.f = 2}, clipped.view(), again.view());
  check_near(again.data, clipped.data);  // idempotent
  std::vector<double> before, after;
  for (std::int64_t i = 0; i < 9; ++i) before.push_back(length(row_of(x, i))), after.push_back(length(row_of(clipped, i)));
  std::int64_t changed = 0;
  double longest = 0;
  for (std::size_t i = 0; i < 9; ++i) {
    changed += after[i] < before[i] * (1 - 1e-12);
    longest = std::fmax(longest, after[i]);
  }
  CHECK(changed == 2 * 2 * 7 / 9);
  for (std::size_t i = 0; i < 9; ++i)
    if (before[i] > longest) CHECK(after[i] == doctest::Approx(longest).epsilon(1e-12));

  table<double> mixed(9, 5);
  mix_rows(fanfold::serial, nearest_neighbour_mixing{.f = 0}, x.view(), mixed.view());
  for (std::int64_t i = 0; i < 9; ++i) check_near(row_of(mixed, i), aggregated(average{}, x));
  table<double> same = x;
  for (std::int64_t i = 0; i < 7; ++i)
    for (std::int64_t c = 0; c < 5; ++c) same(i, c) = 0.75 * static_cast<double>(c);
  mix_rows(fanfold::serial, nearest_neighbour_mixing{.f = 2}, same.view(), mixed.view());
  for (std::int64_t i = 0; i < 7; ++i) check_near(row_of(mixed, i), row_of(same, 0), 1e-14);
  check_near(aggregated(compose(bucketing{.size = 20}, coordinate_median{}), x), aggregated(average{}, x));
}
