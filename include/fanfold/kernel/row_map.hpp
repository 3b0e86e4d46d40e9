#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/row_loop.hpp"
#include "fanfold/route/routing_stats.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Memory of a block: sums of a run of rows, and for each warp a row's arrays. In shared memory where it fits, else in the workspace.
/// Reals are laid out as in routing_stats_view, and so are integers.
struct row_block_layout {
  std::int64_t experts = 0;
  std::int64_t slots = 0;
  std::int64_t numbers = 0;  // of R a warp
  std::int64_t number_bytes = 4;
  std::int64_t warps = 1;
  bool statistics = false;

  FANFOLD_HD static constexpr std::int64_t round(std::int64_t bytes) { return (bytes + 15) / 16 * 16; }
  FANFOLD_HD std::int64_t reals() const { return statistics ? routing_stats_view::real_size(experts) : 0; }
  FANFOLD_HD std::int64_t integers() const { return statistics ? routing_stats_view::integer_size(experts) : 0; }
  FANFOLD_HD std::int64_t warp_bytes() const { return round(numbers * number_bytes) + round(slots * 4) + 32; }
  FANFOLD_HD std::int64_t warp_offset(std::int64_t warp) const { return round(reals() * 8) + round(integers() * 4) + warp * warp_bytes(); }
  FANFOLD_HD std::int64_t bytes() const { return warp_offset(warps); }
};

/// What a warp leaves for the sums of its run.
template <class R>
struct warp_result {
  R lse;
  R entropy;
  std::int32_t kept;  // a real row, not padding
  std::int32_t degenerate;
  std::int32_t no_work;
};

/// The arrays of warp `warp` in the block's memory.
template <class Router, class R>
struct warp_memory {
  row_arrays<R> arrays;
  R* spare;  // numbers behind those of a row
  warp_result<R>* result;

  FANFOLD_HD warp_memory(row_block_layout const& layout, std::byte* block_memory, std::int64_t warp) {
    std::byte* const base = block_memory + layout.warp_offset(warp);
    R* const number = reinterpret_cast<R*>(base);
    arrays = Router::arrays(number, layout.experts);
    arrays.slots = layout.slots;
    arrays.weight = number + Router::scratch_rows * layout.experts;
    spare = arrays.weight + layout.slots;
    std::byte* const ids = base + row_block_layout::round(layout.numbers * layout.number_bytes);
    arrays.id = reinterpret_cast<std::int32_t*>(ids);
    result = reinterpret_cast<warp_result<R>*>(ids + row_block_layout::round(layout.slots * 4));
  }
};

template <class L>
struct nan_flag {
  L const* x;
  FANFOLD_HD float operator()(std::int64_t e) const { return math::isnan(to_arithmetic(x[e])) ? 1.0f : 0.0f; }
};

/// load_logits by 16-byte loads where rows allow them.
template <class G, class L, class R>
FANFOLD_HD void load_logits_packed(G const& g, L const* source, R* logit, std::int64_t n) {
  constexpr int width = widest_pack<L>;
  if (n % width != 0 || !is_pack_aligned<width>(source)) return load_logits(g, source, logit, n);
  for (std::int64_t e = std::int64_t{width} * g.rank(); e < n; e += std::int64_t{width} * g.size()) {
    auto const p = load_pack<width>(source + e);
    for (int i = 0; i < width; ++i) {
      R const l = to_arithmetic(p.item[i]);
      logit[e + i] = (math::isnan(l) ? -math::infinity<R>() : l) + R(0);
    }
  }
  g.sync();
}

/// Loads row `t` and treats it as degenerate where the policy forbids its NaN.
template <block B, class Router, class L, class R>
FANFOLD_HD void load_row(B& b, warp_lanes<B> const& g, Router const& router, L const* source, row_arrays<R>& a, std::int64_t t,
                         std::uint32_t* status) {
  a.row = t;
  load_logits_packed(g, source, a.logit, a.experts);
  if (router.nan != nan_policy::error) return;
  if (!(g.fold(row_maximum<float>{}, a.experts, nan_flag<L>{source}) > 0)) return;
  if (g.rank() == 0) raise(b, status, data_fault::not_finite);
  for (std::int64_t e = g.rank(); e < a.experts; e += g.size()) a.logit[e] = -math::infinity<R>();
  g.sync();
}

