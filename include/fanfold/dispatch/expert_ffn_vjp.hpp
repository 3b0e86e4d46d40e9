#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// rows[r, :] += sums.
template <class T>
struct adding_sink {
  static constexpr int panels = 1;
  matrix_view<T> rows{};

  template <class A>
  FANFOLD_HD void store(plan_view const&, std::int64_t, std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    T* const to = rows.data() + r * rows.stride() + column;
    for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<T>(to_arithmetic(to[c]) + static_cast<arithmetic_t<T>>(sums[0][c]));
  }
  template <class E>
  void check(char const* function, E const& ex, plan_view const& plan, std::int64_t outer) const {
    detail::check_rows(function, "output rows", ex, plan, rows, outer);
  }
};

/// What `run_loop` runs between the products of a network: hidden rows and their gradients.
template <class Activation>
struct activation_loop {
  Activation activation{};
};

namespace detail {

/// Calls f(r) for every row in use, a few rows a task.
template <class E, class F>
void for_each_used_row(E const& ex, plan_view const& plan, std::int64_t cols, F&& f) {
  std::int64_t const rows = plan.rows(), step = tokens_a_task(cols, 8);
  for_each_task(ex, fanfold::detail::divide_up(rows, step), [&](std::int64_t task) {
    std::int64_t const end = (task + 1) * step < rows ? (task + 1) * step : rows;
    for (std::int64_t r = task * step; r < end; ++r)
      if (plan.src_of.data()[r] >= 0) f(r);
  });
}

}  // namespace detail

/// Host form: hidden rows from the sums of gate and up.
template <host_executor E, class Activation, class A, class T>
void run_loop(E const& ex, activation_loop<Activation> const& loop, plan_view const& plan, matrix_view<A> gate, matrix_view<A> up, matrix_view<T> hidden) {
  detail::for_each_used_row(ex, plan, up.cols(), [&](std::int64_t r) {
    A const* const u = up.data() + r * up.stride();
    T* const h = hidden.data() + r * hidden.stride();
    if constexpr (Activation::gated) {
      A const* const g = gate.data() + r * gate.stride();
      for (std::int64_t c = 0; c < up.cols(); ++c) h[c] = from_arithmetic<T>(loop.activation.value(g[c], u[c]));
    } else {
      for (std::int64_t c = 0; c < up.cols(); ++c) h[c] = from_arithmetic<T>(loop.activation.value(u[c]));
    }
  });
}

/// Host form: the sums' gradients take their place.
template <host_executor E, class Activation, class A>
void run_loop(E const& ex, activation_loop<Activation> const& loop, plan_view const& plan, matrix_view<A> gate, matrix_view<A> up, matrix_view<A const> dhidden) {
  detail::for_each_used_row(ex, plan, up.cols(), [&](std::int64_t r) {
    A* const u = up.data() + r * up.stride();
    A const* const dh = dhidden.data() + r * dhidden.stride();
    if constexpr (Activation::gated) {
      A* const g = gate.data() + r * gate.stride();
      for (std::int64_t c = 0; c < up.cols(); ++c) {
        auto const d = loop.activation.gradient(g[c], u[c], dh[c]);
        g[c] = d.gate;
        u[c] = d.up;
      }
    } else {
      for (std::int64_t c = 0; c < up.cols(); ++c) u[c] = loop.activation.gradient(u[c], dh[c]);
    }
  });
}

/// Gradients of `expert_ffn` for dy = dL/dy: of the tokens, of the routing weights (T x K) and of the networks' weights (zeros for an
/// expert without rows). The hidden rows are computed again; the gradient of `init` is dy. Per assignment, with z = down^T h:
/// dz = w dy, dw = <z, dy>, dh = down dz, (dg, du) through the activation, dx = gate dg + up du, d down = h dz^T, d gate = x dg^T, d up = x du^T; with
/// weigh_input x' = w x takes the place of x, dx = w dx', dw = <x, dx'>. Absent outputs (null data) are left out.
template <executor E, class Policy, class T, matrix_viewable X, matrix_viewable W, matrix_viewable G, matrix_viewable DX, matrix_viewable DW, class DT,
          fanfold::detail::call_option... Options>
