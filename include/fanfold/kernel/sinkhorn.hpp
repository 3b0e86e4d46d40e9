#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/route/balanced_assign.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/sinkhorn.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Rows in groups of `step`, and runs of 32 rows in them: the canonical order of sums over rows.
struct sweep_shape {
  std::int64_t rows, n, step;

  FANFOLD_HD std::int64_t groups() const { return (rows + step - 1) / step; }
  FANFOLD_HD std::int64_t group_rows(std::int64_t g) const { return (g + 1) * step < rows ? step : rows - g * step; }
  FANFOLD_HD std::int64_t step_runs() const { return fanfold::detail::divide_up(step, run_items); }
  FANFOLD_HD std::int64_t group_runs(std::int64_t g) const { return fanfold::detail::divide_up(group_rows(g), run_items); }
};

/// Memory of a balancing: u a row; v, its next value and the state a group; sums of columns a run.
template <class R>
struct sweep_memory {
  R* u;
  R* v;
  R* next;
  double* partial;
  sinkhorn_result* state;
};

struct sweep_limits {
  double tolerance;
  std::int64_t most_iterations;

  FANFOLD_HD bool done(sinkhorn_result const& s) const { return s.converged || s.iterations >= most_iterations; }
};

/// A warp a row: plan := exp(l / temperature - its maximum).
template <class R>
struct sinkhorn_start_body {
  R inverse;
  std::uint32_t* status;

  template <block B, class L>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits, matrix_view<R> plan) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = logits.cols();
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b)) {
      L const* const l = logits.data() + t * logits.stride();
      R* const m = plan.data() + t * plan.stride();
      for (std::int64_t e = g.rank(); e < n; e += g.size()) m[e] = tempered(l[e], inverse);
      R const max = row_max(g, m, n);
      if (g.rank() == 0 && !math::isfinite(max)) raise(b, status, data_fault::not_finite);
      for (std::int64_t e = g.rank(); e < n; e += g.size()) m[e] = exp_below(m[e], max);
    }
  }
};

/// A thread a column of a group: reports those without a logit above -infinity.
struct sinkhorn_check_body {
  sweep_shape shape;
  std::uint32_t* status;

  template <block B, class L>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits) const {
    for (std::int64_t i = grid_thread(b); i < shape.groups() * shape.n; i += grid_threads(b)) {
      std::int64_t const first = i / shape.n * shape.step, last = first + shape.group_rows(i / shape.n);
      bool any = false;
      for (std::int64_t t = first; t < last && !any; ++t)
        any = to_arithmetic(logits.data()[t * logits.stride() + i % shape.n]) > -math::infinity<arithmetic_t<L>>();
      if (!any) raise(b, status, data_fault::not_finite);
    }
  }
};

/// A warp sweeps a run: u of its rows, then what they add to the columns.
template <block B, class R>
FANFOLD_HD void sweep_run(B& b, sweep_shape const& shape, sweep_memory<R> const& at, matrix_view<R const> plan, std::int64_t g, std::int64_t run) {
  warp_lanes<B> const lanes(b);
  std::int64_t const n = shape.n, left = shape.group_rows(g) - run * run_items, count = left < run_items ? left : run_items;
  std::int64_t const first = g * shape.step + run * run_items;
  R const* const m = plan.data() + first * plan.stride();
  R mine = R(0);
  for (std::int64_t r = 0; r < count; ++r) {
    R const s = lanes.fold(row_sum<R>{}, n, product_of<R>{at.v + g * n, m + r * plan.stride()});
    if (r == lanes.rank()) mine = marginal_over(shape.group_rows(g), s);
  }
  if (lanes.rank() < count) at.u[first + lanes.rank()] = mine;
  double* const to = at.partial + (g * shape.step_runs() + run) * n;
  for (std::int64_t begin = 0; begin < n; begin += 32) {
    std::int64_t const e = begin + lanes.rank();
    double sum = 0;
    for (std::int64_t r = 0; r < count; ++r) {
      R const u = b.shuffle(mine, static_cast<unsigned>(r));
      if (e < n) sum += static_cast<double>(u * m[r * plan.stride() + e]);
    }
    if (e < n) to[e] = sum;
  }
}