/// A warp a row, nothing summed.
template <class Router>
struct row_map_body {
  row_map_loop<Router> loop;
  row_block_layout layout;
  std::uint32_t* status;

  template <block B, class L, class W, class Id>
  FANFOLD_HD void operator()(B& b, view<std::byte> shared, std::byte* global, matrix_view<L const> logits, assignment<W, Id> out) const {
    using R = arithmetic_t<L>;
    std::byte* const memory = global == nullptr ? shared.data() : global + b.index() * layout.bytes();
    warp_memory<Router, R> own(layout, memory, warp_of(b));
    warp_lanes<B> const g(b);
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b)) {
      Id* const id = out.id.data() + t * out.id.stride();
      W* const weight = out.weight.data() + t * out.weight.stride();
      if (loop.mask.keeps(t)) {
        load_row(b, g, loop.router, logits.data() + t * logits.stride(), own.arrays, t, status);
        loop.router.forward(g, own.arrays, false);
        store_row(g, own.arrays, id, weight);
        g.sync();  // the next row overwrites what lanes still read
      } else {
        store_empty_row(g, layout.slots, id, weight);
      }
    }
  }
};

/// Adds the rows that the block's warps have just routed to the sums of the run, in ascending row. Which lane adds where is fixed, so that
/// every element has one owner between two barriers.
template <class Router, class R, block B>
FANFOLD_HD void add_wave(B& b, row_block_layout const& layout, std::byte* memory) {
  auto* const reals = reinterpret_cast<double*>(memory);
  auto* const integers = reinterpret_cast<std::int32_t*>(memory + row_block_layout::round(layout.reals() * 8));
  std::int64_t const n = layout.experts;
  for (std::int64_t w = 0; w < layout.warps; ++w) {
    warp_memory<Router, R> const from(layout, memory, w);
    if (from.result->kept == 0) continue;
    for (std::int64_t e = b.thread(); e < n; e += b.threads()) reals[stat_reals + e] += static_cast<double>(from.arrays.share[e]);
    if (warp_of(b) != 0) continue;
    std::int32_t chosen = 0;
    for (std::int64_t j = 0; j < layout.slots; ++j) chosen += from.arrays.id[j] < 0 ? 0 : 1;
    for (std::int64_t j = lane_of(b); j < layout.slots; j += 32) {  // ids of a row are distinct: no two lanes meet
      std::int32_t const e = from.arrays.id[j];
      if (e < 0) continue;
      integers[stat_integers + e] += 1;
      if (j == 0) integers[stat_integers + n + e] += 1;
      reals[stat_reals + n + e] += static_cast<double>(from.arrays.weight[j]);
    }
    if (b.thread() == 0) {
      reals[stat_lse_sq_sum] += static_cast<double>(from.result->lse) * static_cast<double>(from.result->lse);
      reals[stat_entropy_sum] += static_cast<double>(from.result->entropy);
      integers[stat_tokens] += 1;
      integers[stat_choices] += chosen;
      integers[stat_empty_rows] += chosen == 0 || from.result->no_work != 0 ? 1 : 0;
      integers[stat_degenerate_rows] += from.result->degenerate;
    }
    b.sync_warp();
  }
}

/// A block a task of `task_runs` runs (a power of two), rows over its warps; run sums meet in the adjacent-pair tree, level by level in
/// `levels`; sums of the task go to row b.index() of `reals` and `integers`.
template <class Router>
struct row_map_statistics_body {
  row_map_loop<Router> loop;
  row_block_layout layout;
  std::uint32_t* status;
  std::int64_t task_runs;
  std::int64_t level_count;
  view<double> levels;
  view<double> reals;
  view<std::int64_t> integers;

