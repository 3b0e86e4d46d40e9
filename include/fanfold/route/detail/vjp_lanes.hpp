#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/route/detail/row_lanes.hpp"
#include "fanfold/route/detail/softmax_lanes.hpp"
#include "fanfold/route/detail/top_lanes.hpp"
#include "fanfold/route/row_loop.hpp"
#include "fanfold/route/token_choice.hpp"

/// \file
/// The gradient of softmax over the chosen logits, several rows side by side: it lives at the chosen entries alone.

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// Whether a router's weights have that gradient, in float.
template <class Router, class R, class D>
inline constexpr bool has_lane_vjp = false;
template <class Score, class Select, class Weight, class Adjust>
inline constexpr bool has_lane_vjp<token_choice<Score, Select, Weight, Adjust>, float, float> =
    !Adjust::changes_logits &&
    (std::is_same_v<Weight, softmax_of_selected> || (std::is_same_v<Weight, sum_norm> && std::is_same_v<Score, softmax_score>));

/// Largest of a row by lanes: lane i sees items i, i + row_lanes, ... NaN counts as -infinity.
template <class L>
FANFOLD_INLINE lane_floats largest_by_lanes(L const* x, std::int64_t n) {
  lane_floats most = lanes_of(-math::infinity<float>());
  std::int64_t e = 0;
  for (; e + row_lanes <= n; e += row_lanes) {
    lane_floats const v = load_lanes(x + e);
    most = lanes_select(most < v, v, most);
  }
  for (int i = 0; e + i < n; ++i) {
    float const v = to_arithmetic(x[e + i]);
    if (most[i] < v) most[i] = v;
  }
  return most;
}

/// Columns of chosen logits (best.key) and of dweight (best.id) become the gradient (best.id); 0 for the lanes outside of `live`.
FANFOLD_NOINLINE inline void softmax_columns_vjp(lane_choices const& best, std::int64_t k, lane_ints live) {
  lane_floats const lowest = lanes_of(-math::infinity<float>());
  lane_floats max = lowest, sums[tile_lanes];
  auto const load = [](lane_ints const& from) __attribute__((always_inline)) { return reinterpret_cast<lane_floats>(from); };
  for (std::int64_t j = 0; j < k; ++j) {
    lane_floats const l = load(best.key[j]);
    lane_floats const x = lanes_select(l == l, l, lowest) + 0.0f;
    best.key[j] = reinterpret_cast<lane_ints>(x);
    max = lanes_select(max < x, x, max);
  }
  std::int64_t const present = k < tile_lanes ? k : tile_lanes;
  for (std::int64_t j = 0; j < k; ++j) {
    lane_floats const y = best.weight[j] = lanes_exp_below(load(best.key[j]), max);
    sums[j % tile_lanes] = j < tile_lanes ? y : sums[j % tile_lanes] + y;
  }
  halve(sums, present);
  lane_floats const sum = sums[0];
  for (std::int64_t j = 0; j < k; ++j) {
    lane_floats const w = best.weight[j] = best.weight[j] / sum;
    lane_floats const term = w * load(best.id[j]);
    sums[j % tile_lanes] = j < tile_lanes ? term : sums[j % tile_lanes] + term;
  }
  halve(sums, present);
  for (std::int64_t j = 0; j < k; ++j) {
    lane_floats const l = load(best.key[j]), dl = best.weight[j] * (load(best.id[j]) - sums[0]);
    best.id[j] = reinterpret_cast<lane_ints>(lanes_select(live & (l - l == 0.0f), dl, lanes_of(0.0f)));
  }
}

/// Rows [first, last) of a task.
template <class Router, class L, class W, class Id>
FANFOLD_NOINLINE void route_rows_vjp_in_lanes(row_map_vjp_loop<Router> const& loop, matrix_view<L const> logits, matrix_view<Id const> id,
                                              matrix_view<W const> dweight, matrix_view<float> dlogits, std::int64_t first, std::int64_t last,
                                              void* scratch) {
  std::int64_t const n = logits.cols(), k = id.cols();
  lane_choices const best(k, static_cast<lane_ints*>(scratch));
  auto const& scale = loop.router.weight.scale;
  auto const in_range = [n](Id e) { return static_cast<std::int64_t>(e) >= 0 && static_cast<std::int64_t>(e) < n; };
  lane_floats most[row_lanes];
  for (std::int64_t top = first; top < last; top += row_lanes) {
    int const rows = last - top < row_lanes ? static_cast<int>(last - top) : row_lanes;
    for (int r = 0; r < row_lanes; ++r) {
      std::int64_t const t = r < rows ? top + r : top;
      L const* const l = logits.row(t).data();
      Id const* const ids = id.row(t).data();
      W const* const dw = dweight.row(t).data();
      most[r] = largest_by_lanes(l, n);
      auto* const logit = reinterpret_cast<float*>(best.row_of(r));
      float* const factor = best.weights_of(r);
      for (std::int64_t j = 0; j < k; ++j) {
        bool const there = in_range(ids[j]);
        logit[j] = there ? static_cast<float>(to_arithmetic(l[ids[j]])) : -math::infinity<float>();
        factor[j] = there ? static_cast<float>(to_arithmetic(dw[j])) * scale.template of<float>(static_cast<std::int32_t>(ids[j])) : 0.0f;
      }
    }
    transpose(most);
    lane_floats max = most[0];
    for (int i = 1; i < row_lanes; ++i) max = lanes_select(max < most[i], most[i], max);
    best.columns_from_rows();
    softmax_columns_vjp(best, k, max - max == 0.0f);
    best.rows_from_columns(8);
    for (int r = 0; r < rows; ++r) {
      std::int64_t const t = top + r;
      float* const target = dlogits.row(t).data();
      for (std::int64_t e = 0; e < n; ++e) target[e] = 0;
      if (!loop.mask.keeps(t)) continue;
      auto const* const dl = reinterpret_cast<float const*>(best.row_of(r));
      Id const* const ids = id.row(t).data();
      for (std::int64_t j = 0; j < k; ++j)
        if (in_range(ids[j])) target[ids[j]] = dl[j];
    }
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
