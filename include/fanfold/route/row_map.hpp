#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/detail/score_lanes.hpp"
#include "fanfold/route/detail/softmax_lanes.hpp"
#include "fanfold/route/detail/vjp_lanes.hpp"
#include "fanfold/route/row_loop.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_choice.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Rows a task: a power of two times the run of the canonical row fold, so that a task is a whole subtree.
inline std::int64_t task_rows(std::int64_t experts) {
  std::int64_t rows = run_items;
  while (rows < 2048 && rows * experts < 16384) rows *= 2;
  return rows;
}

/// Memory of a worker: arrays of a row, and statistics of the runs of a task.
template <class R>
struct row_scratch {
  static std::int64_t round(std::int64_t bytes) { return (bytes + 63) / 64 * 64; }

  row_scratch(int rows, std::int64_t experts, std::int64_t slots, bool statistics)
      : numbers(round((rows * experts + 2 * slots) * static_cast<std::int64_t>(sizeof(R)))),
        ids(round(slots * static_cast<std::int64_t>(sizeof(std::int32_t)))),
        runs(round(statistics ? task_rows(experts) / run_items * routing_stats_view::real_size(experts) * 8 : 0)) {}

  std::size_t bytes() const { return static_cast<std::size_t>(numbers + ids + runs + lanes); }
  R* number_block(void* scratch) const { return static_cast<R*>(scratch); }
  std::int32_t* id_block(void* scratch) const { return reinterpret_cast<std::int32_t*>(static_cast<std::byte*>(scratch) + numbers); }
  double* run_block(void* scratch) const { return reinterpret_cast<double*>(static_cast<std::byte*>(scratch) + numbers + ids); }

  void* lane_block(void* scratch) const { return static_cast<std::byte*>(scratch) + numbers + ids + runs; }

  std::int64_t numbers, ids, runs, lanes = 0;
};

/// out[i] += in[i], pair by adjacent pair, over `count` arrays of `size` numbers that lie one after the other; the sum ends in the first.
inline void add_adjacent_pairs(double* arrays, std::int64_t count, std::int64_t size) {
  for (std::int64_t step = 1; step < count; step *= 2)
    for (std::int64_t i = 0; i + step < count; i += 2 * step)
      for (std::int64_t j = 0; j < size; ++j) arrays[i * size + j] += arrays[(i + step) * size + j];
}

/// Adds a row to integer statistics and to the real statistics of its run.
template <class R>
void count_row(row_arrays<R> const& a, row_summary<R> const& s, std::int64_t* integers, double* reals) {
  std::int64_t const n = a.experts;
  std::int64_t* const count = integers + stat_integers;
  double* const score_sum = reals + stat_reals;
  double* const weight_sum = score_sum + n;
  std::int64_t chosen = 0;
  for (std::int64_t j = 0; j < a.slots; ++j) {
    if (a.id[j] < 0) continue;
    ++chosen;
    ++count[a.id[j]];
    if (j == 0) ++count[n + a.id[j]];
    weight_sum[a.id[j]] += static_cast<double>(a.weight[j]);
  }
  for (std::int64_t e = 0; e < n; ++e) score_sum[e] += static_cast<double>(a.share[e]);
  integers[stat_tokens] += 1;
  integers[stat_choices] += chosen;
  integers[stat_empty_rows] += chosen == 0 || s.no_work ? 1 : 0;
  integers[stat_degenerate_rows] += s.degenerate ? 1 : 0;
  reals[stat_lse_sq_sum] += static_cast<double>(s.lse) * static_cast<double>(s.lse);
  reals[stat_entropy_sum] += static_cast<double>(s.entropy);
}

/// Share, lse and entropy of lane r's row.
inline void take_summary(lane_tile const& tile, int r, float lse, float entropy, row_arrays<float>& a, row_summary<float>& summary) {
  a.share = tile.share + r * tile.experts;
  if (summary.degenerate)
    for (std::int64_t e = 0; e < tile.experts; ++e) a.share[e] = 0;
  if (!math::isfinite(tile.max[r])) return;
  summary.lse = lse;
  summary.entropy = entropy;
}

/// Ids and weights of the rows of a tile as they are.
inline void store_tile(lane_choices const& best, std::int64_t k, std::int64_t top, std::int64_t last, assignment<float, std::int32_t> out) {
  auto const bytes = static_cast<std::size_t>(k) * 4;
  for (int r = 0; r < row_lanes && top + r < last; ++r) {
    std::int32_t* const id = out.id.row(top + r).data();
    float* const weight = out.weight.row(top + r).data();
    if (k == 8) {  // the usual number, without a call
      std::memcpy(id, best.ids_of(r), 32);
      std::memcpy(weight, best.weights_of(r), 32);
    } else {
      std::memcpy(id, best.ids_of(r), bytes);
      std::memcpy(weight, best.weights_of(r), bytes);
    }
  }
}

/// The rows of a task, several at a time, one a vector lane; `a` is the place where a finished row is laid out for storing and counting.
template <class Router, class L, class W, class Id, class Add>
void route_rows_in_lanes(row_map_loop<Router> const& loop, matrix_view<L const> logits, assignment<W, Id> out, std::int64_t first,
                         std::int64_t last, row_arrays<float>& a, void* scratch, bool statistics, Add const& add) {
  host_lane const g;
  std::int64_t const n = logits.cols(), k = a.slots;
  constexpr bool lane_shares = shares_in_lanes<std::remove_cvref_t<decltype(loop.router.score)>>;
  lane_tile tile(n, k, scratch);
  lane_floats lse{}, entropy{};
  lane_floats const lowest = lanes_of(-math::infinity<float>());
  auto const& scale = loop.router.weight.scale;
  for (std::int64_t top = first; top < last; top += row_lanes) {
    L const* row[row_lanes];
    for (int r = 0; r < row_lanes; ++r) row[r] = logits.row(top + r < last ? top + r : last - 1).data();
    load_tile(row, tile);
    if constexpr (has_lane_form<Router, float>) {
      route_tile<decltype(loop.router.weight)>(loop.router.select, tile, k, statistics, lse, entropy);
    } else {
      select_in_tile(loop.router, tile, k);
      if constexpr (lane_shares)
        if (statistics) summarise_scores<std::remove_cvref_t<decltype(loop.router.score)>>(tile, lse, entropy);
    }
    if constexpr (has_lane_form<Router, float>)
      if (scale.expert.data() == nullptr)
        for (std::int64_t j = 0; j < k; ++j) tile.best.weight[j] = tile.best.weight[j] * scale.all;
    tile.best.rows_from_columns(k);
    if constexpr (has_lane_form<Router, float> && std::is_same_v<W, float> && std::is_same_v<Id, std::int32_t>)
      if (!statistics && loop.mask.real.data() == nullptr && scale.expert.data() == nullptr && all_lanes(tile.max > lowest)) {
        store_tile(tile.best, k, top, last, out);
        continue;
      }
    for (int r = 0; r < row_lanes && top + r < last; ++r) {
      std::int64_t const t = top + r;
      if (!loop.mask.keeps(t)) {
        store_empty_row(g, a.slots, out.id.row(t).data(), out.weight.row(t).data());
        continue;
      }
      row_summary<float> summary;
      summary.degenerate = tile.max[r] == -math::infinity<float>();
      bool const none = summary.degenerate && loop.router.on_degenerate == degenerate::no_experts;
      a.id = tile.best.ids_of(r);
      float* const weight = tile.best.weights_of(r);
      if (none)
        for (std::int64_t j = 0; j < k; ++j) a.id[j] = -1;
      if constexpr (has_lane_form<Router, float>) {
        a.weight = weight;
        if (summary.degenerate)
          for (std::int64_t j = 0; j < k; ++j) a.weight[j] = 0;
        else if (scale.expert.data() != nullptr)
          for (std::int64_t j = 0; j < k; ++j) a.weight[j] = a.weight[j] * scale.template of<float>(a.id[j]);
        if (statistics) take_summary(tile, r, lse[r], entropy[r], a, summary);
      } else {
        if (!none)
          for (std::int64_t j = 0; j < k; ++j) a.score[a.id[j]] = weight[j];
        loop.router.weigh(g, a, summary.degenerate);
        summary.no_work = loop.router.without_work(g, a);
        if constexpr (lane_shares) {
          if (statistics) take_summary(tile, r, lse[r], entropy[r], a, summary);
        } else if (statistics) {
          load_logits(g, row[r], a.logit, n);
          loop.router.summarise(g, a, summary);
        }
      }
      store_row(g, a, out.id.row(t).data(), out.weight.row(t).data());
      add(t, summary);
    }
  }
}