  template <block B, class L, class W, class Id>
  FANFOLD_HD void operator()(B& b, view<std::byte> shared, std::byte* global, matrix_view<L const> logits, assignment<W, Id> out) const {
    using R = arithmetic_t<L>;
    std::byte* const memory = global == nullptr ? shared.data() : global + b.index() * layout.bytes();
    auto* const sums = reinterpret_cast<double*>(memory);
    auto* const counts = reinterpret_cast<std::int32_t*>(memory + row_block_layout::round(layout.reals() * 8));
    std::int64_t const size = layout.reals();
    double* const level = levels.data() + b.index() * level_count * size;
    for (std::int64_t i = b.thread(); i < layout.integers(); i += b.threads()) counts[i] = 0;
    std::int64_t const first = b.index() * task_runs * run_items;
    std::int64_t const end = first + task_runs * run_items;
    std::int64_t const last = end < logits.rows() ? end : logits.rows();
    std::int64_t run = 0;
    for (std::int64_t begin = first; begin < last; begin += run_items, ++run) {
      for (std::int64_t i = b.thread(); i < size; i += b.threads()) sums[i] = 0;
      std::int64_t const stop = begin + run_items < last ? begin + run_items : last;
      for (std::int64_t t = begin; t < stop; t += layout.warps) {
        b.sync();
        route_one<R>(b, memory, t + warp_of(b), stop, logits, out);
        b.sync();
        add_wave<Router, R>(b, layout, memory);
      }
      b.sync();
      for (std::int64_t i = b.thread(); i < size; i += b.threads()) push(level + i, size, run, sums[i]);
      b.sync();
    }
    for (std::int64_t i = b.thread(); i < size; i += b.threads()) reals.data()[b.index() * size + i] = root(level + i, size, run);
    for (std::int64_t i = b.thread(); i < layout.integers(); i += b.threads()) integers.data()[b.index() * layout.integers() + i] = counts[i];
  }

 private:
  template <class R, block B, class L, class W, class Id>
  FANFOLD_HD void route_one(B& b, std::byte* memory, std::int64_t t, std::int64_t stop, matrix_view<L const> logits, assignment<W, Id> out) const {
    warp_lanes<B> const g(b);
    warp_memory<Router, R> own(layout, memory, warp_of(b));
    if (g.rank() == 0) own.result->kept = 0;
    if (t >= stop) return;
    Id* const id = out.id.data() + t * out.id.stride();
    W* const weight = out.weight.data() + t * out.weight.stride();
    if (!loop.mask.keeps(t)) return store_empty_row(g, layout.slots, id, weight);
    load_row(b, g, loop.router, logits.data() + t * logits.stride(), own.arrays, t, status);
    row_summary<R> const s = loop.router.forward(g, own.arrays, true);
    store_row(g, own.arrays, id, weight);
    if (g.rank() == 0) *own.result = {s.lse, s.entropy, 1, s.degenerate ? 1 : 0, s.no_work ? 1 : 0};
  }

  // One element's column of the levels: the digits of a binary counter.
  FANFOLD_HD static void push(double* level, std::int64_t size, std::int64_t count, double s) {
    for (; count % 2 != 0; count /= 2, level += size) s = *level + s;
    *level = s;
  }
  FANFOLD_HD static double root(double const* level, std::int64_t size, std::int64_t count) {
    for (; count % 2 == 0; count /= 2) level += size;
    double s = *level;
    for (count /= 2, level += size; count != 0; count /= 2, level += size)
      if (count % 2 != 0) s = *level + s;
    return s;
  }
};

/// to[r][i] = adjacent-pair sum of from[32 r + 0 ... 31][i].
template <class T>
struct sum_rows_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, view<T const> from, std::int64_t rows, std::int64_t size, view<T> to) const {
    std::int64_t const results = fanfold::detail::divide_up(rows, run_items);
    for (std::int64_t at = grid_thread(b); at < results * size; at += grid_threads(b)) {
      std::int64_t const first = at / size * run_items;
      std::int64_t const count = rows - first < run_items ? rows - first : run_items;
      fanfold::detail::register_pair_tree<T> tree;
      for (std::int64_t r = 0; r < count; ++r) tree.push(row_sum<T>{}, from.data()[(first + r) * size + at % size]);
      to.data()[at] = tree.root(row_sum<T>{});
    }
  }
};

