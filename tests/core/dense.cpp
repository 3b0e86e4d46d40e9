#include "fanfold/core/dense.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace {

namespace ff = fanfold;

std::vector<double> symmetric(std::int64_t n, std::uint32_t seed) {
  std::vector<double> a(static_cast<std::size_t>(n * n));
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      seed = seed * 1664525u + 1013904223u;
      a[static_cast<std::size_t>(i * n + j)] = a[static_cast<std::size_t>(j * n + i)] = static_cast<double>(seed) * 0x1p-31 - 1;
    }
  return a;
}

ff::matrix_view<double const> square(std::vector<double> const& a, std::int64_t n) { return {a.data(), n, n}; }

double const pi = 3.14159265358979323846;

}  // namespace

TEST_CASE("symmetric_eigen: known spectra") {
  // a path's Laplacian: 2 - 2 cos(pi k / n)
  for (std::int64_t n : {1, 2, 3, 4, 16, 101, 300}) {
    std::vector<double> l(static_cast<std::size_t>(n * n));
    for (std::int64_t i = 0; i + 1 < n; ++i) {
      l[static_cast<std::size_t>(i * n + i)] += 1;
      l[static_cast<std::size_t>((i + 1) * n + i + 1)] += 1;
      l[static_cast<std::size_t>((i + 1) * n + i)] = l[static_cast<std::size_t>(i * n + i + 1)] = -1;
    }
    auto const values = ff::symmetric_eigen(square(l, n)).values;
    for (std::int64_t k = 0; k < n; ++k)
      CHECK(values[static_cast<std::size_t>(k)] == doctest::Approx(2 - 2 * std::cos(pi * static_cast<double>(k) / static_cast<double>(n))).epsilon(1e-12));
  }
  auto const zero = ff::symmetric_eigen(square(std::vector<double>(25), 5)).values;
  CHECK(zero == std::vector<double>(5));
  std::vector<double> const ones(36, 1.0);
  auto const rank_one = ff::symmetric_eigen(square(ones, 6)).values;
  CHECK(rank_one[5] == doctest::Approx(6));
  CHECK(std::fabs(rank_one[4]) < 1e-14);
  CHECK(std::fabs(rank_one[0]) < 1e-14);
  CHECK(ff::symmetric_eigen({}).values.empty());
  // zero diagonal and a gap of sizes
  std::vector<double> const swap{0, 1, 1, 0};
  auto const two = ff::symmetric_eigen(square(swap, 2)).values;
  CHECK(two[0] == doctest::Approx(-1));
  CHECK(two[1] == doctest::Approx(1));
  std::vector<double> const graded{1e200, 1, 0, 1, 1, 1e-3, 0, 1e-3, 1e-200};
  auto const g = ff::symmetric_eigen(square(graded, 3)).values;
  CHECK(g[2] == doctest::Approx(1e200));
}

TEST_CASE("symmetric_eigen: vectors are orthonormal and satisfy A v = lambda v") {
  for (std::int64_t n : {1, 2, 3, 5, 17, 64, 150}) {
    auto const a = symmetric(n, static_cast<std::uint32_t>(n));
    auto const r = ff::symmetric_eigen(square(a, n), true);
    double const tolerance = 1e-14 * static_cast<double>(n + 10);
    auto const m = static_cast<std::size_t>(n);
    double trace = 0, sum = 0, worst = 0, skew = 0;
    for (std::size_t k = 0; k < m; ++k) {
      if (k > 0) CHECK(r.values[k - 1] <= r.values[k]);
      trace += a[k * m + k];
      sum += r.values[k];
      for (std::size_t i = 0; i < m; ++i) {
        double av = 0, dot = 0;
        for (std::size_t j = 0; j < m; ++j) {
          av += a[i * m + j] * r.vectors[k * m + j];
          dot += r.vectors[k * m + j] * r.vectors[i * m + j];
        }
        worst = std::fmax(worst, std::fabs(av - r.values[k] * r.vectors[k * m + i]));
        skew = std::fmax(skew, std::fabs(dot - (i == k)));
      }
    }
    CHECK(trace == doctest::Approx(sum).epsilon(1e-10));
    CHECK(worst < tolerance);
    CHECK(skew < tolerance);
    CHECK(ff::symmetric_eigen(square(a, n)).values == r.values);
  }
}

TEST_CASE("cholesky: factor and solve") {
  for (std::int64_t n : {1, 2, 7, 40}) {
    auto const b = symmetric(n, 99);
    auto const m = static_cast<std::size_t>(n);
    std::vector<double> a(m * m), x(m), rhs(m);
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < m; ++j) {
        for (std::size_t k = 0; k < m; ++k) a[i * m + j] += b[i * m + k] * b[j * m + k];
        a[i * m + j] += i == j;
      }
    for (std::size_t i = 0; i < m; ++i) x[i] = b[i];
    for (std::size_t i = 0; i < m; ++i)
      for (std::size_t j = 0; j < m; ++j) rhs[i] += a[i * m + j] * x[j];
    CHECK(ff::cholesky({a.data(), n, n}));
    ff::cholesky_solve({a.data(), n, n}, rhs);
    for (std::size_t i = 0; i < m; ++i) CHECK(rhs[i] == doctest::Approx(x[i]).epsilon(1e-9));
  }
  std::vector<double> indefinite{1, 2, 2, 1};
  CHECK_FALSE(ff::cholesky({indefinite.data(), 2, 2}));
  std::vector<double> nan{std::numeric_limits<double>::quiet_NaN()};
  CHECK_FALSE(ff::cholesky({nan.data(), 1, 1}));
}

TEST_CASE("dense: errors") {
  std::vector<double> a(6, 1.0);
  CHECK_THROWS_WITH_AS((void)ff::symmetric_eigen({a.data(), 2, 3}), doctest::Contains("number of columns"), ff::argument_error);
  CHECK_THROWS_AS((void)ff::cholesky({a.data(), 3, 2}), ff::argument_error);
  a[0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS((void)ff::symmetric_eigen({a.data(), 2, 2}), doctest::Contains("finite"), ff::argument_error);
  std::vector<double> x(2);
  CHECK_THROWS_AS(ff::cholesky_solve({a.data(), 1, 1}, x), ff::argument_error);
}
