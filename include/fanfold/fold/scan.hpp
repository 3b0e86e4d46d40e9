#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Whether `y_i` holds item i (`inclusive`) or ends before it (`exclusive`).
enum class scan_kind { inclusive, exclusive };

/// What `run_loop` runs for `scan` (engine loop E4). `init`, where `has_init`, is the left operand of everything.
template <monoid M>
struct scan_loop {
  M m{};
  scan_kind kind = scan_kind::inclusive;
  bool has_init = false;
  typename M::state init{};
};

namespace detail {

// A left operand that may be absent: an absent one is skipped, never replaced by the identity.
template <class State>
struct optional_state {
  bool present = false;
  State value{};
};

template <class M>
FANFOLD_HD typename M::state behind(M const& m, optional_state<typename M::state> const& left, typename M::state const& s) {
  return left.present ? m.combine(left.value, s) : s;
}

/// Folds of the runs of a tile, left to right: the tile's total.
template <class M, class T>
FANFOLD_NOINLINE typename M::state scan_tile_total(M const& m, T const* x, std::int64_t n) {
  optional_state<typename M::state> total;
  for (std::int64_t begin = 0; begin < n; begin += run_items) {
    std::int64_t const end = begin + run_items < n ? begin + run_items : n;
    typename M::state run = lift_item(m, x[begin]);
    for (std::int64_t i = begin + 1; i < end; ++i) run = m.combine(run, lift_item(m, x[i]));
    total = {true, behind(m, total, run)};
  }
  return total.value;
}

/// Runs whose local prefixes are made side by side: a run by itself waits for each combine.
inline constexpr int scan_run_chains = 4;

/// Prefixes within each of N neighbouring runs; `count` items a run (fewer than 32 only where N is 1).
template <int N, class M, class T>
FANFOLD_INLINE void scan_runs(M const& m, T const* x, int count, typename M::state (*local)[run_items]) {
  typename M::state s[std::size_t{N}];
  for (int r = 0; r < N; ++r) local[r][0] = s[r] = lift_item(m, x[r * run_items]);
  for (int i = 1; i < count; ++i)
    for (int r = 0; r < N; ++r) local[r][i] = s[r] = m.combine(s[r], lift_item(m, x[r * run_items + i]));
}

/// Fetches what lies 2 KiB behind `p`, as many bytes as N items take; `Write`: to be written, which the hardware does not foresee by itself.
template <int N, bool Write, class T>
FANFOLD_INLINE void fetch_ahead(T const* p) {
  auto const* const from = reinterpret_cast<char const*>(p) + 2048;
  for (int line = 0; line < N * static_cast<int>(sizeof(T)); line += 64) __builtin_prefetch(from + line, Write ? 1 : 0);
}

/// Writes one tile's prefixes behind `offset` and returns the tile's total. `before` is what an exclusive scan writes first. `x` and `y`
/// may be the same memory.
template <class M, class T, class Out>
FANFOLD_NOINLINE typename M::state scan_tile(M const& m, T const* x, Out* y, std::int64_t n, scan_kind kind,
                                             optional_state<typename M::state> const& offset, typename M::state before) {
  using state = typename M::state;
  optional_state<state> total;
  alignas(64) state runs[scan_run_chains][run_items];
  auto const finish_run = [&](state* local, Out* out, int count) {
    state const run = local[count - 1];
    if (total.present)
      for (int i = 0; i < count; ++i) local[i] = m.combine(total.value, local[i]);
    total = {true, behind(m, total, run)};
    if (offset.present)
      for (int i = 0; i < count; ++i) local[i] = m.combine(offset.value, local[i]);
    if (kind == scan_kind::inclusive) {
      for (int i = 0; i < count; ++i) out[i] = store_item<Out>(lower_state(m, local[i]));
    } else {
      out[0] = store_item<Out>(lower_state(m, before));
      for (int i = 1; i < count; ++i) out[i] = store_item<Out>(lower_state(m, local[i - 1]));
      before = local[count - 1];
    }
  };
  std::int64_t begin = 0;
  for (; n - begin >= scan_run_chains * run_items; begin += scan_run_chains * run_items) {
    fetch_ahead<scan_run_chains * run_items, false>(x + begin);
    fetch_ahead<scan_run_chains * run_items, true>(y + begin);
    scan_runs<scan_run_chains>(m, x + begin, static_cast<int>(run_items), runs);
    for (int r = 0; r < scan_run_chains; ++r) finish_run(runs[r], y + begin + r * run_items, static_cast<int>(run_items));
  }
  for (; begin < n; begin += run_items) {
    int const count = static_cast<int>(begin + run_items < n ? run_items : n - begin);
    scan_runs<1>(m, x + begin, count, runs);
    finish_run(runs[0], y + begin, count);
  }
  return total.value;
}

/// The canonical inclusive scan of a sequence that comes one by one: runs of 32, tiles of 64 runs, tile totals by the same rule.
template <class M>
class scan_stream {
 public:
  /// The prefix that ends with `s`.
  FANFOLD_HD typename M::state push(M const& m, typename M::state const& s) {
    using state = typename M::state;
    state item = s, result = s;
    bool complete = true;  // the level below has just finished a tile, whose total is `item`
    for (int l = 0; l < levels; ++l) {
      if (!complete) continue;
      level& v = level_[l];
      v.local = {true, behind(m, v.local, item)};
      state const in_tile = behind(m, v.run_offset, v.local.value);
      state const prefix = behind(m, v.tile_offset, in_tile);
      if (l == 0)
        result = prefix;
      else
        level_[l - 1].tile_offset = {true, prefix};
      ++v.count;
      if (v.count % run_items == 0) {
        v.run_offset = {true, in_tile};
        v.local.present = false;
      }
      complete = v.count % tile_items == 0;
      if (complete) v.run_offset.present = false;
      item = in_tile;
    }
    return result;
  }

