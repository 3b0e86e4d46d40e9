#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/fold/segmented_scan.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/kernel/warp.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// A tile of up to 2,048 items that a warp scans: lane l owns the runs 2l and 2l + 1.
template <class M>
struct tile_of_warp {
  using state = typename M::state;

  /// Calls f(i, item) for the items of run `run`, in order. Ordinary loads: a scan may write where it reads.
  template <class T, class F>
  FANFOLD_HD FANFOLD_INLINE static void for_each_item(T const* x, std::int64_t n, std::int64_t run, F& f) {
    std::int64_t const begin = run * run_items, end = begin + run_items < n ? begin + run_items : n;
    constexpr int V = widest_pack<T>;
    std::int64_t i = begin;
    if constexpr (V > 1) {
      if (is_pack_aligned<V>(x))
        for (; i + V <= end; i += V) {
          pack<T, V> const items = load_changing_pack<V>(x + i);
#if FANFOLD_ON_DEVICE
#pragma unroll  // else the pack goes to local memory where f is long
#endif
          for (int k = 0; k < V; ++k) f(i + k, items.item[k]);
        }
    }
    for (; i < end; ++i) f(i, x[i]);
  }

  struct run_total {
    M const& m;
    state total;
    bool started;
    template <class T>
    FANFOLD_HD FANFOLD_INLINE void operator()(std::int64_t, T const& item) {
      state const s = lift_item(m, item);
      if (started)
        total = m.combine(total, s);
      else
        total = s;
      started = true;
    }
  };

  /// The left fold of a run; the identity behind the last one.
  template <class T>
  FANFOLD_HD static state total_of(M const& m, T const* x, std::int64_t n, std::int64_t run) {
    run_total f{m, m.identity(), false};
    if (run * run_items < n) for_each_item(x, n, run, f);
    return f.total;
  }

  /// Left folds of the runs in order: the lane's two run offsets (absent for run 0) and, in every lane, the tile's total.
  template <class B, class T>
  FANFOLD_HD static state offsets(B& b, M const& m, T const* x, std::int64_t n, state (&offset)[2]) {
    std::int64_t const lane = lane_of(b), runs = divide_up(n, run_items);
    state const even = total_of(m, x, n, 2 * lane), odd = total_of(m, x, n, 2 * lane + 1);
    state all = even;
    for (unsigned l = 0; l < 32; ++l) {
      state const first = b.shuffle(even, l), second = b.shuffle(odd, l);
      if (l == lane) offset[0] = all;
      if (2 * l < runs) all = l == 0 ? first : m.combine(all, first);
      if (l == lane) offset[1] = all;
      if (2 * l + 1 < runs) all = m.combine(all, second);
    }
    return all;
  }
};

/// Totals of the tiles of `x`.
template <class M>
struct scan_totals_body {
  using state = typename M::state;
  M m;

  template <block B, class T>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<state> totals) const {
    for (std::int64_t t = grid_warp(b); t < totals.size(); t += grid_warps(b)) {
      std::int64_t const begin = t * tile_items;
      state unused[2] = {m.identity(), m.identity()};
      state const total =
          tile_of_warp<M>::offsets(b, m, x.data() + begin, x.size() - begin < tile_items ? x.size() - begin : tile_items, unused);
      if (lane_of(b) == 0) totals.data()[t] = total;
    }
  }
};

template <class M, class Out>
struct prefix_writer {
  using state = typename M::state;
  scan_loop<M> const& loop;
  tile_entry<M> const& entry;
  state run_offset;
  bool first_run;
  Out* y;
  state local;    // fold of the run so far
  state before;   // what an exclusive scan writes next
  bool started;

