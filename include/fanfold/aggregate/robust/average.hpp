#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// The plain mean of all rows: survives no faulty row by itself, but serves behind a pre-aggregation such as clipping. Rows that the
/// geometry knows as not finite do not count.
struct average {
  static constexpr needs requirement() { return needs::nothing; }
  void check(std::int64_t) const {}
  void weigh(row_geometry const& g, view<double> weight, workspace&) const {
    std::int64_t const n = g.finite_rows();
    detail::check_finite_rows("average", g, 1);
    detail::set(weight, 0);
    for (std::int64_t i = 0; i < g.rows; ++i)
      if (g.finite[i]) weight[i] = 1 / static_cast<double>(n);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