 private:
  static constexpr int levels = 4;  // 2048^4 items
  struct level {
    optional_state<typename M::state> local, run_offset, tile_offset;
    std::int64_t count = 0;
  };
  level level_[levels];
};

/// What a tile needs from those before it.
template <class M>
struct tile_entry {
  optional_state<typename M::state> offset;
  typename M::state before;
};

/// Hands out tile entries in order, given each tile's total.
template <class M>
class tile_entries {
 public:
  FANFOLD_HD explicit tile_entries(scan_loop<M> const& loop)
      : loop_(loop), now_{{loop.has_init, loop.init}, loop.has_init ? loop.init : loop.m.identity()} {}

  FANFOLD_HD tile_entry<M> const& now() const { return now_; }

  FANFOLD_HD void advance(typename M::state const& total) {
    M const& m = loop_.m;
    typename M::state const before = behind(m, now_.offset, total);
    typename M::state const prefix = totals_.push(m, total);
    now_ = {{true, loop_.has_init ? m.combine(loop_.init, prefix) : prefix}, before};
  }

 private:
  scan_loop<M> const& loop_;
  scan_stream<M> totals_;
  tile_entry<M> now_;
};

inline constexpr std::int64_t scan_task_tiles = 16;

// Serial: one pass over memory. `x` and `y` may be the same.
template <class M, class T, class Out>
FANFOLD_NOINLINE void scan_in_one_pass(scan_loop<M> const& loop, view<T const> x, Out* y) {
  tile_entries<M> entries(loop);
  for (std::int64_t begin = 0; begin < x.size(); begin += tile_items) {
    std::int64_t const n = begin + tile_items < x.size() ? tile_items : x.size() - begin;
    entries.advance(scan_tile(loop.m, x.data() + begin, y + begin, n, loop.kind, entries.now().offset, entries.now().before));
  }
}

}  // namespace detail