/// A block ends a sweep of group g: sums of columns in the adjacent-pair tree over runs, v, and whether it is done.
template <block B, class R>
FANFOLD_HD void finish_sweep(B& b, sweep_shape const& shape, sweep_memory<R> const& at, sweep_limits const& limits, std::int64_t g) {
  std::int64_t const n = shape.n, runs = shape.group_runs(g);
  double* const sum = at.partial + g * shape.step_runs() * n;
  R* const v = at.v + g * n;
  R* const next = at.next + g * n;
  for (std::int64_t step = 1; step < runs; step *= 2) {
    std::int64_t const pairs = fanfold::detail::divide_up(runs - step, 2 * step);
    for (std::int64_t i = b.thread(); i < pairs * n; i += b.threads()) {
      double* const to = sum + i / n * 2 * step * n + i % n;
      *to += to[step * n];
    }
    b.sync();
  }
  for (std::int64_t e = b.thread(); e < n; e += b.threads()) next[e] = marginal_over(n, static_cast<R>(sum[e]));
  b.sync();
  if (warp_of(b) == 0) {
    double const change = warp_lanes<B>(b).fold(row_sum<double>{}, n, column_change<R>{v, next});
    if (b.thread() == 0) {
      ++at.state[g].iterations;
      at.state[g].converged = change / static_cast<double>(n) <= limits.tolerance;
    }
  }
  b.sync();
  for (std::int64_t e = b.thread(); e < n; e += b.threads()) v[e] = next[e];
  b.sync();
}

/// A warp a run, all groups that are not done.
template <class R>
struct sinkhorn_sweep_body {
  sweep_shape shape;
  sweep_memory<R> at;
  sweep_limits limits;

  template <block B>
  FANFOLD_HD void operator()(B& b, matrix_view<R const> plan) const {
    std::int64_t const runs = shape.step_runs();
    for (std::int64_t i = grid_warp(b); i < shape.groups() * runs; i += grid_warps(b)) {
      if (i % runs < shape.group_runs(i / runs) && !limits.done(at.state[i / runs])) sweep_run(b, shape, at, plan, i / runs, i % runs);
    }
  }
};

/// A block a group.
template <class R>
struct sinkhorn_finish_body {
  sweep_shape shape;
  sweep_memory<R> at;
  sweep_limits limits;

  template <block B>
  FANFOLD_HD void operator()(B& b, int) const {
    for (std::int64_t g = b.index(); g < shape.groups(); g += b.blocks()) {
      bool const done = limits.done(at.state[g]);
      b.sync();
      if (!done) finish_sweep(b, shape, at, limits, g);
    }
  }
};

/// A block a group, all of its sweeps.
template <class R>
struct sinkhorn_group_body {
  sweep_shape shape;
  sweep_memory<R> at;
  sweep_limits limits;

  template <block B>
  FANFOLD_HD void operator()(B& b, matrix_view<R const> plan) const {
    for (std::int64_t g = b.index(); g < shape.groups(); g += b.blocks())
      for (bool done = false; !done;) {
        for (std::int64_t run = warp_of(b); run < shape.group_runs(g); run += warps_of(b)) sweep_run(b, shape, at, plan, g, run);
        b.sync();
        finish_sweep(b, shape, at, limits, g);
        done = limits.done(at.state[g]);
        b.sync();
      }
  }
};

/// A warp a row: plan := u plan v.
template <class R>
struct sinkhorn_scale_body {
  sweep_shape shape;
  sweep_memory<R> at;

  template <block B>
  FANFOLD_HD void operator()(B& b, matrix_view<R> plan, view<sinkhorn_result> result) const {
    for (std::int64_t t = grid_warp(b); t < shape.rows; t += grid_warps(b)) {
      R* const m = plan.data() + t * plan.stride();
      R const* const v = at.v + t / shape.step * shape.n;
      for (std::int64_t e = lane_of(b); e < shape.n; e += 32) m[e] = at.u[t] * m[e] * v[e];
    }
    if (grid_thread(b) == 0 && !result.empty()) result.data()[0] = at.state[shape.groups() - 1];
  }
};

