#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/warp.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// Lanes 2 t and 2 t + 1 of the interleaved tree, in thread t of the warp: rows of 64 items, so a thread loads neighbours.
template <class A>
struct lane_pair {
  typename A::state even, odd;
};

template <int Rows, class A, class T>
FANFOLD_HD void absorb_rows(A const& a, lane_pair<A>& lanes, T const* x, std::int64_t stride) {
  using input = typename A::input;
  pack<T, 2> row[std::size_t{Rows}];
  for (int r = 0; r < Rows; ++r) row[r] = load_pack<2>(x + r * stride);  // all in flight before the first is used
#if FANFOLD_ON_DEVICE
#pragma unroll  // also where absorbing is long: else the packs go to local memory
#endif
  for (int r = 0; r < Rows; ++r) {
    absorb_item(a, lanes.even, load_item<input>(row[r].item[0]));
    absorb_item(a, lanes.odd, load_item<input>(row[r].item[1]));
  }
}

/// Rows of a tile whose loads are in flight together; fewer for the long code and many registers of large states.
template <class A>
inline constexpr int rows_in_flight = sizeof(typename A::state) <= 16 ? 8 : 4;

/// A complete and aligned tile: packs of two items, several rows at a time.
template <class A, class T>
FANFOLD_HD void load_aligned_tile(A const& a, lane_pair<A>& lanes, T const* x, unsigned thread) {
  using input = typename A::input;
  constexpr std::int64_t rows = tile_items / tile_lanes;
  constexpr int step = rows_in_flight<A>;
  T const* const mine = x + 2 * thread;
  pack<T, 2> const first = load_pack<2>(mine);
  lanes.even = a.lift(load_item<input>(first.item[0]));
  lanes.odd = a.lift(load_item<input>(first.item[1]));
  std::int64_t r = 1;
#if FANFOLD_ON_DEVICE
#pragma unroll 1  // more rows in flight would only cost registers
#endif
  for (; r + step <= rows; r += step) absorb_rows<step>(a, lanes, mine + r * tile_lanes, tile_lanes);
  absorb_rows<static_cast<int>((rows - 1) % step)>(a, lanes, mine + r * tile_lanes, tile_lanes);
}

template <class A, class T>
FANFOLD_HD void load_any_tile(A const& a, lane_pair<A>& lanes, T const* x, std::int64_t n, unsigned thread) {
  using input = typename A::input;
  std::int64_t const l = 2 * thread;
  if (l < n) lanes.even = a.lift(load_item<input>(x[l]));
  if (l + 1 < n) lanes.odd = a.lift(load_item<input>(x[l + 1]));
  for (std::int64_t i = tile_lanes + l; i < n; i += tile_lanes) {
    absorb_item(a, lanes.even, load_item<input>(x[i]));
    if (i + 1 < n) absorb_item(a, lanes.odd, load_item<input>(x[i + 1]));
  }
}

/// The 64 lanes by halving. The first step (w = 32) leaves lanes 0..31 spread over the warp, even ones in threads 0..15 and odd ones in
/// 16..31, so that each further step is one shuffle. The result is in thread 0.
template <block B, class A>
FANFOLD_HD typename A::state halve_lanes(B& b, A const& a, lane_pair<A> const& lanes, std::int64_t n) {
  using state = typename A::state;
  unsigned const thread = lane_of(b);
  bool const upper = thread >= 16;
  state sent = lanes.odd;  // copies and branches: a selected address would put the states in local memory
  if (upper) sent = lanes.even;
  state const received = b.shuffle_xor(sent, 16);
  std::int64_t const lane = upper ? 2 * (thread - 16) + 1 : 2 * thread;
  state s = lanes.even, later = received;
  if (upper) {
    s = received;
    later = lanes.odd;
  }
  if (lane + 32 < n) s = a.combine(s, later);
  for (unsigned t = 8; t > 0; t /= 2) {  // w = 2 t
    state const other = b.shuffle_down(s, t);
    if (lane < 2 * t && lane + 2 * t < n) s = a.combine(s, other);
  }
  state const odd = b.shuffle_down(s, 16);
  if (thread == 0 && n > 1) s = a.combine(s, odd);
  return s;
}

template <block B, class A, class T>
FANFOLD_HD typename A::state warp_fold_interleaved(B& b, A const& a, T const* x, std::int64_t n) {
  unsigned const thread = lane_of(b);
  lane_pair<A> lanes{a.identity(), a.identity()};
  if constexpr (2 * sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0) {
    if (n == tile_items && is_pack_aligned<2>(x))
      load_aligned_tile(a, lanes, x, thread);
    else
      load_any_tile(a, lanes, x, n, thread);
  } else {
    load_any_tile(a, lanes, x, n, thread);
  }
  return halve_lanes(b, a, lanes, n);
}

/// A run of the ordered tree, `n` items (at least one) from left to right; a complete and aligned one by packs of V.
template <int V, class A, class T>
FANFOLD_HD typename A::state fold_run(A const& a, T const* x, std::int64_t n) {
  using input = typename A::input;
  if constexpr (V > 1) {
    if (n == run_items && is_pack_aligned<V>(x)) {
      pack<T, V> items = load_pack<V>(x);
      typename A::state s = a.lift(load_item<input>(items.item[0]));
      for (int i = 1; i < V; ++i) absorb_item(a, s, load_item<input>(items.item[i]));
      for (std::int64_t p = V; p < run_items; p += V) {
        items = load_pack<V>(x + p);
        for (int i = 0; i < V; ++i) absorb_item(a, s, load_item<input>(items.item[i]));
      }
      return s;
    }
  }
  typename A::state s = a.lift(load_item<input>(x[0]));
  for (std::int64_t i = 1; i < n; ++i) absorb_item(a, s, load_item<input>(x[i]));
  return s;
}

/// The ordered tree: a thread folds runs of 32 items, the warp their adjacent-pair tree; both halves of the tile in turn.
template <block B, class A, class T>
FANFOLD_HD typename A::state warp_fold_ordered(B& b, A const& a, T const* x, std::int64_t n) {
  using state = typename A::state;
  constexpr std::int64_t half = 32 * run_items;
  state result = a.identity();
  for (std::int64_t begin = 0; begin < n; begin += half) {
    std::int64_t const first = begin + static_cast<std::int64_t>(lane_of(b)) * run_items;
    state s = a.identity();
    if (first < n) s = fold_run<widest_pack<T>>(a, x + first, n - first < run_items ? n - first : run_items);
    s = warp_fold_pairs(b, a, s, divide_up(n - begin, run_items));
    result = begin == 0 ? s : a.combine(result, s);
  }
  return result;
}

/// One tile (1 to 2,048 items) by the canonical tree of a stream, by the calling warp; the result is in lane 0.
template <block B, aggregator A, class T>
FANFOLD_HD typename A::state warp_fold_tile(B& b, A const& a, T const* x, std::int64_t n) {
  if constexpr (commutative_monoid<A>)
    return warp_fold_interleaved(b, a, x, n);
  else
    return warp_fold_ordered(b, a, x, n);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
