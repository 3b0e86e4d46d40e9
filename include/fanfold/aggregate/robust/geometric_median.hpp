#pragma once

#include <cmath>
#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// How the iteration starts and stops.
enum class weiszfeld {
  converged,  ///< from the mean of the densest half, until it stands still; robust
  rfa,        ///< three steps from the mean, floor 0.1 (Pillutla et al.): parity only, an outlier at distance R still moves it by about 3e-3 R
  byzfl       ///< three steps from the zero vector, floor 0.1 (ByzFL): parity only
};

/// The point with the smallest weighted sum of distances to the rows, by smoothed Weiszfeld steps in weight space:
/// beta_i = w_i / max(nu, |x_i - z|), z = sum beta_i x_i / sum beta_i. Survives any f < n/2 (`converged`).
///
/// Distances come from products about a row in the densest half, exact to rounding also where other rows are very far away: where the
/// largest distance is beyond 2^20 times the typical one, `robust` forms these products by a second sweep over the data.
/// Pillutla, Kakade, Harchaoui, Robust Aggregation for Federated Learning, 2019 (arXiv 1912.13445).
struct geometric_median {
  weiszfeld mode = weiszfeld::converged;
  std::int64_t iterations = 100;  ///< at most; the parity modes always take 3
  double tolerance = 1e-9;        ///< stop when a step is shorter than this share of the scale of the data
  view<double const> weights{};   ///< one a row, 0 or more, not all 0; none: all 1

  struct result {
    std::int64_t steps = 0;
    double objective = 0;  ///< sum of w_i |x_i - z| of the answer
  };

  needs requirement() const { return mode == weiszfeld::byzfl ? needs::distances | needs::norms : needs::distances; }
  void check(std::int64_t n) const {
    check_argument(n >= 1, "geometric_median", "number of rows", n, "1 or more");
    check_argument(iterations >= 0, "geometric_median", "iterations", iterations, "0 or more");
    check_argument(weights.empty() || weights.size() == n, "geometric_median", "number of weights", weights.size(), "the number of rows");
    double sum = weights.empty() ? 1 : 0;
    for (double w : weights) {
      check_argument(w >= 0 && w < detail::infinite, "geometric_median", "a weight", w, "0 or more and finite");
      sum += w;
    }
    check_argument(sum > 0, "geometric_median", "sum of the weights", sum, "above 0");
  }

