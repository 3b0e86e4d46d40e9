#pragma once

#include <cmath>
#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/dense.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// CAF: weights c start at 1 and are taken from rows that stand out along the direction of largest variance, c_i *= 1 - t_i / max t with
/// t_i = <x_i - mu, v>^2, until only n - 2f are left; the answer is the weighted mean seen with the smallest largest variance. The maximum
/// runs over rows with c_i > 0, so each step silences a row and there are at most n of them. Eigenvectors are exact (of an n x n matrix).
/// Needs n >= 2f + 1. f = 0: the mean.
/// Guerraoui et al., Towards Trustworthy Federated Learning with Untrusted Participants, 2025; definition as in ByzFL.
struct covariance_filter {
  std::int64_t f = 0;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const { detail::check_majority("covariance_filter", n, f); }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const { solve(g, weight, ws); }

  /// Number of steps taken.
  std::int64_t solve(row_geometry const& g, view<double> weight, workspace& ws) const {
    std::int64_t const n = g.rows;
    detail::check_finite_rows("covariance_filter", g, n - f);
    workspace::frame frame(ws);
    view<double> const c = frame.take<double>(n), w = frame.take<double>(n), t = frame.take<double>(n);
    matrix_view<double> const b = detail::take_matrix(frame, n, n), scaled = detail::take_matrix(frame, n, n);
    for (std::int64_t i = 0; i < n; ++i) c[i] = g.finite[i];
    detail::set(weight, 0);
    double least = detail::infinite;
    std::int64_t steps = 0;
    for (;; ++steps) {
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) sum += c[i];
      if (steps > 0 && !(sum > static_cast<double>(n - 2 * f))) break;
      for (std::int64_t i = 0; i < n; ++i) w[i] = c[i] / sum;
      centre(g, w, b);
      double const lambda = spread(b, w, scaled, t);
      if (steps == 0 || lambda < least) {
        least = lambda;
        for (std::int64_t i = 0; i < n; ++i) weight[i] = w[i];
      }
      double most = 0;
      for (std::int64_t i = 0; i < n; ++i) most = c[i] > 0 && t[i] > most ? t[i] : most;
      if (f == 0 || !(lambda > 0) || !(most > 0)) break;
      for (std::int64_t i = 0; i < n; ++i) c[i] = t[i] < most ? c[i] * (1 - t[i] / most) : 0;
    }
    return steps;
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }

 private:
  // -1/2 (I - 1w') D2 (I - 1w')' over the finite rows: products about the weighted mean
  static void centre(row_geometry const& g, view<double const> w, matrix_view<double> b) {
    std::int64_t const n = g.rows;
    double all = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      b(i, i) = 0;  // holds the row's mean until the end
      for (std::int64_t j = 0; j < n && g.finite[i]; ++j)
        if (w[j] > 0) b(i, i) += w[j] * g.distance(i, j);
      all += w[i] * b(i, i);
    }
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < i; ++j) b(i, j) = b(j, i) = g.finite[i] && g.finite[j] ? -0.5 * (g.distance(i, j) - b(i, i) - b(j, j) + all) : 0;
    for (std::int64_t i = 0; i < n; ++i) b(i, i) = g.finite[i] ? b(i, i) - 0.5 * all : 0;
  }

  // The largest variance, and each row's share of it.
  static double spread(matrix_view<double const> b, view<double const> w, matrix_view<double> scaled, view<double> t) {
    std::int64_t const n = w.size();
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) scaled(i, j) = w[i] > 0 && w[j] > 0 ? std::sqrt(w[i]) * b(i, j) * std::sqrt(w[j]) : 0;
    auto const eigen = symmetric_eigen(scaled, true);
    double const lambda = eigen.values.back();
    double const* const u = eigen.vectors.data() + (n - 1) * n;
    for (std::int64_t i = 0; i < n; ++i) {
      double s = 0;
      for (std::int64_t j = 0; j < n; ++j) s += w[j] > 0 ? b(i, j) * std::sqrt(w[j]) * u[j] : 0;
      t[i] = lambda > 0 ? s * s / lambda : 0;
    }
    return lambda;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
