#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/auction.hpp"
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

/// Routes by balanced assignment into one slot a row:  assign(ex, router, scores, out[, workspace]). Host executors.
template <host_executor E, matrix_viewable X, class W, detail::route_option... Options>
void assign(E const& ex, balanced_assign const& router, X const& x, assignment<W> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const scores = as_const(as_matrix_view(x));
  using R = arithmetic_t<typename decltype(scores)::value_type>;
  std::int64_t const n = scores.cols(), rows = scores.rows();
  detail::check_group_route(router, rows, n, out, 1, function);
  detail::for_each_group(rows, router.group_size, [&](std::int64_t, std::int64_t count) {
    check_argument(router.pad || count % n == 0, function, "rows of a group", count, "a multiple of the number of experts unless `pad` is set");
  });
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto* const expert = frame.take<std::int32_t>(rows).data();
  detail::for_each_group(rows, router.group_size, [&](std::int64_t first, std::int64_t count) {
    detail::assign_group(ex, router, scores.sub_rows(first, count), n, expert + first, ws.get());
  });
  for (std::int64_t t = 0; t < rows; ++t) {
    R const s = to_arithmetic(scores(t, expert[t]));
    out.id(t, 0) = expert[t];
    out.weight(t, 0) = from_arithmetic<W>(static_cast<arithmetic_t<W>>(math::isnan(s) ? R(0) : math::sigmoid(s)));
  }
}

/// Routes by Sinkhorn into k slots a row:  assign(ex, router, logits, out[, workspace]). Host executors.
/// \return iterations and convergence of the last group.
template <host_executor E, matrix_viewable X, class W, detail::route_option... Options>
sinkhorn_result assign(E const& ex, sinkhorn_router const& router, X const& x, assignment<W> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const logits = as_const(as_matrix_view(x));
  using R = arithmetic_t<typename decltype(logits)::value_type>;
  std::int64_t const n = logits.cols(), rows = logits.rows();
  detail::check_group_route(router, rows, n, out, router.k, function);
  check_argument(router.k >= 1 && router.k <= n, function, "k", router.k, "between 1 and the number of experts");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  R* const plan = frame.take<R>(rows * n).data();
  sinkhorn_result result;
  detail::for_each_group(rows, router.group_size, [&](std::int64_t first, std::int64_t count) {
    result = balance(ex, router.options, logits.sub_rows(first, count), matrix_view<R>(plan + first * n, count, n), ws);
  });
  detail::for_each_row<R>(ex, rows, n, ws, [&](std::int64_t t, R* y) {
    host_lane const g;
    std::int32_t* const id = out.id.row(t).data();
    detail::select_top(g, plan + t * n, 0, n, id, router.k);
    detail::load_logits(g, logits.row(t).data(), y, n);
    if (router.k == 1)
      sigmoid_score{}.forward(g, y, y, n);
    else
      detail::softmax_row(g, y, y, n);
    for (std::int64_t j = 0; j < router.k; ++j) out.weight(t, j) = from_arithmetic<W>(static_cast<arithmetic_t<W>>(y[id[j]]));
  });
  return result;
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