/// result := the adjacent-pair sum of `rows` rows of `result.size()` numbers, by as many passes as it takes; the rows are destroyed.
template <device_executor E, class T>
void sum_rows(E const& ex, view<T> from, std::int64_t rows, view<T> result, workspace& ws) {
  using body = sum_rows_body<T>;
  std::int64_t const size = result.size();
  unsigned const threads = threads_for<body>(ex);
  workspace::frame frame(ws);
  view<T> other = frame.take<T>(fanfold::detail::divide_up(rows, run_items) * size);
  while (true) {
    std::int64_t const left = fanfold::detail::divide_up(rows, run_items);
    view<T> const to = left == 1 ? result : other;
    ex.launch(body{}, blocks_for(ex, left * size, threads, threads), threads, as_const(from), rows, size, to);
    if (left == 1) return;
    view<T> const spent = from;
    from = other;
    other = spent;
    rows = left;
  }
}

/// A warp a row, backward.
template <class Router>
struct row_map_vjp_body {
  row_map_vjp_loop<Router> loop;
  row_block_layout layout;

  template <block B, class L, class Id, class W, class D>
  FANFOLD_HD void operator()(B& b, view<std::byte> shared, std::byte* global, matrix_view<L const> logits, matrix_view<Id const> id,
                             matrix_view<W const> dweight, matrix_view<D> dlogits) const {
    using R = arithmetic_t<L>;
    std::byte* const memory = global == nullptr ? shared.data() : global + b.index() * layout.bytes();
    warp_memory<Router, R> own(layout, memory, warp_of(b));
    row_arrays<R>& a = own.arrays;
    a.slot_gradient = own.spare;
    R* const dw = own.spare + layout.slots;
    R* const dl = dw + layout.slots;
    warp_lanes<B> const g(b);
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b)) {
      bool const kept = loop.mask.keeps(t);
      if (kept) {
        a.row = t;
        for (std::int64_t j = g.rank(); j < layout.slots; j += g.size()) {
          auto const e = static_cast<std::int64_t>(id.data()[t * id.stride() + j]);
          a.id[j] = e >= 0 && e < layout.experts ? static_cast<std::int32_t>(e) : -1;
          dw[j] = dweight.data() == nullptr ? R(0) : static_cast<R>(to_arithmetic(dweight.data()[t * dweight.stride() + j]));
        }
        load_logits_packed(g, logits.data() + t * logits.stride(), a.logit, layout.experts);
        loop.router.backward(g, a, dweight.data() == nullptr ? nullptr : dw, loop.stats, dl);
      }
      D* const target = dlogits.data() + t * dlogits.stride();
      for (std::int64_t e = g.rank(); e < layout.experts; e += g.size())
        target[e] = from_arithmetic<D>(kept ? static_cast<arithmetic_t<D>>(dl[e]) : arithmetic_t<D>(0));
      g.sync();
    }
  }
};

inline constexpr std::int64_t most_shared_bytes = 48 * 1024;  // what every device gives a block without asking

/// Chooses the warps of a block so that its memory fits in shared memory; false: it does not even for one warp.
inline bool fit_block(row_block_layout& layout, unsigned most_threads) {
  layout.warps = most_threads / 32;
  while (layout.warps > 1 && layout.bytes() > most_shared_bytes) --layout.warps;
  return layout.bytes() <= most_shared_bytes;
}

/// Runs a body with its memory shared or, for very long rows, in the workspace; `grid(most)` says how many blocks of at most `most`.
template <device_executor E, class Body, class... Args>
void launch_rows(E const& ex, Body const& body, bool shared, std::int64_t grid, workspace& ws, Args const&... args) {
  auto const threads = static_cast<unsigned>(body.layout.warps * 32);
  workspace::frame frame(ws);
  std::byte* const global = shared ? nullptr : frame.take<std::byte>(grid * body.layout.bytes()).data();
  ex.launch_dynamic(body, grid, threads, static_cast<std::size_t>(shared ? body.layout.bytes() : 0), global, args...);
}

}  // namespace detail