void expert_ffn_vjp(E const& ex, Policy const& policy, plan_view const& plan, ffn_weights<T> const& weights, X const& x, W const& weight, G const& dy,
                    DX&& dx, DW&& dweight, ffn_weights<DT> const& dweights, Options&&... options) {
  using S = typename std::remove_cvref_t<decltype(as_matrix_view(x))>::value_type;
  using A = arithmetic_t<S>;
  using Activation = std::remove_cvref_t<decltype(policy.activation)>;
  using Combine = std::remove_cvref_t<decltype(policy.combine)>;
  constexpr bool gated = Activation::gated;
  auto const tokens = as_const(as_matrix_view(x));
  auto const w = as_const(as_matrix_view(weight));
  auto const g = as_const(as_matrix_view(dy));
  auto const dw = as_matrix_view(dweight);
  auto const dtokens = as_matrix_view(dx);
  detail::check_plan_shape("expert_ffn_vjp", plan);
  detail::check_gate("expert_ffn_vjp", weights, gated);
  detail::check_tokens("expert_ffn_vjp", "x", plan, tokens, weights.up.inner);
  detail::check_tokens("expert_ffn_vjp", "dy", plan, g, weights.down.outer);
  detail::check_tokens("expert_ffn_vjp", "weight", plan, w, plan.slots, true);
  detail::check_tokens("expert_ffn_vjp", "dx", plan, dtokens, tokens.cols(), true);
  detail::check_tokens("expert_ffn_vjp", "dweight", plan, dw, plan.slots, true);

  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  std::int64_t const rows = detail::rows_to_hold(ex, plan), inner = weights.up.inner, wide = weights.up.outer, outer = weights.down.outer;
  auto const take = [&]<class V>(V, std::int64_t cols) { return matrix_view<V>(frame.template take<V>(rows * cols).data(), rows, cols); };
  auto const gate = gated ? take(A{}, wide) : matrix_view<A>();
  auto const up = take(A{}, wide), dhidden = take(A{}, wide);
  auto const hidden = take(S{}, wide), results = take(S{}, outer);
  auto const dresults = take(A{}, outer);
  using weight_type = typename decltype(w)::value_type;
  matrix_view<weight_type const> const none;
  gathered<S, weight_type> const source{tokens, policy.weigh_input ? w : none};

  if constexpr (gated) grouped_gemm(ex, plan, source, weights.gate, row_sink{gate}, ws);
  grouped_gemm(ex, plan, source, weights.up, row_sink{up}, ws);
  run_loop(ex, activation_loop<Activation>{policy.activation}, plan, gate, up, hidden);
  grouped_gemm(ex, plan, plan_rows{as_const(hidden)}, weights.down, row_sink{results}, ws);

  using fold = std::conditional_t<std::is_same_v<Combine, fused_by_expert>, weighted_sum<by_expert>, weighted_sum<by_slot>>;
  using dw_view = std::remove_cv_t<decltype(dw)>;
  fold_combine_vjp(ex, fold{}, plan, results, policy.weigh_input ? none : w, g, dresults, policy.weigh_input ? dw_view() : dw, ws);
  if (dweights.down.data != nullptr) grouped_weight_gradient(ex, plan, plan_rows{as_const(hidden)}, dresults, dweights.down, ws);
  grouped_gemm(ex, plan, plan_rows{as_const(dresults)}, weight_bank<T const>(weights.down).transposed(), row_sink{dhidden}, ws);
  run_loop(ex, activation_loop<Activation>{policy.activation}, plan, gate, up, as_const(dhidden));
  if (gated && dweights.gate.data != nullptr) grouped_weight_gradient(ex, plan, source, gate, dweights.gate, ws);
  if (dweights.up.data != nullptr) grouped_weight_gradient(ex, plan, source, up, dweights.up, ws);
  if (dtokens.data() == nullptr && !policy.weigh_input) return;

  auto const drows = take(A{}, inner);
  grouped_gemm(ex, plan, plan_rows{as_const(up)}, weight_bank<T const>(weights.up).transposed(), row_sink{drows}, ws);
  if constexpr (gated) grouped_gemm(ex, plan, plan_rows{as_const(gate)}, weight_bank<T const>(weights.gate).transposed(), adding_sink<A>{drows}, ws);
  if (policy.weigh_input && w.data() != nullptr)
    gather_vjp(ex, scaled<weight_type>{w}, plan, tokens, drows, dtokens, dw, ws);
  else
    gather_vjp(ex, unscaled{}, plan, drows, dtokens, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
