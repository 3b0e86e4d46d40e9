#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/fold/select.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/warp.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// What the passes of a device select know so far.
template <class R>
struct select_state {
  R prefix;
  std::int64_t left;
};

/// Histogram of a digit: in shared memory by block, then added up. Counts are integers, so the order of additions does not show.
template <class P>
struct count_digits_body {
  struct shared {
    checked_array<std::uint32_t, std::size_t{select_bins}> bins;
  };

  P order;
  rank_digit digit;

  template <block B, class T, class R>
  FANFOLD_HD void operator()(B& b, shared& s, view<T const> x, select_state<R> const* state, std::uint32_t* bins) const {
    for (std::int64_t i = b.thread(); i < select_bins; i += b.threads()) s.bins[i] = 0;
    b.sync();
    R const prefix = state->prefix;
    bool const first = digit.high == static_cast<int>(8 * sizeof(R));
    for (std::int64_t i = grid_thread(b); i < x.size(); i += grid_threads(b)) {
      R const rank = order.rank(to_arithmetic(x[i]));
      if (first || (rank ^ prefix) >> digit.high == 0) {
        auto const bin = static_cast<std::int64_t>((rank >> digit.low) & static_cast<R>(digit.bins() - 1));
        b.atomic_add(s.bins.data() + bin, 1u);
      }
    }
    b.sync();
    for (std::int64_t i = b.thread(); i < select_bins; i += b.threads())
      if (s.bins[i] > 0) b.atomic_add(bins + i, s.bins[i]);
  }
};

/// One block: finds the digit of the threshold from the top bin down, and clears the bins for the next pass.
struct choose_digit_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  rank_digit digit;

  template <block B, class R>
  FANFOLD_HD void operator()(B& b, shared& s, select_state<R>* state, std::uint32_t* bins) const {
    std::int64_t const each = divide_up(select_bins, b.threads()), first = static_cast<std::int64_t>(b.thread()) * each;
    std::int64_t const left = state->left;
    std::int64_t mine = 0, total = 0;
    for (std::int64_t i = first; i < first + each && i < select_bins; ++i) mine += bins[select_bins - 1 - i];
    std::int64_t before = block_exclusive_sum(b, s.sums, mine, total);
    if (before < left && left <= before + mine) {  // exactly one thread
      std::int64_t i = first;
      for (; before + bins[select_bins - 1 - i] < left; ++i) before += bins[select_bins - 1 - i];
      state->prefix |= static_cast<R>(static_cast<R>(select_bins - 1 - i) << digit.low);
      state->left = left - before;
    }
    b.sync();
    for (std::int64_t i = b.thread(); i < select_bins; i += b.threads()) bins[i] = 0;
  }
};

/// Items of a tile above and at the threshold; a warp a tile.
template <class P>
struct count_selected_body {
  P order;

  template <block B, class T, class R>
  FANFOLD_HD void operator()(B& b, view<T const> x, select_state<R> const* state, view<std::uint32_t> above, view<std::uint32_t> equal) const {
    R const threshold = state->prefix;
    for (std::int64_t t = grid_warp(b); t < above.size(); t += grid_warps(b)) {
      std::uint32_t more = 0, same = 0;
      for (std::int64_t i = t * tile_items + lane_of(b); i < (t + 1) * tile_items && i < x.size(); i += 32) {
        R const rank = order.rank(to_arithmetic(x[i]));
        more += rank > threshold ? 1u : 0u;
        same += rank == threshold ? 1u : 0u;
      }
      for (unsigned w = 16; w > 0; w /= 2) {
        more += b.shuffle_xor(more, w);
        same += b.shuffle_xor(same, w);
      }
      if (lane_of(b) != 0) continue;
      above[t] = more;
      equal[t] = same;
    }
  }
};

/// One block: where each tile's positions start, how many of its ties are taken; and the small outputs.
template <class P>
struct place_selected_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  P order;

  template <block B, class R, class A, class Index>
  FANFOLD_HD void operator()(B& b, shared& s, select_state<R> const* state, view<std::uint32_t const> above, view<std::uint32_t> equal,
                             view<std::int64_t> start, selection_view<A, Index> out) const {
    std::int64_t const ties = state->left;
    std::int64_t more_before = 0, same_before = 0;
    for (std::int64_t begin = 0; begin < start.size(); begin += b.threads()) {
      std::int64_t const t = begin + b.thread();
      bool const present = t < start.size();
      std::int64_t const more = present ? above[t] : 0, same = present ? equal[t] : 0;
      std::int64_t more_total = 0, same_total = 0;
      std::int64_t const more_first = more_before + block_exclusive_sum(b, s.sums, more, more_total);
      std::int64_t const same_first = same_before + block_exclusive_sum(b, s.sums, same, same_total);
      if (present) {
        std::int64_t const taken_before = (math::min)(same_first, ties);
        start[t] = more_first + taken_before;
        equal[t] = static_cast<std::uint32_t>((math::min)(same, ties - taken_before));
      }
      more_before += more_total;
      same_before += same_total;
    }
    if (b.thread() != 0) return;
    if (!out.threshold.empty()) out.threshold[0] = order.template number<A>(state->prefix);
    if (!out.above.empty()) out.above[0] = order.count - ties;
  }
};

