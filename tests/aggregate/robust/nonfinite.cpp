#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

TEST_CASE("robust: rows that are not finite get no weight") {
  double const inf = (std::numeric_limits<double>::infinity)();
  for (double poison : {inf, -inf, std::numeric_limits<double>::quiet_NaN()})
    support::for_each_robust_rule(11, 2, [&](std::string const& name, auto const& rule) {
      CAPTURE(name);
      CAPTURE(poison);
      table<double> x = random_rows(11, 5, 9);
      x(1, 0) = poison;  // one coordinate of one row, all of another
      for (std::int64_t c = 0; c < 5; ++c) x(4, c) = poison;
      for (double v : aggregated(rule, x)) CHECK(std::fabs(v) < 5);
    });
  // a row's poison does not show, whatever it is
  table<double> a = random_rows(9, 4, 2), b = a;
  a(3, 1) = inf;
  b(3, 2) = std::numeric_limits<double>::quiet_NaN();
  CHECK(support::same_bits(aggregated(krum{.f = 2}, a), aggregated(krum{.f = 2}, b)));
  CHECK(support::same_bits(aggregated(geometric_median{}, a), aggregated(geometric_median{}, b)));
}

TEST_CASE("robust: too few finite rows are an error, also where none vouches for another") {
  double const nan = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS_AS(aggregated(krum{.f = 1}, table<double>({{1}, {2}, {nan}, {nan}, {3}})), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(covariance_filter{.f = 0}, table<double>({{1}, {nan}})), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(geometric_median{}, table<double>({{nan}, {nan}})), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(krum{.f = 1}, table<double>({{1}, {2}, {nan}, {4}, {3}}), fanfold::nonfinite::reject), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(nearest_to_trusted{.f = 1, .index = 2}, table<double>({{1}, {2}, {nan}, {4}, {3}})), fanfold::argument_error);
  CHECK(aggregated(geometric_median{}, table<double>({{nan}, {7}, {nan}})) == std::vector<double>{7});
  CHECK(aggregated(geometric_median{}, table<double>({{7}, {nan}, {nan}})) == std::vector<double>{7});
  CHECK(aggregated(geometric_median{}, table<double>({{3}})) == std::vector<double>{3});
  CHECK_THROWS_AS(aggregated(geometric_median{}, table<double>({{nan}})), fanfold::argument_error);
}

TEST_CASE("robust: selections do not change when everything is shifted, in float") {
  table<float> x({{1, 2}, {2, 1}, {3, 4}, {2, 3}, {100, -50}}), far = x;
  for (float& v : far.data) v += 10000;
  auto const check = [&](auto const& rule) {
    auto const a = aggregated(rule, x), b = aggregated(rule, far);
    for (std::size_t c = 0; c < 2; ++c) CHECK(b[c] - 10000 == doctest::Approx(a[c]).epsilon(2e-3));
  };
  check(krum{.f = 1});
  check(multi_krum{.f = 1});
  check(minimum_diameter_average{.f = 1});
  check(smallest_eigen_average{.f = 1});
  check(compose(nearest_neighbour_mixing{.f = 1}, minimum_diameter_average{.f = 1}));
  check(covariance_filter{.f = 1});
  check(geometric_median{});
  // what the naive formula makes of the first two rows: norms minus products cancel to 0 where the truth is 2
  float const naive = (far(0, 0) * far(0, 0) + far(0, 1) * far(0, 1)) + (far(1, 0) * far(1, 0) + far(1, 1) * far(1, 1)) -
                      2.0f * (far(0, 0) * far(1, 0) + far(0, 1) * far(1, 1));
  CHECK(std::fabs(naive - 2.0f) > 1);
}
