#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
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

/// plan(t, e) := the balanced matrix of logits (T x E), in double or float as the plan is; NaN counts as -infinity. Host executors.
/// \throws argument_error for shapes, parameters, rows or columns without an entry above -infinity, and +infinity.
template <host_executor E, class L, class R>
sinkhorn_result balance(E const& ex, sinkhorn const& options, matrix_view<L const> logits, matrix_view<R> plan, workspace& ws) {
  static constexpr char function[] = "route::balance";
  std::int64_t const rows = logits.rows(), n = logits.cols();
  check_argument(plan.rows() == rows && plan.cols() == n, function, "shape of the plan", plan.cols(), "the shape of the logits");
  check_argument(options.temperature > 0 && options.temperature < 1e30, function, "temperature", options.temperature, "positive and finite");
  check_argument(options.tolerance >= 0, function, "tolerance", options.tolerance, "0 or more");
  check_argument(options.most_iterations >= 1, function, "most_iterations", options.most_iterations, "1 or more");
  check_argument(n >= 1, function, "number of experts", n, "1 or more");
  if (rows == 0) return {0, true};
  for (std::int64_t e = 0; e < n; ++e) {
    bool any = false;
    for (std::int64_t t = 0; t < rows; ++t) {
      auto const l = to_arithmetic(logits(t, e));
      check_argument(!(l == math::infinity<decltype(l)>()), function, "a logit", "infinite", "below infinity");
      any = any || l > -math::infinity<decltype(l)>();
    }
    check_argument(any, function, "column without a logit above -infinity", e, "absent");
  }
  for (std::int64_t t = 0; t < rows; ++t) {
    bool any = false;
    for (std::int64_t e = 0; e < n; ++e) any = any || to_arithmetic(logits(t, e)) > -math::infinity<arithmetic_t<L>>();
    check_argument(any, function, "row without a logit above -infinity", t, "absent");
  }
  workspace::frame frame(ws);
  auto* const u = frame.take<R>(rows).data();
  auto* const v = frame.take<R>(n).data();
  auto* const sum = frame.take<double>(n).data();
  R const inverse = R(1) / static_cast<R>(options.temperature);
  detail::for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
    R* const m = plan.row(t).data();
    for (std::int64_t e = 0; e < n; ++e) {
      R const l = static_cast<R>(to_arithmetic(logits(t, e)));
      m[e] = math::isnan(l) ? -math::infinity<R>() : l * inverse;
    }
    R const max = detail::row_max(host_lane{}, m, n);
    for (std::int64_t e = 0; e < n; ++e) m[e] = detail::exp_below(m[e], max);
  });
  for (std::int64_t e = 0; e < n; ++e) v[e] = R(1);
  sinkhorn_result result;
  while (!result.converged && result.iterations < options.most_iterations) {
    detail::for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
      R const s = host_lane{}.fold(detail::row_sum<R>{}, n, detail::product_of<R>{v, plan.row(t).data()});
      u[t] = R(1) / static_cast<R>(rows) / (s + R(1e-8));
    });
    detail::sum_over_rows(ex, rows, n, ws, sum, [&](std::int64_t t, double* to) {
      for (std::int64_t e = 0; e < n; ++e) to[e] += static_cast<double>(u[t] * plan(t, e));
    });
    double change = 0;
    for (std::int64_t e = 0; e < n; ++e) {
      R const next = R(1) / static_cast<R>(n) / (static_cast<R>(sum[e]) + R(1e-8));
      change += static_cast<double>(next < v[e] ? v[e] - next : next - v[e]);
      v[e] = next;
    }
    ++result.iterations;
    result.converged = change / static_cast<double>(n) <= options.tolerance;
  }
  detail::for_each_row<R>(ex, rows, 0, ws, [&](std::int64_t t, R*) {
    for (std::int64_t e = 0; e < n; ++e) plan(t, e) = u[t] * plan(t, e) * v[e];
  });
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
