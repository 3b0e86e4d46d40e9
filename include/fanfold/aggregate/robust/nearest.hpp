#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// MoNNA: the mean of the n - f rows nearest to the trusted row `index` (itself included; ties by index). Needs n >= 2f + 1.
/// One read of the data, n distances. Farhadkhani et al. 2023 (arXiv 2210.12816).
/// \throws argument_error for an index that is no row, and where that row is not finite.
struct nearest_to_trusted {
  std::int64_t f = 0;
  std::int64_t index = 0;

  static constexpr needs requirement() { return needs::one_distance; }
  std::int64_t distances_to() const { return index; }
  void check(std::int64_t n) const {
    detail::check_majority("nearest_to_trusted", n, f);
    check_argument(index >= 0 && index < n, "nearest_to_trusted", "index", index, "a row");
  }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    check_argument(g.finite[index] != 0, "nearest_to_trusted", "trusted row", index, "finite");
    detail::check_finite_rows("nearest_to_trusted", g, g.rows - f);
    workspace::frame frame(ws);
    detail::set(weight, 0);
    for (std::int32_t i : detail::smallest(detail::row_distances(g, index), g.rows - f, frame, ws)) weight[i] = 1 / static_cast<double>(g.rows - f);
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
};

/// NNM, a pre-aggregation: each row becomes the mean of the n - f rows nearest to it (itself included; ties by index). Needs n >= 2f + 1.
/// In front of a rule with constant kappa it gives 8 f / (n - f) (kappa + 1). Allouah et al., Fixing by Mixing, 2023 (arXiv 2302.01772).
struct nearest_neighbour_mixing {
  std::int64_t f = 0;

  static constexpr needs requirement() { return needs::distances; }
  static std::int64_t rows_after(std::int64_t n) { return n; }
  void check(std::int64_t n) const { detail::check_majority("nearest_neighbour_mixing", n, f); }
  void mix(row_geometry const& g, matrix_view<double> m, workspace& ws) const {
    detail::check_finite_rows("nearest_neighbour_mixing", g, g.rows - f);
    for (std::int64_t i = 0; i < g.rows; ++i) {
      if (!g.finite[i]) {
        m(i, i) = 1;
        continue;
      }
      workspace::frame frame(ws);
      for (std::int32_t j : detail::smallest(detail::row_distances(g, i), g.rows - f, frame, ws)) m(i, j) = 1 / static_cast<double>(g.rows - f);
    }
  }
  static double kappa_after(double kappa, std::int64_t n, std::int64_t f) {
    return 8 * static_cast<double>(f) / static_cast<double>(n - f) * (kappa + 1);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