/// Stable compaction; a warp a tile.
template <class P>
struct write_selected_body {
  P order;

  template <block B, class T, class R, class Index>
  FANFOLD_HD void operator()(B& b, view<T const> x, select_state<R> const* state, view<std::uint32_t const> equal,
                             view<std::int64_t const> start, view<Index> to) const {
    R const threshold = state->prefix;
    std::uint32_t const earlier = (1u << lane_of(b)) - 1u;
    for (std::int64_t t = grid_warp(b); t < start.size(); t += grid_warps(b)) {
      std::int64_t next = start[t];
      std::int64_t ties = equal[t];
      for (std::int64_t first = t * tile_items; first < (t + 1) * tile_items && first < x.size(); first += 32) {
        std::int64_t const i = first + lane_of(b);
        R const rank = i < x.size() ? order.rank(to_arithmetic(x[i])) : R{0};
        bool const same = i < x.size() && rank == threshold;
        std::uint32_t const equals = b.ballot(same);
        bool const taken = i < x.size() && (rank > threshold || (same && math::popcount(equals & earlier) < ties));
        std::uint32_t const all = b.ballot(taken);
        if (taken) to[next + math::popcount(all & earlier)] = static_cast<Index>(i);
        next += math::popcount(all);
        ties -= math::popcount(equals);
      }
    }
  }
};

struct start_select_body {
  template <block B, class R>
  FANFOLD_HD void operator()(B& b, select_state<R>* state, std::int64_t count, std::uint32_t* bins) const {
    for (std::int64_t i = grid_thread(b); i < select_bins; i += grid_threads(b)) bins[i] = 0;
    if (grid_thread(b) == 0) *state = {R{0}, count};
  }
};

struct select_nothing_body {
  template <block B, class A, class Index>
  FANFOLD_HD void operator()(B& b, selection_view<A, Index> out) const {
    if (grid_thread(b) != 0) return;
    if (!out.threshold.empty()) out.threshold[0] = math::quiet_nan<A>();
    if (!out.above.empty()) out.above[0] = 0;
  }
};

}  // namespace detail

/// Bytes that the device form of select reads and writes: the row once a digit, once to count and once to write. The least is the row and the
/// positions.
template <class T, class Index>
constexpr std::int64_t select_traffic(std::int64_t n, std::int64_t count) {
  std::int64_t const passes = sizeof(arithmetic_t<T>) == 8 ? 6 : 3;
  return (passes + 2) * n * static_cast<std::int64_t>(sizeof(T)) + count * static_cast<std::int64_t>(sizeof(Index)) +
         detail::divide_up(n, tile_items) * 40 + passes * 3 * detail::select_bins * 4;
}

/// Device form of select: two launches a digit, then counting, placing and writing. Rows of less than 2^32 items.
template <device_executor E, rank_order P, class T, class A, class Index>
void run_loop(E const& ex, select_loop<P> const& loop, view<T const> x, selection_view<A, Index> const& out, workspace& ws) {
  using R = detail::rank_of<A>;
  using state_type = detail::select_state<R>;
  check_argument(x.size() <= 0xffffffff, "select", "x.size()", x.size(), "below 2^32 on a device");
  if (loop.order.count == 0) return ex.launch(detail::select_nothing_body{}, 1, 32u, out);
  workspace::frame frame(ws);
  std::int64_t const tiles = detail::divide_up(x.size(), tile_items);
  state_type* const state = frame.take<state_type>(1).data();
  std::uint32_t* const bins = frame.take<std::uint32_t>(detail::select_bins).data();
  view<std::uint32_t> const above = frame.take<std::uint32_t>(tiles), equal = frame.take<std::uint32_t>(tiles);
  view<std::int64_t> const start = frame.take<std::int64_t>(tiles);
  state_type const* const known = state;

  using digits_body = detail::count_digits_body<P>;
  unsigned const threads = threads_for<digits_body>(ex);
  ex.launch(detail::start_select_body{}, 1, threads_for<detail::start_select_body>(ex), state, loop.order.count, bins);
  for (auto digit = detail::rank_digit::first(static_cast<int>(8 * sizeof(R)));; digit = digit.next()) {
    ex.launch(digits_body{loop.order, digit}, blocks_for(ex, x.size(), 16 * static_cast<std::int64_t>(threads), threads), threads, x, known, bins);
    ex.launch(detail::choose_digit_body{digit}, 1, threads_for<detail::choose_digit_body>(ex), state, bins);
    if (digit.last()) break;
  }
  using counts_body = detail::count_selected_body<P>;
  unsigned const count_threads = threads_for<counts_body>(ex);
  ex.launch(counts_body{loop.order}, blocks_for(ex, tiles, count_threads / 32, count_threads), count_threads, x, known, above, equal);
  using place_body = detail::place_selected_body<P>;
  ex.launch(place_body{loop.order}, 1, threads_for<place_body>(ex), known, as_const(above), equal, start, out);
  if (out.index.empty()) return;
  using write_body = detail::write_selected_body<P>;
  unsigned const write_threads = threads_for<write_body>(ex);
  ex.launch(write_body{loop.order}, blocks_for(ex, tiles, write_threads / 32, write_threads), write_threads, x, known, as_const(equal),
            as_const(start), out.index);
}

}  // namespace fanfold::inline FANFOLD_ABI
