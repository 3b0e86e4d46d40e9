#pragma once

#include "fanfold/core/config.hpp"

/// \file
/// Squares of floats, transposed in vector registers. Host only.

namespace fanfold::inline FANFOLD_ABI::detail {

inline constexpr int float_lanes = FANFOLD_VECTOR_BYTES / 4;

using lane_floats = float __attribute__((vector_size(FANFOLD_VECTOR_BYTES)));

// Elements of a and b in turn: the lower halves, the upper halves. Spelled out: nvcc's front end does not expand packs here.
#if FANFOLD_VECTOR_BYTES == 64
FANFOLD_INLINE lane_floats interleave_low(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
FANFOLD_INLINE lane_floats interleave_high(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
#elif FANFOLD_VECTOR_BYTES == 32
FANFOLD_INLINE lane_floats interleave_low(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}
FANFOLD_INLINE lane_floats interleave_high(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}
#else
FANFOLD_INLINE lane_floats interleave_low(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
FANFOLD_INLINE lane_floats interleave_high(lane_floats a, lane_floats b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
#endif

/// Transposes a square of lanes in place: log2 rounds of interleaving rows i and i + lanes / 2.
FANFOLD_INLINE void transpose(lane_floats (&v)[float_lanes]) {
  for (int round = 1; round < float_lanes; round *= 2) {
    lane_floats w[float_lanes];
    for (int i = 0; i < float_lanes / 2; ++i) {
      w[2 * i] = interleave_low(v[i], v[i + float_lanes / 2]);
      w[2 * i + 1] = interleave_high(v[i], v[i + float_lanes / 2]);
    }
    for (int i = 0; i < float_lanes; ++i) v[i] = w[i];
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
