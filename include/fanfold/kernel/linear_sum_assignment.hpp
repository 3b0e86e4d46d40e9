#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/warp.hpp"

/// \file
/// Linear sum assignment by one block, step by step as core/lsa.hpp does it: the same columns, down to ties.

namespace fanfold::inline FANFOLD_ABI::detail {

/// Memory of an assignment with at most n - 1 columns (and no more rows): entry 0 of each array is where paths start.
struct assignment_memory {
  double *row_price, *price, *distance;
  std::int32_t *row_of, *before, *done;

  /// That of problem i of several, each of `most` columns at most.
  FANFOLD_HD assignment_memory part(std::int64_t i, std::int64_t most) const {
    std::int64_t const skip = i * (most + 1);
    return {row_price + skip, price + skip, distance + skip, row_of + skip, before + skip, done + skip};
  }
};

inline assignment_memory take_assignment_memory(workspace::frame& frame, std::int64_t problems, std::int64_t most) {
  std::int64_t const n = problems * (most + 1);
  return {frame.take<double>(n).data(),       frame.take<double>(n).data(),       frame.take<double>(n).data(),
          frame.take<std::int32_t>(n).data(), frame.take<std::int32_t>(n).data(), frame.take<std::int32_t>(n).data()};
}

/// The nearest column so far, ties to the lower one.
struct near_column {
  double distance;
  std::int64_t column;
};
struct nearer_column {
  FANFOLD_HD near_column operator()(near_column const& a, near_column const& b) const {
    // by value, field by field: a choice between the two would put both into local memory
    bool const second = b.column != 0 && (a.column == 0 || b.distance < a.distance || (b.distance == a.distance && b.column < a.column));
    return {second ? b.distance : a.distance, second ? b.column : a.column};
  }
};

/// at.row_of[1 + column] := 1 + the row that takes it, or 0, such that the sum of cost(row, column) is least; rows <= columns, finite costs.
/// `best` is shared memory of 32 entries; every thread of the block calls.
template <block B, class Cost>
FANFOLD_HD void assign_least(B& b, checked_array<near_column, 32>& best, Cost const& cost, std::int64_t rows, std::int64_t columns,
                             assignment_memory const& at) {
  std::int64_t const n = columns + 1;
  for (std::int64_t j = b.thread(); j < n; j += b.threads()) {
    at.price[j] = 0;
    at.row_of[j] = 0;
    if (j <= rows) at.row_price[j] = 0;
  }
  for (std::int64_t r = 1; r <= rows; ++r) {
    b.sync();
    if (b.thread() == 0) at.row_of[0] = static_cast<std::int32_t>(r);
    for (std::int64_t j = b.thread(); j < n; j += b.threads()) {
      at.distance[j] = math::infinity<double>();
      at.done[j] = 0;
    }
    b.sync();
    std::int64_t here = 0;
    do {
      if (b.thread() == 0) at.done[here] = 1;
      std::int64_t const i = at.row_of[here];
      double const mine = at.row_price[i];
      b.sync();
      near_column nearest{0, 0};
      for (std::int64_t j = 1 + b.thread(); j < n; j += b.threads()) {
        if (at.done[j] != 0) continue;
        double const reduced = cost(i - 1, j - 1) - mine - at.price[j];
        if (reduced < at.distance[j]) {
          at.distance[j] = reduced;
          at.before[j] = static_cast<std::int32_t>(here);
        }
        nearest = nearer_column{}(nearest, {at.distance[j], j});
      }
      nearest = warp_all_fold(b, nearest, nearer_column{});
      if (lane_of(b) == 0) best[warp_of(b)] = nearest;
      b.sync();
      nearest = best[0];
      for (unsigned w = 1; w < warps_of(b); ++w) nearest = nearer_column{}(nearest, best[w]);
      for (std::int64_t j = b.thread(); j < n; j += b.threads()) {
        if (at.done[j] != 0) {
          at.row_price[at.row_of[j]] += nearest.distance;
          at.price[j] -= nearest.distance;
        } else {
          at.distance[j] -= nearest.distance;
        }
      }
      here = nearest.column;
      b.sync();
    } while (at.row_of[here] != 0);
    b.sync();
    if (b.thread() == 0)
      while (here != 0) {
        std::int64_t const from = at.before[here];
        at.row_of[here] = at.row_of[from];
        here = from;
      }
  }
  b.sync();
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
