#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/detail/row_lanes.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

inline constexpr std::int64_t most_lane_groups = 64;

/// Sums of how many keys make a group's score in lanes; more go row by row.
inline constexpr std::int64_t most_lane_summed = 2;

/// Key of a group's score: its largest key, or the sum of its two largest, those above -infinity.
FANFOLD_INLINE lane_ints group_score(lane_ints const* key, std::int64_t size, bool sum) {
  lane_ints first = key[0], second = lanes_of(INT32_MIN);
  for (std::int64_t e = 1; e < size; ++e) {
    second = lanes_max(second, lanes_min(first, key[e]));
    first = lanes_max(first, key[e]);
  }
  if (!sum) return first;
  lane_ints const lowest = key_of(lanes_of(-math::infinity<float>()));
  lane_floats const a = value_of(first);
  return key_of(lanes_select(second > lowest, a + value_of(second), a) + 0.0f);
}

/// out := key in the `keep` best of `groups` equal groups of consecutive experts, INT32_MIN, which no float's key is, elsewhere and up to
/// `padded`. Ties go to the lower group. `out` may be `key`.
FANFOLD_NOINLINE inline void limit_to_groups(lane_ints const* key, lane_ints* out, std::int64_t n, std::int64_t padded, std::int64_t groups,
                                             std::int64_t keep, std::int64_t summed) {
  std::int64_t const size = n / groups;
  lane_ints score[most_lane_groups], kept[most_lane_groups];
  for (std::int64_t d = 0; d < groups; ++d) {
    score[d] = group_score(key + d * size, size, summed > 1);
    kept[d] = lanes_of(0);
  }
  for (std::int64_t i = 0; i < keep; ++i) {
    lane_ints best = lanes_of(INT32_MIN), id = lanes_of(-1);
    for (std::int64_t d = 0; d < groups; ++d) {
      lane_ints const better = score[d] > best;
      best = lanes_max(best, score[d]);
      id = lanes_select(better, lanes_of(static_cast<std::int32_t>(d)), id);
    }
    for (std::int64_t d = 0; d < groups; ++d) {
      lane_ints const taken = id == lanes_of(static_cast<std::int32_t>(d));
      kept[d] = kept[d] | taken;
      score[d] = lanes_select(taken, lanes_of(INT32_MIN), score[d]);
    }
  }
  for (std::int64_t d = 0; d < groups; ++d)
    for (std::int64_t e = d * size; e < (d + 1) * size; ++e) out[e] = lanes_select(kept[d], key[e], lanes_of(INT32_MIN));
  for (std::int64_t e = n; e < padded; ++e) out[e] = lanes_of(INT32_MIN);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