namespace detail {

inline constexpr std::int64_t most_tasks = 1024;  // enough blocks to fill a device, few enough sums to keep

/// The forward row map with statistics, in at most `task_limit` tasks; the results do not depend on the limit.
template <device_executor E, class Router, class L, class W, class Id>
void route_and_sum(E const& ex, row_map_loop<Router> const& loop, matrix_view<L const> logits, assignment<W, Id> out, workspace& ws,
                   std::int64_t task_limit) {
  using body = row_map_statistics_body<Router>;
  row_block_layout layout{logits.cols(), out.slots(), Router::scratch_rows * logits.cols() + out.slots(), sizeof(arithmetic_t<L>), 1, true};
  std::int64_t const runs = fanfold::detail::divide_up(logits.rows(), run_items);
  std::int64_t task_runs = 1, level_count = 1;
  for (; fanfold::detail::divide_up(runs, task_runs) > task_limit; task_runs *= 2) ++level_count;
  std::int64_t const tasks = fanfold::detail::divide_up(runs, task_runs);
  bool const shared = fit_block(layout, threads_for<body>(ex));
  workspace::frame frame(ws);
  auto const levels = frame.take<double>(tasks * level_count * layout.reals());
  auto const reals = frame.take<double>(tasks * layout.reals());
  auto const integers = frame.take<std::int64_t>(tasks * layout.integers());
  launch_rows(ex, body{loop, layout, ex.status(), task_runs, level_count, levels, reals, integers}, shared, tasks, ws, logits, out);
  sum_rows(ex, reals, tasks, loop.stats.reals, ws);
  sum_rows(ex, integers, tasks, loop.stats.integers, ws);
}

}  // namespace detail

/// Device form of the forward row map: a warp a row. Reads the logits once and writes ids and weights once; with statistics also
/// 7 + 4 E numbers for each of at most 1,024 tasks.
template <device_executor E, class Router, class L, class W, class Id>
void run_loop(E const& ex, row_map_loop<Router> const& loop, matrix_view<L const> logits, assignment<W, Id> out, workspace& ws) {
  if (loop.stats.integers.data() != nullptr) {
    if (logits.rows() > 0) return detail::route_and_sum(ex, loop, logits, out, ws, detail::most_tasks);
    fill(ex, loop.stats.reals, 0.0);
    return fill(ex, loop.stats.integers, std::int64_t{0});
  }
  using body = detail::row_map_body<Router>;
  std::int64_t const numbers = Router::scratch_rows * logits.cols() + out.slots();
  detail::row_block_layout layout{logits.cols(), out.slots(), numbers, sizeof(arithmetic_t<L>), 1, false};
  bool const shared = detail::fit_block(layout, threads_for<body>(ex));
  auto const threads = static_cast<unsigned>(layout.warps * 32);
  std::int64_t const grid = blocks_for(ex, logits.rows(), layout.warps, threads, shared ? 4 : 1);
  detail::launch_rows(ex, body{loop, layout, ex.status()}, shared, grid, ws, logits, out);
}

/// Device form of the backward row map.
template <device_executor E, class Router, class L, class Id, class W, class D>
void run_loop(E const& ex, row_map_vjp_loop<Router> const& loop, matrix_view<L const> logits, matrix_view<Id const> id,
              matrix_view<W const> dweight, matrix_view<D> dlogits, workspace& ws) {
  using R = arithmetic_t<L>;
  using body = detail::row_map_vjp_body<Router>;
  std::int64_t const n = logits.cols();
  detail::row_block_layout layout{n, id.cols(), (Router::scratch_rows + 1) * n + 3 * id.cols(), sizeof(R), 1, false};
  bool const shared = detail::fit_block(layout, threads_for<body>(ex));
  auto const threads = static_cast<unsigned>(layout.warps * 32);
  std::int64_t const grid = blocks_for(ex, logits.rows(), layout.warps, threads, shared ? 4 : 1);
  detail::launch_rows(ex, body{loop, layout}, shared, grid, ws, logits, id, dweight, dlogits);
}

}  // namespace fanfold::inline FANFOLD_ABI::route

namespace fanfold::inline FANFOLD_ABI {

/// A copy of statistics from device memory; waits, and throws where a kernel found a fault in the data.
template <device_executor E>
route::routing_stats fetch(E const& ex, route::routing_stats_view const& stats) {
  route::routing_stats result(stats.experts());
  auto const copy = result.view();
  ex.copy(copy.integers, as_const(stats.integers));
  ex.copy(copy.reals, as_const(stats.reals));
  finish(ex);
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI
