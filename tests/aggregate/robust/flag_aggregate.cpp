#include "fanfold/aggregate/robust/flag_aggregate.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/core/dense.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"

using fanfold::matrix_view;
using fanfold::aggregate::flag_aggregate;
using fanfold::aggregate::pair_weight;

namespace {

using matrix = std::vector<std::vector<double>>;

double dot(std::vector<double> const& a, std::vector<double> const& b) {
  double s = 0;
  for (std::size_t i = 0; i < a.size(); ++i) s += a[i] * b[i];
  return s;
}

/// The definition with the d-vectors themselves: eigenvectors of a d x d matrix.
struct dense_flag {
  flag_aggregate rule;
  matrix g;  // unit rows
  std::vector<double> objective;
  matrix y;
  double gap = 1;

  double rest(std::vector<double> const& x, double length2) const {
    double s = 0;
    for (auto const& axis : y) s += dot(axis, x) * dot(axis, x);
    if (rule.pairs == pair_weight::code && length2 > 0) return std::fabs(1 - s);
    double const v = length2 > 0 ? 1 - s / length2 : 1 - s;
    return v > 0 ? v : 0;
  }
  std::vector<double> difference(std::size_t i, std::size_t j) const {
    std::vector<double> x(g[i]);
    for (std::size_t c = 0; c < x.size(); ++c) x[c] -= g[j][c];
    return x;
  }
  double share() const { return g.size() < 2 ? 0 : rule.lambda / static_cast<double>(g.size() * (g.size() - 1)); }
  double value() const {
    double sum = 0;
    for (auto const& x : g) sum += std::sqrt(rest(x, 0) + rule.epsilon);
    for (std::size_t i = 0; i < g.size(); ++i)
      for (std::size_t j = 0; j < g.size(); ++j)
        if (auto const x = difference(i, j); i != j && dot(x, x) > 1e-13) sum += share() * std::sqrt(rest(x, dot(x, x)) + rule.epsilon);
    return sum;
  }
  void fit(bool equal) {
    std::size_t const d = g[0].size();
    std::vector<double> m(d * d);
    auto const add = [&](std::vector<double> const& x, double w) {
      for (std::size_t a = 0; a < d; ++a)
        for (std::size_t b = 0; b < d; ++b) m[a * d + b] += w * x[a] * x[b];
    };
    for (auto const& x : g) add(x, equal ? 1 : 1 / std::sqrt(rest(x, 0) + rule.epsilon));
    for (std::size_t i = 0; i < g.size() && !equal; ++i)
      for (std::size_t j = 0; j < g.size(); ++j)
        if (auto const x = difference(i, j); i != j && dot(x, x) > 1e-13) {
          double const weight = rule.pairs == pair_weight::paper ? share() / dot(x, x) : share() * share();
          add(x, weight / std::sqrt(rest(x, dot(x, x)) + rule.epsilon));
        }
    auto const size = static_cast<std::int64_t>(d);
    auto const eigen = fanfold::symmetric_eigen(matrix_view<double const>(m.data(), size, size), true);
    matrix axes;
    for (std::int64_t k = 0; k < rule.rank && k < size; ++k) {
      auto const at = static_cast<std::size_t>(size - 1 - k);
      if (eigen.values[at] <= 1e-12 * eigen.values.back()) break;
      axes.emplace_back(eigen.vectors.begin() + static_cast<std::ptrdiff_t>(at * d), eigen.vectors.begin() + static_cast<std::ptrdiff_t>((at + 1) * d));
      if (k + 1 == rule.rank && at > 0) gap = (eigen.values[at] - eigen.values[at - 1]) / eigen.values.back();
    }
    y = axes;
  }
  std::vector<double> projection() {
    fit(true);
    objective.push_back(value());
    for (std::int64_t step = 0; step < rule.iterations; ++step) {
      matrix const before = y;
      fit(false);
      double const now = value();
      if (now > objective.back()) {
        y = before;
        break;
      }
      bool const still = objective.back() - now <= 1e-10;
      objective.push_back(now);
      if (still) break;
    }
    std::vector<double> sum(g[0].size()), out(g[0].size());
    for (auto const& x : g)
      for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += x[c];
    for (auto const& axis : y)
      for (std::size_t c = 0; c < sum.size(); ++c) out[c] += dot(axis, sum) * axis[c];
    return out;
  }
};

fanfold::aggregate::row_geometry geometry(matrix const& x, std::vector<double>& product, std::vector<unsigned char>& finite) {
  auto const n = static_cast<std::int64_t>(x.size());
  for (auto const& a : x)
    for (auto const& b : x) product.push_back(dot(a, b));
  finite.assign(x.size(), 1);
  return {.rows = n, .product = {product.data(), n, n}, .finite = finite};
}

}  // namespace

