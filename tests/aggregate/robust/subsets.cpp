#include "fanfold/aggregate/robust/subsets.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "fanfold/core/dense.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::table;

namespace {

/// The mean of the subset of n - f rows with the smallest cost; the lexicographically first of several.
std::vector<double> best_subset_mean(table<double> const& x, std::int64_t f, std::function<double(std::vector<std::int64_t> const&)> const& cost) {
  std::int64_t const n = x.rows, size = n - f;
  std::vector<std::int64_t> best;
  double least = 0;
  for (std::int64_t bits = (std::int64_t{1} << n) - 1; bits > 0; --bits) {  // row 0 is the highest bit: lexicographic order
    std::vector<std::int64_t> s;
    for (std::int64_t i = 0; i < n; ++i)
      if ((bits >> (n - 1 - i)) & 1) s.push_back(i);
    if (static_cast<std::int64_t>(s.size()) != size) continue;
    double const c = cost(s);
    if (best.empty() || c < least * (1 - 1e-12)) {
      least = c;
      best = s;
    }
  }
  std::vector<double> mean(static_cast<std::size_t>(x.cols));
  for (std::int64_t c = 0; c < x.cols; ++c)
    for (std::int64_t i : best) mean[static_cast<std::size_t>(c)] += x(i, c) / static_cast<double>(size);
  return mean;
}

double largest_variance(table<double> const& x, std::vector<std::int64_t> const& s) {
  std::vector<double> covariance(static_cast<std::size_t>(x.cols * x.cols));
  std::vector<double> mean(static_cast<std::size_t>(x.cols));
  double const share = 1 / static_cast<double>(s.size());
  for (std::int64_t i : s)
    for (std::int64_t c = 0; c < x.cols; ++c) mean[static_cast<std::size_t>(c)] += share * x(i, c);
  for (std::int64_t i : s)
    for (std::int64_t a = 0; a < x.cols; ++a)
      for (std::int64_t b = 0; b < x.cols; ++b)
        covariance[static_cast<std::size_t>(a * x.cols + b)] += share * (x(i, a) - mean[static_cast<std::size_t>(a)]) * (x(i, b) - mean[static_cast<std::size_t>(b)]);
  return fanfold::symmetric_eigen(fanfold::matrix_view<double const>(covariance.data(), x.cols, x.cols)).values.back();
}

double diameter(table<double> const& x, std::vector<std::int64_t> const& s) {
  double most = 0;
  for (std::int64_t i : s)
    for (std::int64_t j : s) {
      double d = 0;
      for (std::int64_t c = 0; c < x.cols; ++c) d += (x(i, c) - x(j, c)) * (x(i, c) - x(j, c));
      most = d > most ? d : most;
    }
  return most;
}

void check_same(std::vector<double> const& a, std::vector<double> const& b) {
  for (std::size_t c = 0; c < a.size(); ++c) CHECK(a[c] == doctest::Approx(b[c]).epsilon(1e-12).scale(1));
}

}  // namespace

TEST_CASE("robust: subset rules against every subset, measured in the space of the rows") {
  for (std::uint32_t tag = 0; tag < 60; ++tag) {
    CAPTURE(tag);
    std::int64_t const n = 7 + tag % 4, f = 1 + tag % 3;
    table<double> x = support::random_rows(n, 3, 900 + tag);
    if (tag % 5 == 1)  // far rows
      for (std::int64_t c = 0; c < 3; ++c) x(n - 1, c) = 1e6, x(0, c) = -30;
    if (tag % 5 == 2)  // nearly flat
      for (std::int64_t i = 0; i < n; ++i) x(i, 2) = 1e-6 * x(i, 2);
    if (tag % 5 == 3)  // a tight cluster of n - f rows
      for (std::int64_t i = f; i < n; ++i)
        for (std::int64_t c = 0; c < 3; ++c) x(i, c) = 5 + 1e-3 * x(i, c);
    check_same(aggregated(smallest_eigen_average{.f = f}, x), best_subset_mean(x, f, [&](auto const& s) { return largest_variance(x, s); }));
    check_same(aggregated(minimum_diameter_average{.f = f}, x), best_subset_mean(x, f, [&](auto const& s) { return diameter(x, s); }));
  }
}

TEST_CASE("robust: subset rules take the first of equal subsets") {
  table<double> const x{{0, 0}, {1, 0}, {0, 0}, {1, 0}, {0, 0}, {1, 0}, {0, 0}};
  check_same(aggregated(smallest_eigen_average{.f = 3}, x), {0, 0});
  table<double> const y{{0.0}, {2.0}, {0.0}, {2.0}, {0.0}, {2.0}};
  check_same(aggregated(minimum_diameter_average{.f = 2}, y), {1});
}
