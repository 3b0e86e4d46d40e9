#pragma once

#include <cmath>
#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Steps v += (1/n) sum over rows of (x_i - v) min(1, tau / |x_i - v|) from the previous output, which the call takes as the option
/// `previous_output{m}` (without it: zero). One row moves the result by at most tau / n a step. Rows that are not finite do not pull.
/// Karimireddy, He, Jaggi, Learning from History for Byzantine Robust Optimization, 2021 (arXiv 2012.10333).
struct centered_clipping {
  double tau = 100;
  std::int64_t iterations = 1;

  static constexpr bool uses_previous = true;
  /// One step needs distances to the start only.
  needs requirement() const { return iterations <= 1 ? needs::norms : needs::products; }
  void check(std::int64_t n) const {
    check_argument(n >= 1, "centered_clipping", "number of rows", n, "1 or more");
    check_argument(tau >= 0, "centered_clipping", "tau", tau, "0 or more");
    check_argument(iterations >= 0, "centered_clipping", "iterations", iterations, "0 or more");
  }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    workspace::frame frame(ws);
    view<double> const length = frame.take<double>(g.rows), factor = frame.take<double>(g.rows);
    detail::set(weight, 0);  // the rows' weights; the rest up to 1 lies on the previous output, about which the products are
    double const share = 1 / static_cast<double>(g.rows);
    for (std::int64_t l = 0; l < iterations; ++l) {
      if (iterations > 1)
        detail::distances_to_mixture(g.product, weight, length, ws);
      else
        for (std::int64_t i = 0; i < g.rows; ++i) length[i] = g.distance.empty() ? g.squared_norm(i) : g.distance(i, g.previous >= 0 ? g.previous : g.origin);
      double sum = 0;
      for (std::int64_t i = 0; i < g.rows; ++i) {
        double const d = std::sqrt(length[i]);
        factor[i] = !g.finite[i] ? 0 : d > tau ? tau / d : 1;
        sum += factor[i];
      }
      for (std::int64_t i = 0; i < g.rows; ++i) weight[i] = weight[i] * (1 - sum * share) + factor[i] * share;
    }
    if (g.previous < 0) return;
    double sum = 0;
    for (std::int64_t i = 0; i < g.rows; ++i) sum += weight[i];
    weight[g.previous] = 1 - sum;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