/// Rows [first, last) of a task; with statistics, `integers` and `reals` get the task's.
template <class Router, class L, class W, class Id, class R>
FANFOLD_NOINLINE void route_rows(row_map_loop<Router> const& loop, matrix_view<L const> logits, assignment<W, Id> out, std::int64_t first,
                                 std::int64_t last, row_scratch<R> const& layout, void* scratch, std::int64_t* integers, double* reals) {
  host_lane const g;
  std::int64_t const n = logits.cols();
  std::int64_t const size = routing_stats_view::real_size(n);
  row_arrays<R> a = Router::arrays(layout.number_block(scratch), n);
  a.slots = out.slots();
  a.weight = layout.number_block(scratch) + Router::scratch_rows * n;
  a.id = layout.id_block(scratch);
  double* const runs = layout.run_block(scratch);
  bool const statistics = integers != nullptr;
  if (statistics) {
    for (std::int64_t i = 0; i < routing_stats_view::integer_size(n); ++i) integers[i] = 0;
    for (std::int64_t i = 0; i < fanfold::detail::divide_up(last - first, run_items) * size; ++i) runs[i] = 0;
  }
  auto const add = [&](std::int64_t t, row_summary<R> const& summary) {
    if (statistics) count_row(a, summary, integers, runs + (t - first) / run_items * size);
  };
  if constexpr (has_lane_form<Router, R> || has_lane_selection<Router, R>) {
    if (layout.lanes > 0) route_rows_in_lanes(loop, logits, out, first, last, a, layout.lane_block(scratch), statistics, add);
  }
  for (std::int64_t t = layout.lanes > 0 ? last : first; t < last; ++t) {
    if (!loop.mask.keeps(t)) {
      store_empty_row(g, a.slots, out.id.row(t).data(), out.weight.row(t).data());
      continue;
    }
    a.row = t;
    load_logits(g, logits.row(t).data(), a.logit, n);
    row_summary<R> const summary = loop.router.forward(g, a, statistics);
    store_row(g, a, out.id.row(t).data(), out.weight.row(t).data());
    add(t, summary);
  }
  if (!statistics) return;
  add_adjacent_pairs(runs, fanfold::detail::divide_up(last - first, run_items), size);
  for (std::int64_t i = 0; i < size; ++i) reals[i] = runs[i];
}

template <class Router, class L, class W, class Id, class D, class R>
FANFOLD_NOINLINE void route_rows_vjp(row_map_vjp_loop<Router> const& loop, matrix_view<L const> logits, matrix_view<Id const> id,
                                     matrix_view<W const> dweight, matrix_view<D> dlogits, std::int64_t first, std::int64_t last,
                                     row_scratch<R> const& layout, void* scratch) {
  host_lane const g;
  std::int64_t const n = logits.cols();
  row_arrays<R> a = Router::arrays(layout.number_block(scratch), n);
  R* const own = layout.number_block(scratch) + Router::scratch_rows * n;
  a.slots = id.cols();
  a.weight = own + n;
  a.slot_gradient = a.weight + a.slots;
  R* const dw = a.slot_gradient + a.slots;
  a.id = layout.id_block(scratch);
  for (std::int64_t t = first; t < last; ++t) {
    D* const target = dlogits.row(t).data();
    if (!loop.mask.keeps(t)) {
      for (std::int64_t e = 0; e < n; ++e) target[e] = from_arithmetic<D>(arithmetic_t<D>(0));
      continue;
    }
    a.row = t;
    load_logits(g, logits.row(t).data(), a.logit, n);
    Id const* const ids = id.row(t).data();
    for (std::int64_t j = 0; j < a.slots; ++j) {
      auto const e = static_cast<std::int64_t>(ids[j]);
      a.id[j] = e >= 0 && e < n ? static_cast<std::int32_t>(e) : -1;
    }
    if (dweight.data() != nullptr)
      for (std::int64_t j = 0; j < a.slots; ++j) dw[j] = static_cast<R>(to_arithmetic(dweight.row(t).data()[j]));
    R* dl = own;
    if constexpr (std::is_same_v<D, R>) dl = target;
    loop.router.backward(g, a, dweight.data() == nullptr ? nullptr : dw, loop.stats, dl);
    if constexpr (!std::is_same_v<D, R>)
      for (std::int64_t e = 0; e < n; ++e) target[e] = from_arithmetic<D>(static_cast<arithmetic_t<D>>(dl[e]));
  }
}

}  // namespace detail