  template <class T>
  FANFOLD_HD FANFOLD_INLINE void operator()(std::int64_t i, T const& item) {
    M const& m = loop.m;
    state const s = lift_item(m, item);
    // copies and branches: a selected address would put the states in local memory
    if (started)
      local = m.combine(local, s);
    else
      local = s;
    started = true;
    state prefix = local;
    if (!first_run) prefix = m.combine(run_offset, local);
    if (entry.offset.present) prefix = m.combine(entry.offset.value, prefix);
    state shown = before;
    if (loop.kind == scan_kind::inclusive) shown = prefix;
    y[i] = store_item<Out>(lower_state(m, shown));
    before = prefix;
  }
};

/// Writes the prefixes of the tiles of `x`, given the inclusive scan of the tiles' totals. `x` and `y` may be the same memory: a lane
/// writes behind what it reads, and an exclusive run begins with what its own offsets give.
template <class M>
struct scan_apply_body {
  using state = typename M::state;
  scan_loop<M> loop;

  template <block B, class T, class Out>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<state const> prefixes, view<state const> totals, view<Out> y) const {
    std::int64_t const tiles = divide_up(x.size(), tile_items);
    for (std::int64_t t = grid_warp(b); t < tiles; t += grid_warps(b)) {
      std::int64_t const begin = t * tile_items;
      apply(b, x.data() + begin, x.size() - begin < tile_items ? x.size() - begin : tile_items, entry_of(t, prefixes, totals), y.data() + begin);
    }
  }

  template <class B, class T, class Out>
  FANFOLD_HD void apply(B& b, T const* x, std::int64_t n, tile_entry<M> const& entry, Out* y) const {
    std::int64_t const lane = lane_of(b);
    state offset[2] = {loop.m.identity(), loop.m.identity()};
    tile_of_warp<M>::offsets(b, loop.m, x, n, offset);
    b.sync_warp();  // in place, every run must have been read before one is written
    for (int k = 0; k < 2; ++k) {
      state before_run = offset[0];
      if (k == 1) before_run = offset[1];
      apply_run(x, n, entry, before_run, 2 * lane + k, y);
    }
  }

  /// What comes before tile t: `init` and the prefix of the earlier tiles; and the last inclusive value of the tile before.
  FANFOLD_HD tile_entry<M> entry_of(std::int64_t t, view<state const> prefixes, view<state const> totals) const {
    tile_entry<M> entry{{loop.has_init, loop.init}, loop.has_init ? loop.init : loop.m.identity()};
    if (t > 0) {
      optional_state<state> const earlier = t > 1 ? optional_state<state>{true, with_init(prefixes.data()[t - 2])} : entry.offset;
      entry.before = behind(loop.m, earlier, totals.data()[t - 1]);
      entry.offset = {true, with_init(prefixes.data()[t - 1])};
    }
    return entry;
  }

 private:
  template <class T, class Out>
  FANFOLD_HD FANFOLD_INLINE void apply_run(T const* x, std::int64_t n, tile_entry<M> const& entry, state const& offset, std::int64_t run, Out* y) const {
    if (run * run_items >= n) return;
    state before = entry.before;
    if (run > 0) before = behind(loop.m, entry.offset, offset);
    prefix_writer<M, Out> f{loop, entry, offset, run == 0, y, loop.m.identity(), before, false};
    tile_of_warp<M>::for_each_item(x, n, run, f);
  }
  FANFOLD_HD state with_init(state const& prefix) const { return loop.has_init ? loop.m.combine(loop.init, prefix) : prefix; }
};

/// A carrier's states themselves as items.
template <class M>
struct states_of {
  using state = typename M::state;
  static constexpr law laws = M::laws;
  M m;
  FANFOLD_HD constexpr state identity() const { return m.identity(); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return m.combine(a, b); }
};

