#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/robust/robust_vjp.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::table;

namespace {

/// Small whole numbers: many values at equal distance from the median, and sums are exact.
table<float> tied_rows(std::int64_t n, std::int64_t d, std::uint32_t tag) {
  table<float> x(n, d);
  fanfold::random_stream const r{8, 1, tag};
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(r.below(9, i)) - 4;
  return x;
}

/// The rows that count, by sorting (distance, row) pairs.
std::vector<std::int64_t> chosen_rows(std::vector<float> const& v, std::int64_t f) {
  std::vector<float> sorted = v;
  std::sort(sorted.begin(), sorted.end());
  std::size_t const n = v.size();
  float const median = n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  std::vector<std::int64_t> order;
  for (std::size_t i = 0; i < n; ++i) order.push_back(static_cast<std::int64_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return std::fabs(v[static_cast<std::size_t>(a)] - median) < std::fabs(v[static_cast<std::size_t>(b)] - median);
  });
  order.resize(n - static_cast<std::size_t>(f));
  return order;
}

std::vector<float> column(table<float> const& x, std::int64_t c) {
  std::vector<float> v;
  for (std::int64_t i = 0; i < x.rows; ++i) v.push_back(x(i, c));
  return v;
}

template <class T>
std::vector<T> gradient(mean_around_median_by_index const& rule, table<T> const& x, std::vector<T> const& g) {
  table<T> dx(x.rows, x.cols);
  robust_vjp(rule, x.view(), g, dx.view());
  return dx.data;
}

}  // namespace

TEST_CASE("mean_around_median: of two at equal distance the lower value or the smaller row counts") {
  table<double> const pairs{{4}, {3}, {4}, {3}}, skewed{{0}, {0}, {10}, {11}, {12}};
  CHECK(aggregated(mean_around_median{.f = 1}, pairs)[0] == doctest::Approx(3.333333).epsilon(1e-6));
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, pairs)[0] == doctest::Approx(3.666667).epsilon(1e-6));
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{3}, {4}, {3}, {4}})[0] == doctest::Approx(3.333333).epsilon(1e-6));
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, skewed) == std::vector<double>{8.25});
  table<double> const example{{1, 2}, {2, 1}, {3, 4}, {2, 3}, {100, -50}};
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, example) == std::vector<double>{2, 2.5});
  CHECK(aggregated(mean_around_median_by_index{}, table<double>{{7}}) == std::vector<double>{7});
  CHECK_THROWS_WITH_AS(aggregated(mean_around_median_by_index{.f = 2}, pairs), doctest::Contains("mean_around_median_by_index"), fanfold::argument_error);
}

TEST_CASE("mean_around_median_by_index: pairs of distance and row in order, values and gradients, on every executor and on devices") {
  for (std::int64_t n : {1, 2, 3, 4, 5, 8, 11, 20, 33, 64, 65, 70})
    for (std::int64_t f : {std::int64_t{0}, (n - 1) / 4, (n - 1) / 2}) {
      CAPTURE(n);
      CAPTURE(f);
      std::int64_t const d = 37;  // whole registers and a rest
      mean_around_median_by_index const rule{.f = f};
      table<float> const x = tied_rows(n, d, static_cast<std::uint32_t>(n));
      std::vector<float> expected, g(static_cast<std::size_t>(d), 1.0f), shares(x.data.size());
      for (std::int64_t c = 0; c < d; ++c) {
        float sum = 0;
        for (std::int64_t i : chosen_rows(column(x, c), f)) {
          sum += x(i, c);
          shares[static_cast<std::size_t>(i * d + c)] = 1 / static_cast<float>(n - f);
        }
        expected.push_back(sum / static_cast<float>(n - f));
      }
      support::for_each_executor([&](char const* name, auto const& ex) {
        CAPTURE(name);
        std::vector<float> out(expected.size());
        robust(ex, rule, x.view(), out);
        CHECK(out == expected);
      });
      for (unsigned threads : {32u, 128u}) {
        fanfold::workspace ws;
        fanfold::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 2, .descending = threads == 128});
        std::vector<float> out(expected.size());
        robust(ex, rule, x.view(), out);
        fanfold::finish(ex);
        CHECK(out == expected);
      }
      CHECK(gradient(rule, x, g) == shares);
    }
}

TEST_CASE("mean_around_median_by_index: away from ties it is mean_around_median, also beside it and behind a mixing of rows") {
  table<double> const x = support::random_rows(10, 41, 19);
  CHECK(support::same_bits(aggregated(mean_around_median_by_index{.f = 3}, x), aggregated(mean_around_median{.f = 3}, x)));
  nearest_neighbour_mixing const before{.f = 3};
  CHECK(support::same_bits(aggregated(compose(before, mean_around_median_by_index{.f = 2}), x), aggregated(compose(before, mean_around_median{.f = 2}), x)));
  table<double> both(2, 4);
  table<double> const tied{{4, 1, 2, 0}, {3, 2, 2, 0}, {4, 3, 2, 0}, {3, 4, 2, 8}};
  fanfold::coordinate_fold(fanfold::together(mean_around_median{.f = 1}, mean_around_median_by_index{.f = 1}), tied.view(), both.view());
  CHECK(both.data[0] == doctest::Approx(10.0 / 3));
  CHECK(both.data[4] == doctest::Approx(11.0 / 3));
  CHECK(std::vector<double>(both.data.begin() + 1, both.data.begin() + 4) == std::vector<double>(both.data.begin() + 5, both.data.end()));
}

TEST_CASE("mean_around_median_by_index: rows that are not finite are the farthest; storage of 16 bits") {
  double const nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{4}, {3}, {nan}, {4}, {2}})[0] == 3.25);
  CHECK(aggregated(mean_around_median_by_index{.f = 2}, table<double>{{-inf}, {1}, {nan}, {2}, {3}}) == std::vector<double>{2});
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{inf}, {1}, {2}, {3}, {-inf}}) == std::vector<double>{inf});
  CHECK(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{-inf}, {1}, {2}, {3}, {inf}}) == std::vector<double>{-inf});
  CHECK(std::isnan(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{4}, {3}, {nan}}, fanfold::nonfinite::propagate)[0]));
  CHECK_THROWS_AS(aggregated(mean_around_median_by_index{.f = 1}, table<double>{{4}, {3}, {nan}}, fanfold::nonfinite::reject), fanfold::argument_error);
  table<fanfold::bfloat16> half(4, 9);
  for (std::int64_t c = 0; c < 9; ++c)
    for (std::int64_t i = 0; i < 4; ++i) half(i, c) = fanfold::from_arithmetic<fanfold::bfloat16>(i % 2 == 0 ? 5.0f : 3.0f);
  std::vector<float> out(9);
  robust(mean_around_median_by_index{.f = 1}, half.view(), out);
  CHECK(out == std::vector<float>(9, 13.0f / 3));
}
