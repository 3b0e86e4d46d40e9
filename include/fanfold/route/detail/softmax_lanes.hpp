#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/route/detail/group_lanes.hpp"
#include "fanfold/route/detail/row_lanes.hpp"
#include "fanfold/route/detail/top_lanes.hpp"
#include "fanfold/route/group_select.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/token_choice.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// Whether a selector has a form for rows side by side: see `choose_in_tile`.
template <class Select>
inline constexpr bool selects_in_lanes = std::is_same_v<Select, top_k> || std::is_same_v<Select, all_experts>;
template <bool SumsScores>
inline constexpr bool selects_in_lanes<basic_group_limited<SumsScores>> = true;

/// Whether a router has the vectorised form below: softmax scores or logits, selection by the order of the logits, in float.
template <class Router, class R>
inline constexpr bool has_lane_form = false;
template <class Select, class Weight>
inline constexpr bool has_lane_form<token_choice<softmax_score, Select, Weight, no_adjust>, float> =
    selects_in_lanes<Select> && Select::order_only &&
    (std::is_same_v<Weight, sum_norm> || std::is_same_v<Weight, raw_weight> || std::is_same_v<Weight, softmax_of_selected>);

inline constexpr std::int64_t most_lane_experts = 1024;

/// Scratch of a tile of rows.
struct lane_tile {
  std::int64_t experts;
  lane_ints* key;    // of the logits; experts, rounded up to 16
  lane_ints* work;   // keys that a selector compares, where they are others; as many
  lane_floats* exp;  // max(64, experts)
  lane_choices best;
  float* share;  // row_lanes rows of `experts`
  lane_floats max, sum;

  static std::int64_t padded(std::int64_t experts) { return (experts + 15) / 16 * 16; }
  static std::int64_t exps(std::int64_t experts) { return experts < tile_lanes ? tile_lanes : experts; }
  static std::int64_t bytes(std::int64_t experts, std::int64_t k, bool statistics) {
    std::int64_t const vectors = 2 * padded(experts) + exps(experts) + lane_choices::vectors(experts, k) + (statistics ? experts : 0);
    return vectors * 64;  // the widest vectors, whatever this unit is compiled for
  }

  lane_tile(std::int64_t n, std::int64_t k, void* scratch)
      : experts(n),
        key(static_cast<lane_ints*>(scratch)),
        work(key + padded(n)),
        exp(reinterpret_cast<lane_floats*>(work + padded(n))),
        best(k, work + padded(n) + exps(n)),
        share(reinterpret_cast<float*>(best.key + lane_choices::vectors(n, k))) {}
};

/// Keys of `row_lanes` rows: NaN becomes -infinity, -0 becomes +0. `row[r]` points to row r.
template <class L>
FANFOLD_NOINLINE void load_tile(L const* const* row, lane_tile& tile) {
  lane_floats const lowest = lanes_of(-math::infinity<float>());
  std::int64_t const n = tile.experts;
  std::int64_t e = 0;
  lane_floats v[row_lanes];
  for (; e + row_lanes <= n; e += row_lanes) {
    for (int r = 0; r < row_lanes; ++r) v[r] = load_lanes(row[r] + e);
    transpose(v);
    for (int i = 0; i < row_lanes; ++i) tile.key[e + i] = key_of(lanes_select(v[i] == v[i], v[i], lowest) + 0.0f);
  }
  for (; e < n; ++e) {
    lane_floats x{};
    for (int r = 0; r < row_lanes; ++r) x[r] = to_arithmetic(row[r][e]);
    tile.key[e] = key_of(lanes_select(x == x, x, lowest) + 0.0f);
  }
  for (; e < lane_tile::padded(n); ++e) tile.key[e] = lanes_of(INT32_MIN);
}

/// Halving over `present` lanes of the canonical tree; the sum ends in x[0].
inline void halve(lane_floats* x, std::int64_t present) {
  for (std::int64_t w = tile_lanes / 2; w >= 1; w /= 2)
    for (std::int64_t l = 0; l < w && l + w < present; ++l) x[l] += x[l + w];
}

/// The softmax normaliser over all experts, in the canonical tree. With `keep`, tile.exp holds exp(l - max) of every expert.
FANFOLD_NOINLINE inline void normalise_tile(lane_tile& tile, bool keep) {
  std::int64_t const n = tile.experts;
  std::int64_t const present = n < tile_lanes ? n : tile_lanes;
  lane_floats sums[tile_lanes];
  for (std::int64_t e = 0; e < present; ++e) sums[e] = tile.exp[e] = lanes_exp_below(value_of(tile.key[e]), tile.max);
  for (std::int64_t e = tile_lanes; e < n; e += tile_lanes)
    for (std::int64_t l = 0; l < tile_lanes && e + l < n; ++l) {
      lane_floats const y = lanes_exp_below(value_of(tile.key[e + l]), tile.max);
      if (keep) tile.exp[e + l] = y;
      sums[l] += y;
    }
  halve(sums, present);
  tile.sum = sums[0];
}

