#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"

using namespace fanfold::aggregate;

namespace {

using numbers = std::vector<double>;
using points = std::vector<numbers>;

points const example{{1, 2}, {2, 1}, {3, 4}, {2, 3}, {100, -50}};

/// What rules see of rows, with the zero vector behind them where asked.
struct seen_rows {
  numbers distance, product;
  std::vector<unsigned char> finite;
  row_geometry g;

  explicit seen_rows(points x, bool origin = false, bool previous = false) {
    g.rows = static_cast<std::int64_t>(x.size());
    if (origin || previous) {
      (origin ? g.origin : g.previous) = g.rows;
      g.centre = previous ? g.rows : -1;
      x.push_back(numbers(x[0].size(), 0.0));
    }
    for (numbers const& a : x)
      for (numbers const& b : x) {
        double square = 0, dot = 0;
        for (std::size_t c = 0; c < a.size(); ++c) square += (a[c] - b[c]) * (a[c] - b[c]), dot += a[c] * b[c];
        distance.push_back(square);
        product.push_back(dot);
      }
    finite.assign(x.size(), 1);
    auto const n = static_cast<std::int64_t>(x.size());
    g.distance = {distance.data(), n, n};
    if (previous) g.product = {product.data(), n, n};
    g.finite = {finite.data(), n};
  }
  seen_rows(seen_rows const&) = delete;
  seen_rows& operator=(seen_rows const&) = delete;
};

void check_near(numbers const& a, numbers const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(std::fabs(a[i] - b[i]) < 6e-7);
}

numbers scores(std::int64_t k) {
  seen_rows const x(example);
  numbers score(5);
  fanfold::workspace ws;
  detail::krum_scores(x.g, k, score, ws);
  return score;
}

/// The greatest variance of weighted rows of two coordinates.
double greatest_variance(points const& x, numbers const& w) {
  double mean[2] = {0, 0}, s[3] = {0, 0, 0};
  for (std::size_t i = 0; i < x.size(); ++i) mean[0] += w[i] * x[i][0], mean[1] += w[i] * x[i][1];
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const p = x[i][0] - mean[0], q = x[i][1] - mean[1];
    s[0] += w[i] * p * p, s[1] += w[i] * p * q, s[2] += w[i] * q * q;
  }
  return (s[0] + s[2]) / 2 + std::sqrt((s[0] - s[2]) * (s[0] - s[2]) / 4 + s[1] * s[1]);
}

}  // namespace

TEST_CASE("robust: distances and Krum scores of the worked example") {
  seen_rows const x(example);
  CHECK(numbers(x.distance.begin(), x.distance.begin() + 20) ==
        numbers{0, 2, 8, 2, 12505, 2, 0, 10, 4, 12205, 8, 10, 0, 2, 12325, 2, 4, 2, 0, 12413});
  CHECK(scores(detail::krum_count(krum_neighbours::blanchard, 5, 1)) == numbers{4, 6, 10, 4, 24530});
  CHECK(scores(detail::krum_count(krum_neighbours::byzfl, 5, 1)) == numbers{12, 16, 20, 8, 36943});
}

TEST_CASE("robust: steps, objective and weights of the geometric median of the worked example") {
  fanfold::workspace ws;
  numbers weight(5), with_origin(6);
  auto const r = geometric_median{}.solve(seen_rows(example).g, weight, ws);
  check_near(weight, {.207302, .177513, .149781, .463049, .002355});
  CHECK(r.steps == 62);
  CHECK(r.objective == doctest::Approx(116.050511).epsilon(1e-8));
  geometric_median{weiszfeld::byzfl}.weigh(seen_rows(example, true).g, with_origin, ws);
  check_near(with_origin, {.251178, .284376, .146053, .315629, .002764, 0});
}

TEST_CASE("robust: coefficients of centered clipping of the worked example") {
  fanfold::workspace ws;
  numbers weight(6);
  centered_clipping{.tau = 2, .iterations = 3}.weigh(seen_rows(example, false, true).g, weight, ws);
  check_near(weight, {.258214, .258214, .197384, .251673, .004684, .029831});
}

TEST_CASE("robust: steps and variance of the covariance filter of the worked examples") {
  fanfold::workspace ws;
  numbers weight(5), more(8), even(5, 0.2);
  CHECK(greatest_variance(example, even) == doctest::Approx(1977.840793).epsilon(1e-9));
  CHECK(covariance_filter{.f = 1}.solve(seen_rows(example).g, weight, ws) == 2);
  CHECK(weight[4] == 0);
  CHECK(greatest_variance(example, weight) == doctest::Approx(1.501904).epsilon(1e-6));
  points eight = example;
  for (numbers const& x : points{{1.5, 2.5}, {2.5, 2.2}, {-60, 10}}) eight.push_back(x);
  CHECK(greatest_variance(eight, numbers(8, 0.125)) == doctest::Approx(1942.372100).epsilon(1e-9));
  CHECK(covariance_filter{.f = 2}.solve(seen_rows(eight).g, more, ws) == 4);
  CHECK(greatest_variance(eight, more) == doctest::Approx(.343209).epsilon(2e-6));
}
