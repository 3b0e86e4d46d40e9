#pragma once

#include <cmath>
#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

// s x_i + (1 - s) * origin
inline void scale_row(row_geometry const& g, matrix_view<double> m, std::int64_t i, double s) {
  if (s != 0) m(i, i) = s;
  if (s != 1) m(i, g.origin) = 1 - s;
}

}  // namespace detail

/// A pre-aggregation: rows longer than `radius` are scaled down to it. A row that is not finite becomes zero. The input is not changed.
struct norm_clip {
  double radius = 1;

  static constexpr needs requirement() { return needs::norms; }
  static std::int64_t rows_after(std::int64_t n) { return n; }
  void check(std::int64_t) const { check_argument(radius >= 0 && radius < detail::infinite, "norm_clip", "radius", radius, "0 or more and finite"); }
  void mix(row_geometry const& g, matrix_view<double> m, workspace&) const {
    for (std::int64_t i = 0; i < g.rows; ++i) {
      double const norm = std::sqrt(g.squared_norm(i));
      detail::scale_row(g, m, i, !g.finite[i] ? 0 : norm > radius ? radius / norm : 1);
    }
  }
};

/// ARC, a pre-aggregation: the k = floor(2 f (n - f) / n) longest rows are scaled down to the length of the next one. A row that is not
/// finite counts as longest and becomes zero; more than k of them are an error. Needs n >= 2f + 1. With f = 0 nothing changes.
/// Allouah et al., The Vital Role of Gradient Clipping in Byzantine-Resilient Distributed Learning, 2024 (arXiv 2405.14432).
struct adaptive_robust_clip {
  std::int64_t f = 0;

  static constexpr needs requirement() { return needs::norms; }
  static std::int64_t rows_after(std::int64_t n) { return n; }
  void check(std::int64_t n) const { detail::check_majority("adaptive_robust_clip", n, f); }
  std::int64_t clipped(std::int64_t n) const { return 2 * f * (n - f) / n; }
  void mix(row_geometry const& g, matrix_view<double> m, workspace& ws) const {
    std::int64_t const n = g.rows, k = clipped(n);
    check_argument(g.finite_rows() >= n - k, "adaptive_robust_clip", "number of finite rows", g.finite_rows(), "at least n - floor(2 f (n - f) / n)");
    workspace::frame frame(ws);
    view<double> const norm = frame.take<double>(n);
    for (std::int64_t i = 0; i < n; ++i) norm[i] = g.finite[i] ? std::sqrt(g.squared_norm(i)) : detail::infinite;
    view<std::int32_t> const order = detail::smallest(norm, n, frame, ws);
    double const threshold = norm[order[n - k - 1]];
    for (std::int64_t i = 0; i < n; ++i) detail::scale_row(g, m, i, !g.finite[i] ? 0 : norm[i] > threshold ? threshold / norm[i] : 1);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