/// Softmax over the k chosen logits.
FANFOLD_NOINLINE inline void weigh_chosen(lane_tile& tile, std::int64_t k) {
  lane_choices const& best = tile.best;
  lane_floats sums[tile_lanes];
  lane_floats const max = value_of(best.key[0]);
  for (std::int64_t j = 0; j < k; ++j) {
    lane_floats const y = best.weight[j] = lanes_exp_below(value_of(best.key[j]), max);
    if (j < tile_lanes)
      sums[j] = y;
    else
      sums[j % tile_lanes] += y;
  }
  halve(sums, k < tile_lanes ? k : tile_lanes);
  for (std::int64_t j = 0; j < k; ++j) best.weight[j] = best.weight[j] / sums[0];
}

/// tile.share := tile.exp row by row.
FANFOLD_NOINLINE inline void store_shares(lane_tile& tile) {
  std::int64_t const n = tile.experts;
  std::int64_t e = 0;
  lane_floats v[row_lanes];
  for (; e + row_lanes <= n; e += row_lanes) {
    for (int i = 0; i < row_lanes; ++i) v[i] = tile.exp[e + i];
    transpose(v);
    for (int r = 0; r < row_lanes; ++r) std::memcpy(tile.share + r * n + e, &v[r], sizeof v[r]);
  }
  for (; e < n; ++e)
    for (int r = 0; r < row_lanes; ++r) tile.share[r * n + e] = tile.exp[e][r];
}

/// tile.exp := shares of softmax; lse and entropy of each row.
FANFOLD_NOINLINE inline void summarise_tile(lane_tile& tile, lane_floats& lse, lane_floats& entropy) {
  std::int64_t const n = tile.experts;
  std::int64_t const present = n < tile_lanes ? n : tile_lanes;
  lane_floats sums[tile_lanes];
  for (std::int64_t e = 0; e < n; ++e) {
    lane_floats const y = tile.exp[e] = tile.exp[e] / tile.sum;
    lane_floats const term = lanes_select(y == 0.0f, lanes_of(0.0f), y * (value_of(tile.key[e]) - tile.max));
    if (e < present)
      sums[e] = term;
    else
      sums[e % tile_lanes] += term;
  }
  halve(sums, present);
  for (int r = 0; r < row_lanes; ++r) {
    float const log_sum = math::log(tile.sum[r]);
    lse[r] = tile.max[r] + log_sum;
    entropy[r] = log_sum - sums[0][r];
  }
}

/// Whether the forms below serve a selector's parameters.
inline bool fits_lanes(top_k const&) { return true; }
inline bool fits_lanes(all_experts const&) { return true; }
template <bool SumsScores>
bool fits_lanes(basic_group_limited<SumsScores> const& select) {
  return select.groups <= most_lane_groups && select.summed <= most_lane_summed;
}

/// The best k of `key` by the selector into tile.best.
template <class Select>
void choose_in_tile(Select const&, lane_tile& tile, lane_ints const* key, std::int64_t k) {
  top_lanes(key, tile.experts, k, tile.best);
}
template <bool SumsScores>
void choose_in_tile(basic_group_limited<SumsScores> const& select, lane_tile& tile, lane_ints const* key, std::int64_t k) {
  limit_to_groups(key, tile.work, tile.experts, lane_tile::padded(tile.experts), select.groups, select.keep, select.summed);
  top_lanes(tile.work, tile.experts, k, tile.best);
}

/// Routes the rows of a tile: best ids and weights before the scale; with `statistics` also shares, lse and entropy. The row's best expert
/// is among the chosen ones: its group is the best by maximum.
template <class Weight, class Select>
void route_tile(Select const& select, lane_tile& tile, std::int64_t k, bool statistics, lane_floats& lse, lane_floats& entropy) {
  choose_in_tile(select, tile, tile.key, k);
  tile.max = value_of(tile.best.key[0]);
  constexpr bool raw = std::is_same_v<Weight, raw_weight>;
  if (raw || statistics) normalise_tile(tile, statistics);
  if constexpr (raw)
    for (std::int64_t j = 0; j < k; ++j) tile.best.weight[j] = lanes_exp_below(value_of(tile.best.key[j]), tile.max) / tile.sum;
  else
    weigh_chosen(tile, k);
  if (!statistics) return;
  summarise_tile(tile, lse, entropy);
  store_shares(tile);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
