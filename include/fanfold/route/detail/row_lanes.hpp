#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/lane_transpose.hpp"
#include "fanfold/core/math.hpp"

/// \file
/// Several rows side by side, one a vector lane: what the vectorised row map is made of. Host only.

namespace fanfold::inline FANFOLD_ABI::route::detail {

inline constexpr int row_lanes = fanfold::detail::float_lanes;

using fanfold::detail::lane_floats;
using fanfold::detail::transpose;
using lane_ints = std::int32_t __attribute__((vector_size(FANFOLD_VECTOR_BYTES)));

// Plain functions, since nvcc takes neither the conditional operator on vectors nor vector constants inside templates.
FANFOLD_INLINE lane_floats lanes_of(float x) { return lane_floats{} + x; }
FANFOLD_INLINE lane_ints lanes_of(std::int32_t x) { return lane_ints{} + x; }
FANFOLD_INLINE lane_ints lanes_select(lane_ints mask, lane_ints a, lane_ints b) { return mask ? a : b; }
FANFOLD_INLINE lane_floats lanes_select(lane_ints mask, lane_floats a, lane_floats b) { return mask ? a : b; }
FANFOLD_INLINE lane_ints lanes_max(lane_ints a, lane_ints b) { return a > b ? a : b; }
FANFOLD_INLINE lane_ints lanes_min(lane_ints a, lane_ints b) { return a < b ? a : b; }

FANFOLD_INLINE bool all_lanes(lane_ints mask) {
  std::int32_t all = -1;
  for (int r = 0; r < row_lanes; ++r) all &= mask[r];
  return all != 0;
}

/// Order of floats without NaN and -0 as order of integers; its own inverse.
FANFOLD_INLINE lane_ints order_bits(lane_ints x) { return x ^ ((x >> 31) & 0x7fffffff); }
FANFOLD_INLINE lane_ints key_of(lane_floats x) { return order_bits(reinterpret_cast<lane_ints>(x)); }
FANFOLD_INLINE lane_floats value_of(lane_ints key) { return reinterpret_cast<lane_floats>(order_bits(key)); }

/// exp_below lane by lane.
FANFOLD_INLINE lane_floats lanes_exp_below(lane_floats x, lane_floats max) {
  float in[row_lanes], out[row_lanes];
  lane_floats const d = x - max;
  std::memcpy(in, &d, sizeof in);
  for (int r = 0; r < row_lanes; ++r) out[r] = math::exp_nonpositive(in[r]);
  lane_floats y;
  std::memcpy(&y, out, sizeof y);
  return lanes_select(x == max, lanes_of(1.0f), y);
}

/// Calls f(integral_constant<int, i>) for i = 0 ... N - 1, unrolled.
template <int N, class F>
FANFOLD_INLINE void unrolled(F const& f) {
  [&]<int... Index>(std::integer_sequence<int, Index...>) __attribute__((always_inline)) { (f(std::integral_constant<int, Index>{}), ...); }
  (std::make_integer_sequence<int, N>{});
}

template <class L>
FANFOLD_INLINE lane_floats load_lanes(L const* source) {
  lane_floats v;
  if constexpr (std::is_same_v<L, float>) {
    std::memcpy(&v, source, sizeof v);
  } else {
    float x[row_lanes];
    for (int i = 0; i < row_lanes; ++i) x[i] = to_arithmetic(source[i]);
    std::memcpy(&v, x, sizeof v);
  }
  return v;
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