TEST_CASE("flag_aggregate: the small problem is the dense one, on 300 random problems") {
  fanfold::workspace ws;
  int compared = 0;
  for (std::uint32_t problem = 0; problem < 300; ++problem) {
    fanfold::random_stream const r{11, 2, problem};
    std::size_t const p = 1 + r.below(9, 1000), d = 1 + r.below(12, 1001);
    flag_aggregate const rule{.rank = 1 + static_cast<std::int64_t>(r.below(static_cast<std::uint32_t>(p), 1002)),
                              .lambda = problem % 3 == 0 ? 0.0 : 0.7 * static_cast<double>(problem % 5),
                              .iterations = static_cast<std::int64_t>(problem % 6),
                              .pairs = problem % 4 == 0 ? pair_weight::code : pair_weight::paper};
    matrix x(p, std::vector<double>(d));
    for (std::size_t i = 0; i < p; ++i)
      for (std::size_t c = 0; c < d; ++c) x[i][c] = static_cast<double>(r.normal(i * d + c)) * (problem % 2 == 0 ? 1.0 : static_cast<double>(i + 1));
    if (problem % 7 == 0 && p > 2) x[1] = x[0];  // coincident rows
    std::vector<double> product;
    std::vector<unsigned char> finite;
    auto const g = geometry(x, product, finite);
    auto const result = rule.solve(g, ws);

    dense_flag dense{rule, x, {}, {}};
    for (auto& row : dense.g) {
      double const length = std::sqrt(dot(row, row));
      for (double& v : row) v /= length;
    }
    auto const expected = dense.projection();
    CAPTURE(problem);
    for (std::size_t k = 1; k < result.objective.size(); ++k) CHECK(result.objective[k] <= result.objective[k - 1]);
    for (double v : result.explained) CHECK((v >= 0 && v <= 1));
    if (dense.gap < 1e-4 || result.gap < 1e-4) continue;  // the subspace is not unique
    ++compared;
    std::vector<double> out(d), sum(d);
    for (std::size_t i = 0; i < p; ++i)
      for (std::size_t c = 0; c < d; ++c) {
        out[c] += result.projection_weight[i] * x[i][c];
        sum[c] += dense.g[i][c];
      }
    double error = 0;
    for (std::size_t c = 0; c < d; ++c) error += (out[c] - expected[c]) * (out[c] - expected[c]);
    CHECK(std::sqrt(error) <= 1e-6 * std::sqrt(dot(sum, sum)) + 1e-9);
    if (result.objective.size() == dense.objective.size()) CHECK(result.objective.back() == doctest::Approx(dense.objective.back()).epsilon(1e-8));
  }
  CHECK(compared > 250);
}

TEST_CASE("flag_aggregate: the worked example's traces") {
  fanfold::workspace ws;
  matrix const x = {{1, .2, 0}, {.9, -.1, .1}, {1.1, 0, -.1}, {.8, .1, .2}, {-3, 4, 1}};
  std::vector<double> product;
  std::vector<unsigned char> finite;
  auto const g = geometry(x, product, finite);
  auto const check = [&](flag_aggregate const& rule, std::vector<double> const& v, std::vector<double> const& alpha, double objective) {
    auto const r = rule.solve(g, ws);
    for (std::size_t i = 0; i < v.size(); ++i) CHECK(r.explained[i] == doctest::Approx(v[i]).epsilon(2e-6));
    for (std::size_t i = 0; i < alpha.size(); ++i) CHECK(r.projection_weight[i] == doctest::Approx(alpha[i]).epsilon(2e-5));
    CHECK(r.objective.back() == doctest::Approx(objective).epsilon(2e-6));
    return r;
  };
  auto const one = check({.rank = 1, .iterations = 50}, {.961845, .982098, .982564, .946524, .331288}, {.683530, 1.128743, .943555, .703177, -.019165}, 1.510175);
  CHECK(one.objective.front() == doctest::Approx(1.551945).epsilon(1e-6));
  CHECK(one.objective.size() == 21);
  check({.rank = 1, .iterations = 1}, {}, {}, 1.516253);
  check({.rank = 2, .iterations = 50}, {.999547, .976018, .995800, .947151, 1}, {}, .471167);
  check({.rank = 2, .lambda = 1, .iterations = 50}, {}, {}, .870162);
  check({}, {1, 1, 1, 1, 1}, {}, 5 * std::sqrt(1e-7));
}

TEST_CASE("flag_aggregate: edges") {
  fanfold::workspace ws;
  auto const run = [&](flag_aggregate const& rule, matrix const& x) {
    std::vector<double> product;
    std::vector<unsigned char> finite;
    auto const g = geometry(x, product, finite);
    return rule.solve(g, ws);
  };
  auto const opposite = run({.rank = 1}, {{1, 0}, {-1, 0.5}});  // the direction of g_1 - g_2: the sum is lost
  CHECK(opposite.projection_weight[0] == doctest::Approx(0).scale(1));
  CHECK(run({.rank = 3}, {{1, 1}, {2, 2}, {3, 3}}).rank == 1);  // cut to the rank of the data
  auto const zero = run({.rank = 1}, {{1, 0}, {0, 0}, {1, 0.1}});
  CHECK(zero.explained[1] == 0);
  CHECK(zero.projection_weight[1] == 0);
  auto const single = run({}, {{3, 4}});
  CHECK(single.projection_weight[0] == doctest::Approx(0.2));
  auto const a = run({.rank = 2, .lambda = 1}, {{1, 2, 0}, {0, 1, 1}, {2, 0, 1}, {1, 1, 1}});
  auto const b = run({.rank = 2, .lambda = 1}, {{10, 20, 0}, {0, .1, .1}, {2, 0, 1}, {7, 7, 7}});  // rescaling a row changes nothing
  for (std::size_t i = 0; i < 4; ++i) CHECK(a.explained[i] == doctest::Approx(b.explained[i]).epsilon(1e-9));
}
