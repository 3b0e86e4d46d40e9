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
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Entropic balancing: diag(u) exp(l / temperature) diag(v) with row sums 1/T and column sums 1/E, by turns (Sinkhorn and Knopp, 1967;
/// Megatron-LM's router). Row maxima are subtracted first, which changes nothing but overflow.
struct sinkhorn {
  double temperature = 1;
  /// Stop when mean |v - previous v| is at most this. Below 1e-7 it may never be: the guard of 1e-8 makes the scale of v drift.
  double tolerance = 1e-4;
  std::int64_t most_iterations = 100;
};

struct sinkhorn_result {
  std::int64_t iterations = 0;
  bool converged = false;
};

/// What `run_loop` runs for Sinkhorn balancing, group by group of `group_size` rows (0: all). `result` may hold one entry, for the last group.
struct sinkhorn_loop {
  sinkhorn options{};
  std::int64_t group_size = 0;
  view<sinkhorn_result> result{};
};

namespace detail {

/// |next - v| of a column.
template <class R>
struct column_change {
  R const* v;
  R const* next;
  FANFOLD_HD double operator()(std::int64_t e) const { return static_cast<double>(next[e] < v[e] ? v[e] - next[e] : next[e] - v[e]); }
};

/// Marginals over sums, guarded: what u and v become.
template <class R>
FANFOLD_HD R marginal_over(std::int64_t count, R sum) {
  return R(1) / static_cast<R>(count) / (sum + R(1e-8));
}

template <class L, class R>
FANFOLD_HD R tempered(L logit, R inverse) {
  R const l = static_cast<R>(to_arithmetic(logit));
  return math::isnan(l) ? -math::infinity<R>() : l * inverse;
}

template <class L>
void check_entries(matrix_view<L const> logits, char const* function) {
  for (std::int64_t e = 0; e < logits.cols(); ++e) {
    bool any = false;
    for (std::int64_t t = 0; t < logits.rows(); ++t) {
      auto const l = to_arithmetic(logits(t, e));
      check_argument(!(l == math::infinity<decltype(l)>()), function, "a logit", "infinite", "below infinity");
      any = any || l > -math::infinity<decltype(l)>();
    }
    check_argument(any, function, "column without a logit above -infinity", e, "absent");
  }
  for (std::int64_t t = 0; t < logits.rows(); ++t) {
    bool any = false;
    for (std::int64_t e = 0; e < logits.cols(); ++e) any = any || to_arithmetic(logits(t, e)) > -math::infinity<arithmetic_t<L>>();
    check_argument(any, function, "row without a logit above -infinity", t, "absent");
  }
}

template <host_executor E, class L, class R>
sinkhorn_result balance_group(E const& ex, sinkhorn const& options, matrix_view<L const> logits, matrix_view<R> plan, workspace& ws) {
  std::int64_t const rows = logits.rows(), n = logits.cols();
  check_entries(logits, "route::balance");
  workspace::frame frame(ws);
  auto* const u = frame.take<R>(rows).data();
  auto* const v = frame.take<R>(n).data();
  auto* const next = frame.take<R>(n).data();
  auto* const sum = frame.take<double>(n).data();
  R const inverse = R(1) / static_cast<R>(options.temperature);
  for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
    R* const m = plan.row(t).data();
    for (std::int64_t e = 0; e < n; ++e) m[e] = tempered(logits(t, e), inverse);
    R const max = row_max(host_lane{}, m, n);
    for (std::int64_t e = 0; e < n; ++e) m[e] = exp_below(m[e], max);
  });
  for (std::int64_t e = 0; e < n; ++e) v[e] = R(1);
  sinkhorn_result result;
  while (!result.converged && result.iterations < options.most_iterations) {
    for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
      u[t] = marginal_over(rows, host_lane{}.fold(row_sum<R>{}, n, product_of<R>{v, plan.row(t).data()}));
    });
    sum_over_rows(ex, rows, n, ws, sum, [&](std::int64_t t, double* to) {
      for (std::int64_t e = 0; e < n; ++e) to[e] += static_cast<double>(u[t] * plan(t, e));
    });
    for (std::int64_t e = 0; e < n; ++e) next[e] = marginal_over(n, static_cast<R>(sum[e]));
    double const change = host_lane{}.fold(row_sum<double>{}, n, column_change<R>{v, next});
    for (std::int64_t e = 0; e < n; ++e) v[e] = next[e];
    ++result.iterations;
    result.converged = change / static_cast<double>(n) <= options.tolerance;
  }
  for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
    for (std::int64_t e = 0; e < n; ++e) plan(t, e) = u[t] * plan(t, e) * v[e];
  });
  return result;
}

inline void check_sinkhorn(sinkhorn const& options, std::int64_t experts, char const* function) {
  check_argument(options.temperature > 0 && options.temperature < 1e30, function, "temperature", options.temperature, "positive and finite");
  check_argument(options.tolerance >= 0, function, "tolerance", options.tolerance, "0 or more");
  check_argument(options.most_iterations >= 1, function, "most_iterations", options.most_iterations, "1 or more");
  check_argument(experts >= 1, function, "number of experts", experts, "1 or more");
}

}  // namespace detail

/// Host form of Sinkhorn balancing.
template <host_executor E, class L, class R>
sinkhorn_result run_loop(E const& ex, sinkhorn_loop const& loop, matrix_view<L const> logits, matrix_view<R> plan, workspace& ws) {
  sinkhorn_result result{0, true};
  std::int64_t const rows = logits.rows(), step = loop.group_size == 0 ? rows : loop.group_size;
  for (std::int64_t first = 0; first < rows; first += step) {
    std::int64_t const count = first + step < rows ? step : rows - first;
    result = detail::balance_group(ex, loop.options, logits.sub_rows(first, count), plan.sub_rows(first, count), ws);
  }
  if (!loop.result.empty()) loop.result[0] = result;
  return result;
}

/// plan(t, e) := the balanced matrix of logits (T x E), in double or float as the plan is; NaN counts as -infinity. Host executors return
/// iterations and convergence; `result`, one entry or none, takes them on any executor.
/// \throws argument_error for shapes and parameters; for rows or columns without an entry above -infinity, and +infinity, which a device
/// reports by `fetch`.
template <executor E, class L, class R>
auto balance(E const& ex, sinkhorn const& options, matrix_view<L const> logits, matrix_view<R> plan, workspace& ws,
             view<sinkhorn_result> result = {}) {
  static constexpr char function[] = "route::balance";
  check_argument(plan.rows() == logits.rows() && plan.cols() == logits.cols(), function, "shape of the plan", plan.cols(), "the shape of the logits");
  check_argument(result.size() <= 1, function, "size of the result", result.size(), "0 or 1");
  detail::check_sinkhorn(options, logits.cols(), function);
  static_assert(fanfold::detail::has_backend<E, sinkhorn_loop, matrix_view<L const>, matrix_view<R>, workspace&>,
                "no backend of sinkhorn for this executor: include <fanfold/kernel/sinkhorn.hpp> for device executors");
  return run_loop(ex, sinkhorn_loop{options, 0, result}, logits, plan, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