  /// The row about which products must be formed from the data, -1 where distances are enough.
  std::int64_t wants_centre(row_geometry const& g, workspace& ws) const {
    if (mode != weiszfeld::converged || g.finite_rows() < 3 || !g.product.empty()) return -1;
    workspace::frame frame(ws);
    view<double> const all = frame.take<double>(g.rows * g.rows);
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < g.rows; ++i)
      for (std::int64_t j = i + 1; j < g.rows; ++j)
        if (g.finite[i] && g.finite[j]) all[count++] = g.distance(i, j);
    view<std::int32_t> const order = detail::smallest(all.subview(0, count), count, frame, ws);
    double const typical = all[order[count / 2]], most = all[order[count - 1]];
    return most > 0x1p40 * typical ? densest(g, ws).row : -1;
  }

  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const { solve(g, weight, ws); }

  /// The same, and how it went.
  result solve(row_geometry const& g, view<double> weight, workspace& ws) const {
    detail::check_finite_rows("geometric_median", g, 1);
    detail::set(weight, 0);
    workspace::frame frame(ws);
    half const h = densest(g, ws);
    if (!(h.scale > 0) || coincident_majority(g, h.row)) {
      weight[h.row] = 1;
      return {};
    }
    std::int64_t const points = g.points();
    matrix_view<double> const k = detail::take_matrix(frame, points, points);
    products(g, h.row, k);
    view<double> const length = frame.take<double>(g.rows), change = frame.take<double>(points), product = frame.take<double>(points);
    start(g, h, weight, frame, ws);
    bool const parity = mode != weiszfeld::converged;
    double const nu = parity ? 0.1 : 1e-6 * h.scale;
    std::int64_t const most = parity ? 3 : iterations;
    result r;
    for (bool moving = true; moving && r.steps < most; ++r.steps) {
      detail::distances_to_mixture(k, weight, length, ws);
      double sum = 0;
      for (std::int64_t i = 0; i < points; ++i) {
        change[i] = 0;
        if (i < g.rows && g.finite[i]) {
          double const d = std::sqrt(length[i]);
          change[i] = share(i) / (d > nu ? d : nu);
        }
        sum += change[i];
      }
      if (!(sum > 0)) break;  // only rows that are not finite have weight
      for (std::int64_t i = 0; i < points; ++i) {
        double const next = change[i] / sum;
        change[i] = next - weight[i];
        weight[i] = next;
      }
      moving = parity || step_length(k, change, product) > tolerance * h.scale;
    }
    detail::distances_to_mixture(k, weight, length, ws);
    for (std::int64_t i = 0; i < g.rows; ++i)
      if (g.finite[i]) r.objective += share(i) * std::sqrt(length[i]);
    return r;
  }

  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
  static double kappa(std::int64_t n, std::int64_t f) {
    double const r = static_cast<double>(f) / static_cast<double>(n - 2 * f);
    return 4 * (1 + r) * (1 + r);
  }

 private:
  struct half {
    std::int64_t row = 0;
    double scale = 0;
    std::int64_t size = 1;
  };
  // Half of the weight on one point: that point is the answer, and there is no scale to iterate on.
  bool coincident_majority(row_geometry const& g, std::int64_t r) const {
    double here = 0, all = 0;
    for (std::int64_t i = 0; i < g.rows; ++i) {
      all += g.finite[i] ? share(i) : 0;
      here += g.finite[i] && g.distance(r, i) == 0 ? share(i) : 0;
    }
    return mode == weiszfeld::converged && 2 * here > all;
  }
  double share(std::int64_t i) const { return weights.empty() ? 1 : weights[i]; }

  // The row whose h-th smallest distance is smallest, h = n/2 + 1 (at most the finite rows).
  static half densest(row_geometry const& g, workspace& ws) {
    std::int64_t const finite = g.finite_rows(), h = g.rows / 2 + 1 < finite ? g.rows / 2 + 1 : finite;
    half best{-1, detail::infinite, h};
    for (std::int64_t i = 0; i < g.rows; ++i) {
      if (!g.finite[i]) continue;
      workspace::frame frame(ws);
      double const far = g.distance(i, detail::smallest(detail::row_distances(g, i), h, frame, ws)[h - 1]);
      if (best.row < 0 || far < best.scale) best = {i, far, h};
    }
    if (best.scale == 0) {
      double least = detail::infinite;
      for (std::int64_t j = 0; j < g.rows; ++j)
        if (g.distance(best.row, j) > 0 && g.distance(best.row, j) < least) least = g.distance(best.row, j);
      best.scale = least < detail::infinite ? least : 0;
    }
    best.scale = std::sqrt(best.scale);
    return best;
  }

  // <x_i - x_r, x_j - x_r>, rows that are not finite 0
  static void products(row_geometry const& g, std::int64_t r, matrix_view<double> k) {
    for (std::int64_t i = 0; i < g.points(); ++i)
      for (std::int64_t j = 0; j < g.points(); ++j) {
        if (!g.finite[i] || !g.finite[j])
          k(i, j) = 0;
        else if (g.product.empty())
          k(i, j) = 0.5 * (g.distance(r, i) + g.distance(r, j) - g.distance(i, j));
        else
          k(i, j) = g.product(i, j) - g.product(i, r) - g.product(r, j) + g.product(r, r);
      }
  }

  void start(row_geometry const& g, half const& h, view<double> weight, workspace::frame& frame, workspace& ws) const {
    if (mode == weiszfeld::byzfl) {
      weight[g.origin] = 1;
    } else if (mode == weiszfeld::rfa) {
      double sum = 0;
      for (std::int64_t i = 0; i < g.rows; ++i) sum += g.finite[i] ? share(i) : 0;
      for (std::int64_t i = 0; i < g.rows; ++i) weight[i] = g.finite[i] && sum > 0 ? share(i) / sum : 0;
    } else {
      for (std::int32_t i : detail::smallest(detail::row_distances(g, h.row), h.size, frame, ws)) weight[i] = 1 / static_cast<double>(h.size);
    }
  }

  static double step_length(matrix_view<double const> k, view<double const> change, view<double> product) {
    double square = 0;
    for (std::int64_t i = 0; i < change.size(); ++i) {
      product[i] = 0;
      for (std::int64_t j = 0; j < change.size(); ++j)
        if (change[j] != 0) product[i] += k(i, j) * change[j];
    }
    for (std::int64_t i = 0; i < change.size(); ++i) square += change[i] * product[i];
    return square > 0 ? std::sqrt(square) : 0;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