/// A warp a row: the best of the plan, weights from the logits.
struct sinkhorn_route_body {
  std::int64_t k;

  template <block B, class L, class R, class W>
  FANFOLD_HD void operator()(B& b, matrix_view<L const> logits, view<R const> plan, view<R> scratch, assignment<W> out) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = logits.cols();
    for (std::int64_t t = grid_warp(b); t < logits.rows(); t += grid_warps(b))
      route_balanced_row(g, logits.data() + t * logits.stride(), plan.data() + t * n, scratch.data() + t * n, n, k, out.id.data() + t * out.id.stride(),
                         out.weight.data() + t * out.weight.stride());
  }
};

/// Numbers of a group up to which one block does all of its sweeps: fewer launches, and it stops when it is done.
inline constexpr std::int64_t most_block_sweep = 32768;

}  // namespace detail

/// Bytes of one sweep: the plan twice, u, and sums of columns a run of 32 rows. The least is the plan once.
template <class R>
constexpr std::int64_t sinkhorn_sweep_traffic(std::int64_t rows, std::int64_t experts) {
  auto const r = static_cast<std::int64_t>(sizeof(R));
  return 2 * rows * experts * r + rows * r + 3 * fanfold::detail::divide_up(rows, run_items) * experts * 8;
}

/// Device form of Sinkhorn balancing: two launches a sweep, which do nothing once a group is done, or one block for a small group.
template <device_executor E, class L, class R>
void run_loop(E const& ex, sinkhorn_loop const& loop, matrix_view<L const> logits, matrix_view<R> plan, workspace& ws) {
  std::int64_t const rows = logits.rows(), n = logits.cols();
  if (rows == 0) return fill(ex, loop.result, sinkhorn_result{0, true});
  detail::sweep_shape const shape{rows, n, loop.group_size == 0 || loop.group_size > rows ? rows : loop.group_size};
  detail::sweep_limits const limits{loop.options.tolerance, loop.options.most_iterations};
  workspace::frame frame(ws);
  auto const v = frame.take<R>(shape.groups() * n);
  auto const state = frame.take<sinkhorn_result>(shape.groups());
  detail::sweep_memory<R> const at{frame.take<R>(rows).data(), v.data(), frame.take<R>(shape.groups() * n).data(),
                                   frame.take<double>(shape.groups() * shape.step_runs() * n).data(), state.data()};
  R const inverse = R(1) / static_cast<R>(loop.options.temperature);
  fill(ex, v, R(1));
  fill(ex, state, sinkhorn_result{});
  launch_threads(ex, detail::sinkhorn_check_body{shape, ex.status()}, shape.groups() * n, logits);
  launch_warps(ex, detail::sinkhorn_start_body<R>{inverse, ex.status()}, rows, logits, plan);
  matrix_view<R const> const entries = plan;
  if (shape.step * n <= detail::most_block_sweep) {
    launch_blocks(ex, detail::sinkhorn_group_body<R>{shape, at, limits}, shape.groups(), entries);
  } else {
    for (std::int64_t i = 0; i < limits.most_iterations; ++i) {
      launch_warps(ex, detail::sinkhorn_sweep_body<R>{shape, at, limits}, shape.groups() * shape.step_runs(), entries);
      launch_blocks(ex, detail::sinkhorn_finish_body<R>{shape, at, limits}, shape.groups(), 0);
    }
  }
  launch_warps(ex, detail::sinkhorn_scale_body<R>{shape, at}, rows, plan, loop.result);
}

/// Device form of Sinkhorn routing.
template <device_executor E, class L, class W>
void run_loop(E const& ex, sinkhorn_router_loop const& loop, matrix_view<L const> logits, assignment<W> out, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const rows = logits.rows(), n = logits.cols();
  workspace::frame frame(ws);
  auto const plan = frame.take<R>(rows * n), scratch = frame.take<R>(rows * n);
  run_loop(ex, sinkhorn_loop{loop.router.options, loop.router.group_size, {}}, logits, matrix_view<R>(plan.data(), rows, n), ws);
  launch_warps(ex, detail::sinkhorn_route_body{loop.router.k}, rows, logits, as_const(plan), scratch, out);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