template <class E, class M, class T, class Out>
void launch_scan(E const& ex, scan_loop<M> const& loop, view<T const> x, view<Out> y, workspace& ws) {
  using state = typename M::state;
  static_assert(std::is_trivially_copyable_v<state>, "a scan on a device needs a trivially copyable state");
  std::int64_t const tiles = divide_up(x.size(), tile_items);
  workspace::frame frame(ws);
  auto const totals = frame.take<state>(tiles > 1 ? tiles : 0), prefixes = frame.take<state>(tiles > 1 ? tiles : 0);
  if (tiles > 1) {
    using body = scan_totals_body<M>;
    unsigned const threads = threads_for<body>(ex);
    ex.launch(body{loop.m}, blocks_for(ex, tiles, threads / 32, threads), threads, x, totals);
    using inner = states_of<M>;
    if constexpr (std::is_same_v<T, state> && std::is_same_v<Out, state> && !aggregator<M>)
      launch_scan(ex, scan_loop<M>{loop.m, scan_kind::inclusive, false, loop.m.identity()}, as_const(totals), prefixes, ws);
    else
      launch_scan(ex, scan_loop<inner>{inner{loop.m}, scan_kind::inclusive, false, loop.m.identity()}, as_const(totals), prefixes, ws);
  }
  using body = scan_apply_body<M>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop}, blocks_for(ex, tiles, threads / 32, threads), threads, x, as_const(prefixes), as_const(totals), y);
}

/// A warp scans a segment, tile after tile; the offsets of tiles beyond the first come from the canonical scan of totals, streamed.
template <class M>
struct segmented_scan_body {
  scan_loop<M> loop;
  view<std::int64_t const> offsets;
  std::uint32_t* status;

  template <block B, class T, class Out>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<Out> y) const {
    for (std::int64_t s = grid_warp(b); s < offsets.size() - 1; s += grid_warps(b)) {
      std::int64_t const begin = offsets.data()[s], end = offsets.data()[s + 1];
      if (begin < 0 || begin > end || end > x.size()) {
        if (lane_of(b) == 0) raise(b, status, data_fault::offsets_not_ascending);
        continue;
      }
      scan_segment(b, x.data() + begin, end - begin, y.data() + begin);
    }
  }

 private:
  template <class B, class T, class Out>
  FANFOLD_HD void scan_segment(B& b, T const* x, std::int64_t n, Out* y) const {
    using state = typename M::state;
    tile_entries<M> entries(loop);
    scan_apply_body<M> const one{loop};
    for (std::int64_t begin = 0; begin < n; begin += tile_items) {
      std::int64_t const count = n - begin < tile_items ? n - begin : tile_items;
      state unused[2] = {loop.m.identity(), loop.m.identity()};
      state const total = tile_of_warp<M>::offsets(b, loop.m, x + begin, count, unused);
      one.apply(b, x + begin, count, entries.now(), y + begin);
      if (begin + tile_items < n) entries.advance(total);
    }
  }
};

}  // namespace detail

/// Bytes that the device form of a scan reads and writes; the least is each item once and each prefix once.
template <class T, class Out, class State>
constexpr std::int64_t scan_traffic(std::int64_t items) {
  std::int64_t const tiles = detail::divide_up(items, tile_items);
  std::int64_t const size = static_cast<std::int64_t>(sizeof(T)), state = static_cast<std::int64_t>(sizeof(State));
  return items * (tiles > 1 ? 2 * size : size) + items * static_cast<std::int64_t>(sizeof(Out)) +
         (tiles > 1 ? tiles * 3 * state + scan_traffic<State, State, State>(tiles) : 0);
}

/// Device form of E4: totals of tiles, scan of totals by the same rule, prefixes.
template <device_executor E, monoid M, class T, class Out, order_policy Order>
void run_loop(E const& ex, scan_loop<M> const& loop, view<T const> x, view<Out> y, Order, workspace& ws) {
  detail::launch_scan(ex, loop, x, y, ws);
}

/// Device form of the segmented scan: a warp a segment.
template <device_executor E, monoid M, class T, class Out, order_policy Order>
void run_loop(E const& ex, segmented_scan_loop<M> const& loop, view<T const> x, view<std::int64_t const> offsets, view<Out> y, Order, workspace&) {
  using body = detail::segmented_scan_body<M>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.scan, offsets, ex.status()}, blocks_for(ex, offsets.size() - 1, threads / 32, threads), threads, x, y);
}

}  // namespace fanfold::inline FANFOLD_ABI