template <host_executor E, class Router, class L, class W, class Id>
void run_loop(E const& ex, row_map_loop<Router> const& loop, matrix_view<L const> logits, assignment<W, Id> out, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const n = logits.cols();
  std::int64_t const rows = logits.rows();
  std::int64_t const step = detail::task_rows(n);
  std::int64_t const tasks = fanfold::detail::divide_up(rows, step);
  bool const statistics = loop.stats.integers.data() != nullptr;
  std::int64_t const integer_size = routing_stats_view::integer_size(n);
  std::int64_t const real_size = routing_stats_view::real_size(n);
  detail::row_scratch<R> layout(Router::scratch_rows, n, out.slots(), statistics);
  if constexpr (detail::has_lane_form<Router, R> || detail::has_lane_selection<Router, R>)
    if (rows > 1 && n <= detail::most_lane_experts && detail::fits_lanes(loop.router.select))
      layout.lanes = detail::lane_tile::bytes(n, out.slots(), statistics);
  workspace::frame frame(ws);
  auto const integers = frame.take<std::int64_t>(statistics ? tasks * integer_size : 0);
  auto const reals = frame.take<double>(statistics ? tasks * real_size : 0);
  for_each_task(ex, tasks, layout.bytes(), ws, [&](std::int64_t task, void* scratch) {
    std::int64_t const last = (task + 1) * step < rows ? (task + 1) * step : rows;
    detail::route_rows(loop, logits, out, task * step, last, layout, scratch, statistics ? integers.data() + task * integer_size : nullptr,
                       statistics ? reals.data() + task * real_size : nullptr);
  });
  if (!statistics) return;
  detail::add_adjacent_pairs(reals.data(), tasks, real_size);
  for (std::int64_t i = 0; i < real_size; ++i) loop.stats.reals[i] = tasks == 0 ? 0 : reals[i];
  for (std::int64_t i = 0; i < integer_size; ++i) {
    std::int64_t sum = 0;
    for (std::int64_t task = 0; task < tasks; ++task) sum += integers[task * integer_size + i];
    loop.stats.integers[i] = sum;
  }
}

template <host_executor E, class Router, class L, class W, class Id, class D>
void run_loop(E const& ex, row_map_vjp_loop<Router> const& loop, matrix_view<L const> logits, matrix_view<Id const> id,
              matrix_view<W const> dweight, matrix_view<D> dlogits, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const n = logits.cols();
  std::int64_t const rows = logits.rows();
  std::int64_t const step = detail::task_rows(n);
  if constexpr (detail::has_lane_vjp<Router, R, D>) {
    bool const of_statistics = loop.stats.score_sum.data() != nullptr || loop.stats.lse_sq_sum != 0 || loop.stats.entropy_sum != 0;
    if (rows > 1 && dweight.data() != nullptr && !of_statistics && id.cols() <= detail::most_lane_experts) {
      auto const bytes = static_cast<std::size_t>(detail::lane_choices::vectors(0, id.cols()) * 64);
      return for_each_task(ex, fanfold::detail::divide_up(rows, step), bytes, ws, [&](std::int64_t task, void* scratch) {
        std::int64_t const last = (task + 1) * step < rows ? (task + 1) * step : rows;
        detail::route_rows_vjp_in_lanes(loop, logits, id, dweight, dlogits, task * step, last, scratch);
      });
    }
  }
  detail::row_scratch<R> const layout(Router::scratch_rows + 1, n, 2 * id.cols(), false);
  for_each_task(ex, fanfold::detail::divide_up(rows, step), layout.bytes(), ws, [&](std::int64_t task, void* scratch) {
    std::int64_t const last = (task + 1) * step < rows ? (task + 1) * step : rows;
    detail::route_rows_vjp(loop, logits, id, dweight, dlogits, task * step, last, layout, scratch);
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::route
