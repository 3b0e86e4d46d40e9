#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/auction.hpp"
#include "fanfold/route/detail/count_choices.hpp"
#include "fanfold/route/sinkhorn.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// BASE layers (Lewis et al., 2021): one expert a token and exactly T / E tokens an expert, such that the sum of scores is large: the
/// auction of the released code, or `exact` (O(T^3)). Weight alpha = sigmoid(score): BASE's output is alpha expert(x) + (1 - alpha) x.
/// Scores that are not finite count as the smallest finite one. For training; at inference use sigmoid_top1.
struct balanced_assign {
  bool exact = false;
  /// Rows that do not divide by E: add rows of score min - 1, which are taken out again. Otherwise an error.
  bool pad = false;
  /// Rows that are routed together; 0: all.
  std::int64_t group_size = 0;

  static constexpr bool causal = false;
};

/// Sinkhorn routing (Clark et al., "Unified Scaling Laws for Routed Language Models", 2022; Megatron-LM): the k best experts of the balanced
/// matrix; weights from the logits, sigmoid(l) for k = 1, else softmax(l), not renormalised. For training; at inference use sigmoid_top1 or
/// olmoe. No balance loss beside it.
struct sinkhorn_router {
  std::int64_t k = 1;
  sinkhorn options{};
  std::int64_t group_size = 0;

  static constexpr bool causal = false;
};

namespace detail {

template <class W, class Router>
void check_group_route(Router const& router, std::int64_t rows, std::int64_t experts, assignment<W> const& out, std::int64_t slots,
                       char const* function) {
  check_argument(experts >= 1, function, "number of experts", experts, "1 or more");
  check_argument(router.group_size >= 0, function, "group_size", router.group_size, "0 or more");
  check_argument(out.id.rows() == rows && out.weight.rows() == rows, function, "rows of the ids", out.id.rows(), "the rows of the logits");
  check_argument(out.id.cols() == slots && out.weight.cols() == slots, function, "slots of the assignment", out.id.cols(), "the slots of the router");
}

/// Calls f(first, count) for each group of rows.
template <class F>
void for_each_group(std::int64_t rows, std::int64_t group_size, F const& f) {
  std::int64_t const step = group_size == 0 ? rows : group_size;
  for (std::int64_t first = 0; first < rows; first += step) f(first, first + step < rows ? step : rows - first);
}

/// sigmoid(score), 0 for NaN.
template <class W, class L>
FANFOLD_HD W sigmoid_weight(L score) {
  arithmetic_t<L> const s = to_arithmetic(score);
  return from_arithmetic<W>(static_cast<arithmetic_t<W>>(math::isnan(s) ? arithmetic_t<L>(0) : math::sigmoid(s)));
}

/// The k best of the balanced row `plan`, with weights from the logits; `y`: n numbers.
template <row_group G, class L, class R, class W>
FANFOLD_HD void route_balanced_row(G const& g, L const* logit, R const* plan, R* y, std::int64_t n, std::int64_t k, std::int32_t* id, W* weight) {
  select_top(g, plan, 0, n, id, k);
  load_logits(g, logit, y, n);
  if (k == 1)
    sigmoid_score{}.forward(g, y, y, n);
  else
    softmax_row(g, y, y, n);
  for (std::int64_t j = g.rank(); j < k; j += g.size()) weight[j] = from_arithmetic<W>(static_cast<arithmetic_t<W>>(y[id[j]]));
}

template <class E, class L>
void assign_group(E const& ex, balanced_assign const& router, matrix_view<L const> scores, std::int64_t n, std::int32_t* expert, workspace& ws) {
  std::int64_t const rows = scores.rows(), m = (rows + n - 1) / n, jobs = m * n;
  workspace::frame frame(ws);
  auto* const score = frame.take<double>(n * jobs).data();
  auto* const job = frame.take<std::int32_t>(jobs).data();
  double low = math::infinity<double>();
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t e = 0; e < n; ++e) {
      auto const s = static_cast<double>(to_arithmetic(scores(t, e)));
      low = math::isfinite(s) && s < low ? s : low;
    }
  low = low == math::infinity<double>() ? 0 : low;
  for (std::int64_t e = 0; e < n; ++e)
    for (std::int64_t t = 0; t < jobs; ++t) {
      double const s = t < rows ? static_cast<double>(to_arithmetic(scores(t, e))) : low - 1;
      score[e * jobs + t] = math::isfinite(s) ? s : low;
    }
  if (n == 1)
    for (std::int64_t t = 0; t < jobs; ++t) job[t] = static_cast<std::int32_t>(t);
  else if (router.exact || !auction(score, n, jobs, ws).run(ex, job, 5000))
    assign_exactly(score, n, jobs, job);
  for (std::int64_t i = 0; i < jobs; ++i)
    if (job[i] < rows) expert[job[i]] = static_cast<std::int32_t>(i / m);
}

}  // namespace detail

/// What `run_loop` runs for balanced assignment, and for Sinkhorn routing.
struct balanced_assign_loop {
  balanced_assign router{};
};
struct sinkhorn_router_loop {
  sinkhorn_router router{};
};