/// Host form of E4: one pass on one thread; totals, scan of totals, apply on several. The same bits.
template <host_executor E, monoid M, class T, class Out, order_policy Order>
void run_loop(E const& ex, scan_loop<M> const& loop, view<T const> x, view<Out> y, Order, workspace& ws) {
  std::int64_t const n = x.size(), tiles = detail::divide_up(n, tile_items), tasks = detail::divide_up(tiles, detail::scan_task_tiles);
  if (tasks <= 1 || ex.concurrency() == 1) return detail::scan_in_one_pass(loop, x, y.data());
  workspace::frame frame(ws);
  auto const entry = frame.take<detail::tile_entry<M>>(tiles);
  auto const total = frame.take<typename M::state>(tiles);
  auto const each_tile = [&](auto const& f) {
    for_each_task(ex, tasks, [&](std::int64_t task) {
      for (std::int64_t t = task * detail::scan_task_tiles; t < tiles && t < (task + 1) * detail::scan_task_tiles; ++t)
        f(t, t * tile_items, t + 1 < tiles ? tile_items : n - t * tile_items);
    });
  };
  each_tile([&](std::int64_t t, std::int64_t begin, std::int64_t count) { total[t] = detail::scan_tile_total(loop.m, x.data() + begin, count); });
  detail::tile_entries<M> entries(loop);
  for (std::int64_t t = 0; t < tiles; ++t) {
    entry[t] = entries.now();
    entries.advance(total[t]);
  }
  each_tile([&](std::int64_t t, std::int64_t begin, std::int64_t count) {
    detail::scan_tile(loop.m, x.data() + begin, y.data() + begin, count, loop.kind, entry[t].offset, entry[t].before);
  });
}

namespace detail {

template <class E, class M, class X, class Y, class... Options>
void run_scan(E const& ex, scan_loop<M> const& loop, X const& x, Y&& y, Options&... options) {
  using order_tag = order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, M>();
  auto const items = as_const(as_view(x));
  auto const prefixes = as_view(y);
  check_argument(prefixes.size() == items.size(), "scan", "out.size()", prefixes.size(), "x.size()");
  check_item_count<M>("scan", items.size());
  check_argument(items.empty() || (items.data() != nullptr && prefixes.data() != nullptr), "scan", "data()", "null", "not null");
  check_argument(static_cast<void const*>(items.data()) == prefixes.data() || !overlaps(items, prefixes), "scan", "out",
                 "partly the same memory as x", "all of it or none");
  if (items.empty()) return;
  call_workspace ws(ex, options...);
  static_assert(has_backend<E, scan_loop<M>, decltype(items), decltype(prefixes), order_tag, workspace&>,
                "no backend of scan for this executor: include <fanfold/kernel/scan.hpp> for device executors");
  run_loop(ex, loop, items, prefixes, order_tag{}, ws.get());
}

}  // namespace detail

/// Prefix folds `y_i = combine over j <= i of x_j` (inclusive) or j < i (exclusive; y_0 is the identity) of any monoid, also a
/// non-commutative one; through `lift` and `lower` where `m` is an aggregator. `y` may be `x`.
/// \throws argument_error for sizes that differ or partly overlapping memory; nothing is written then.
/// \par Determinism the canonical scan: runs of 32, 64 runs a tile, offsets of tiles by the same scan; the same bits on every backend.
template <executor E, monoid M, viewable X, viewable Y, detail::call_option... Options>
void scan(E const& ex, M const& m, X const& x, Y&& y, scan_kind kind, Options&&... options) {
  detail::run_scan(ex, scan_loop<M>{m, kind, false, m.identity()}, x, y, options...);
}
template <monoid M, viewable X, viewable Y, detail::call_option... Options>
void scan(M const& m, X const& x, Y&& y, scan_kind kind, Options&&... options) {
  scan(serial, m, x, y, kind, options...);
}

/// The same with `init` as the left operand of every prefix.
template <executor E, monoid M, viewable X, viewable Y, detail::call_option... Options>
void scan(E const& ex, M const& m, X const& x, Y&& y, scan_kind kind, typename M::state const& init, Options&&... options) {
  detail::run_scan(ex, scan_loop<M>{m, kind, true, init}, x, y, options...);
}
template <monoid M, viewable X, viewable Y, detail::call_option... Options>
void scan(M const& m, X const& x, Y&& y, scan_kind kind, typename M::state const& init, Options&&... options) {
  scan(serial, m, x, y, kind, init, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
