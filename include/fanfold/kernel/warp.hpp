#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The value that lane `from` holds, in every lane.
template <block B, class T>
FANFOLD_HD T warp_broadcast(B& b, T const& value, unsigned from = 0) {
  return b.shuffle(value, from);
}

/// Halving tree over the first `count` lanes, for w = 16, 8, 4, 2, 1: lane l takes combine(lane l, lane l + w) where l < w and l + w < count.
/// The result is in lane 0 (other lanes hold parts). The identity is never mixed in; `count` is uniform in the warp.
template <block B, monoid M>
FANFOLD_HD typename M::state warp_fold_halving(B& b, M const& m, typename M::state s, std::int64_t count = 32) {
  unsigned const lane = lane_of(b);
  for (unsigned w = 16; w > 0; w /= 2) {
    typename M::state const other = b.shuffle_down(s, w);
    if (lane < w && lane + w < count) s = m.combine(s, other);
  }
  return s;
}

/// Adjacent-pair tree over the first `count` lanes: (0,1), (2,3), ..., an unpaired last one moves up unchanged. The result is in lane 0.
/// Order-preserving, so for non-commutative carriers too.
template <block B, monoid M>
FANFOLD_HD typename M::state warp_fold_pairs(B& b, M const& m, typename M::state s, std::int64_t count = 32) {
  unsigned const lane = lane_of(b);
  for (unsigned w = 1; w < 32; w *= 2) {
    typename M::state const other = b.shuffle_down(s, w);
    if (lane % (2 * w) == 0 && lane + w < count) s = m.combine(s, other);
  }
  return s;
}

/// op over all 32 lanes, in every lane (butterfly). `op` must be commutative bit for bit; then all lanes hold the same bits.
template <block B, class T, class Op>
FANFOLD_HD T warp_all_fold(B& b, T value, Op const& op) {
  for (unsigned w = 16; w > 0; w /= 2) value = op(value, b.shuffle_xor(value, w));
  return value;
}

/// Lane l gets the sum of lanes 0..l (inclusive) or 0..l-1 (exclusive). For integers: the order of additions is not the canonical scan's.
template <block B, std::integral T>
FANFOLD_HD T warp_inclusive_sum(B& b, T value) {
  unsigned const lane = lane_of(b);
  for (unsigned w = 1; w < 32; w *= 2) {
    T const other = b.shuffle_up(value, w);
    if (lane >= w) value = static_cast<T>(value + other);
  }
  return value;
}
template <block B, std::integral T>
FANFOLD_HD T warp_exclusive_sum(B& b, T value) {
  return static_cast<T>(warp_inclusive_sum(b, value) - value);
}

/// Thread t gets the sum over the block's threads 0..t-1, `total` that of all. Two barriers; `warp_sums` is free again afterwards.
template <block B, std::integral T>
FANFOLD_HD T block_exclusive_sum(B& b, checked_array<T, 32>& warp_sums, T value, T& total) {
  T const inclusive = warp_inclusive_sum(b, value);
  if (lane_of(b) == 31) warp_sums[warp_of(b)] = inclusive;
  b.sync();
  T before = 0, sum = 0;
  for (unsigned w = 0; w < warps_of(b); ++w) {
    if (w == warp_of(b)) before = sum;
    sum = static_cast<T>(sum + warp_sums[w]);
  }
  b.sync();
  total = sum;
  return static_cast<T>(before + inclusive - value);
}

}  // namespace fanfold::inline FANFOLD_ABI