/// Host form of balanced assignment.
template <host_executor E, class L, class W>
void run_loop(E const& ex, balanced_assign_loop const& loop, matrix_view<L const> scores, assignment<W> out, workspace& ws) {
  std::int64_t const n = scores.cols(), rows = scores.rows();
  workspace::frame frame(ws);
  auto* const expert = frame.take<std::int32_t>(rows).data();
  detail::for_each_group(rows, loop.router.group_size, [&](std::int64_t first, std::int64_t count) {
    detail::assign_group(ex, loop.router, scores.sub_rows(first, count), n, expert + first, ws);
  });
  for (std::int64_t t = 0; t < rows; ++t) {
    out.id(t, 0) = expert[t];
    out.weight(t, 0) = detail::sigmoid_weight<W>(scores(t, expert[t]));
  }
}

/// Host form of Sinkhorn routing.
template <host_executor E, class L, class W>
sinkhorn_result run_loop(E const& ex, sinkhorn_router_loop const& loop, matrix_view<L const> logits, assignment<W> out, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const n = logits.cols(), rows = logits.rows(), k = loop.router.k;
  workspace::frame frame(ws);
  R* const plan = frame.take<R>(rows * n).data();
  sinkhorn_result const result =
      run_loop(ex, sinkhorn_loop{loop.router.options, loop.router.group_size, {}}, logits, matrix_view<R>(plan, rows, n), ws);
  detail::for_each_row<R>(ex, rows, n, ws, [&](std::int64_t t, R* y) {
    detail::route_balanced_row(host_lane{}, logits.row(t).data(), plan + t * n, y, n, k, out.id.row(t).data(), out.weight.row(t).data());
  });
  return result;
}

/// Routes by balanced assignment into one slot a row:  assign(ex, router, scores, out[, stats.view()][, workspace]). On a device a group is a
/// block's work.
template <executor E, matrix_viewable X, class W, detail::route_option... Options>
void assign(E const& ex, balanced_assign const& router, X const& x, assignment<W> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const scores = as_const(as_matrix_view(x));
  std::int64_t const n = scores.cols(), rows = scores.rows();
  detail::check_group_route(router, rows, n, out, 1, function);
  detail::for_each_group(rows, router.group_size, [&](std::int64_t, std::int64_t count) {
    check_argument(router.pad || count % n == 0, function, "rows of a group", count, "a multiple of the number of experts unless `pad` is set");
  });
  auto const stats = detail::find_option<routing_stats_view>(options...);
  detail::check_statistics(stats, n, function);
  fanfold::detail::call_workspace ws(ex, options...);
  static_assert(fanfold::detail::has_backend<E, balanced_assign_loop, decltype(scores), assignment<W>, workspace&>,
                "no backend of balanced_assign for this executor: include <fanfold/kernel/balanced_assign.hpp> for device executors");
  run_loop(ex, balanced_assign_loop{router}, scores, out, ws.get());
  detail::count_choices<sigmoid_score>(ex, scores, as_const(out.id), row_mask{}, stats, ws.get());
}

/// Routes by Sinkhorn into k slots a row:  assign(ex, router, logits, out[, stats.view()][, workspace]).
/// \return iterations and convergence of the last group, on host executors; nothing on a device (see `balance`).
template <executor E, matrix_viewable X, class W, detail::route_option... Options>
auto assign(E const& ex, sinkhorn_router const& router, X const& x, assignment<W> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const logits = as_const(as_matrix_view(x));
  std::int64_t const n = logits.cols();
  detail::check_group_route(router, logits.rows(), n, out, router.k, function);
  check_argument(router.k >= 1 && router.k <= n, function, "k", router.k, "between 1 and the number of experts");
  detail::check_sinkhorn(router.options, n, function);
  auto const stats = detail::find_option<routing_stats_view>(options...);
  detail::check_statistics(stats, n, function);
  fanfold::detail::call_workspace ws(ex, options...);
  static_assert(fanfold::detail::has_backend<E, sinkhorn_router_loop, decltype(logits), assignment<W>, workspace&>,
                "no backend of sinkhorn_router for this executor: include <fanfold/kernel/sinkhorn.hpp> for device executors");
  auto const count = [&] {
    if (router.k == 1)
      detail::count_choices<sigmoid_score>(ex, logits, as_const(out.id), row_mask{}, stats, ws.get());
    else
      detail::count_choices<softmax_score>(ex, logits, as_const(out.id), row_mask{}, stats, ws.get());
  };
  if constexpr (host_executor<E>) {
    sinkhorn_result const result = run_loop(ex, sinkhorn_router_loop{router}, logits, out, ws.get());
    count();
    return result;
  } else {
    run_loop(ex, sinkhorn_router_loop{router}, logits, out, ws.get());
    count();
  }
}

/// The vjp of both routers: that of their weight for the recorded ids.
template <executor E, matrix_viewable X, class W, class Id, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(E const& ex, balanced_assign const&, X const& x, assignment<W, Id> const& forward, Y const& y, Z&& z, Options&&... options) {
  assign_vjp(ex, token_choice<sigmoid_score, top_k, raw_weight>{}, x, forward, y, z, options...);
}
template <executor E, matrix_viewable X, class W, class Id, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(E const& ex, sinkhorn_router const& router, X const& x, assignment<W, Id> const& forward, Y const& y, Z&& z,
                Options&&... options) {
  if (router.k == 1)
    assign_vjp(ex, token_choice<sigmoid_score, top_k, raw_weight>{}, x, forward, y, z, options...);
  else
    assign_vjp(ex, token_choice<softmax_score, top_k, raw_weight>{{}, {router.k}}, x, forward, y, z, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
