#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/adjust.hpp"
#include "fanfold/route/detail/row_lanes.hpp"
#include "fanfold/route/detail/softmax_lanes.hpp"
#include "fanfold/route/token_choice.hpp"

/// \file
/// Scores of one logit each (sigmoid and its kin), several rows side by side: keys with a bias, selection, and the statistics.

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// Adjusts of the keys that are the same for every row.
template <class Adjust>
inline constexpr bool adjusts_in_lanes = std::is_same_v<Adjust, no_adjust> || std::is_same_v<Adjust, selection_bias> ||
                                         std::is_same_v<Adjust, selection_factor>;

/// Whether rows side by side share scores and selection, and weigh the chosen scores one by one, in float.
template <class Router, class R>
inline constexpr bool has_lane_selection = false;
template <class Score, class Select, class Weight, class Adjust>
inline constexpr bool has_lane_selection<token_choice<Score, Select, Weight, Adjust>, float> =
    elementwise<Score> && selects_in_lanes<Select> && adjusts_in_lanes<Adjust> && !Weight::reads_logits && !Select::reads_score;

/// Shares that are softmax of a function of the logit, or of the logit itself.
template <class Score>
inline constexpr bool shares_in_lanes = Score::share_is_softmax || requires { Score::share_map::log_value(1.0f); };

/// f(x[r]) lane by lane; f has no branches, so that it becomes vector code.
template <class F>
FANFOLD_INLINE lane_floats map_lanes(lane_floats x, F const& f) {
  float in[row_lanes], out[row_lanes];
  std::memcpy(in, &x, sizeof in);
  for (int r = 0; r < row_lanes; ++r) out[r] = f(in[r]);
  lane_floats y;
  std::memcpy(&y, out, sizeof y);
  return y;
}

template <class Score>
FANFOLD_INLINE lane_floats score_lanes(Score const& score, lane_floats l) {
  return map_lanes(l, [&](float x) __attribute__((always_inline)) { return score.at(x); });
}

/// tile.exp := scores, tile.work := keys of the adjusted scores.
template <class Router>
FANFOLD_NOINLINE void score_tile(Router const& router, lane_tile& tile) {
  lane_floats const lowest = lanes_of(-math::infinity<float>());
  std::int64_t const n = tile.experts;
  for (std::int64_t e = 0; e < n; ++e) {
    lane_floats const l = value_of(tile.key[e]);
    lane_floats const y = tile.exp[e] = score_lanes(router.score, l);
    lane_floats const x = map_lanes(y, [&](float v) { return router.adjust.key(0, e, n, v); });
    tile.work[e] = key_of(lanes_select((x == x) & (l != lowest), x, lowest) + 0.0f);
  }
  for (std::int64_t e = n; e < lane_tile::padded(n); ++e) tile.work[e] = lanes_of(INT32_MIN);
}

FANFOLD_NOINLINE inline lane_floats largest_logits(lane_tile const& tile) {
  lane_ints best = tile.key[0];
  for (std::int64_t e = 1; e < tile.experts; ++e) best = lanes_max(best, tile.key[e]);
  return value_of(best);
}

/// Best ids of the rows of a tile, with their scores as weights.
template <class Router>
void select_in_tile(Router const& router, lane_tile& tile, std::int64_t k) {
  lane_choices const& best = tile.best;
  if constexpr (Router::keys_are_logits) {
    choose_in_tile(router.select, tile, tile.key, k);
    for (std::int64_t j = 0; j < k; ++j) best.weight[j] = score_lanes(router.score, value_of(best.key[j]));
  } else {
    score_tile(router, tile);
    choose_in_tile(router.select, tile, tile.work, k);
    for (std::int64_t j = 0; j < k; ++j)
      for (int r = 0; r < row_lanes; ++r) best.weight[j][r] = tile.exp[best.id[j][r]][r];
  }
  tile.max = largest_logits(tile);
}

/// Shares, lse and entropy of the rows of a tile. Leaves tile.max alone; tile.key holds no logits any more.
template <class Score>
void summarise_scores(lane_tile& tile, lane_floats& lse, lane_floats& entropy) {
  normalise_tile(tile, true);
  summarise_tile(tile, lse, entropy);
  if constexpr (!Score::share_is_softmax) {
    lane_floats const max = tile.max, lowest = lanes_of(-math::infinity<float>());
    for (std::int64_t e = 0; e < tile.experts; ++e) {
      lane_floats const l = value_of(tile.key[e]);
      lane_floats const log_score = map_lanes(l, [](float x) { return Score::share_map::log_value(x); });
      tile.key[e] = key_of(lanes_select(l == lowest, lowest, log_score) + 0.0f);
    }
    tile.max = largest_logits(tile);
    normalise_tile(tile, true);
    for (std::int64_t e = 0; e < tile.experts; ++e) tile.exp[e] = tile.exp[e] / tile.sum;
    tile.max = max;
  }
  store_shares(tile);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
