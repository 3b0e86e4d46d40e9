#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/detail/row_dot.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/monoid/arithmetic.hpp"

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

namespace detail {

/// Through the routing weights, for d[r, :] = down dy of every kept assignment: dw = <h[r, :], d[r, :]>, then d[r, :] *= w. Absent weights are 1.
template <class S, class A, class W, class D>
struct weigh_hidden {
  plan_view plan{};
  matrix_view<S const> hidden{};
  matrix_view<A> dhidden{};
  matrix_view<W const> weight{};
  matrix_view<D> dweight{};

  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    for (std::int64_t s = 0; s < plan.slots; ++s) {
      std::int64_t const r = plan.row_of.data()[t * plan.slots + s];
      A* const d = dhidden.data() + (r < 0 ? 0 : r) * dhidden.stride();
      if (dweight.data() != nullptr) {
        A const dot = r < 0 ? A(0) : g.fold(plus<A>{}, hidden.cols(), feature_product<S, A, A>{hidden.data() + r * hidden.stride(), d});
        if (g.rank() == 0) dweight.data()[t * dweight.stride() + s] = from_arithmetic<D>(static_cast<arithmetic_t<D>>(dot));
        g.sync();
      }
      if (r < 0 || weight.data() == nullptr) continue;
      A const w = static_cast<A>(to_arithmetic(weight.data()[t * weight.stride() + s]));
      for (std::int64_t c = g.rank(); c < hidden.cols(); c += g.size()) d[c] = w * d[c];
    }
  }
};

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
/// expert without rows). The hidden rows are computed again; the gradient of `init` is dy. Per assignment, with d = down dy:
/// dw = <h, d>, dh = w d, (dg, du) through the activation, dx = gate dg + up du, d down = h (w dy)^T, d gate = x dg^T, d up = x du^T; with
/// weigh_input x' = w x takes the place of x, dh = d, dx = w dx', dw = <x, dx'>. Absent outputs (null data) are left out.
template <executor E, class Policy, class T, matrix_viewable X, matrix_viewable W, matrix_viewable G, matrix_viewable DX, matrix_viewable DW, class DT,
          fanfold::detail::call_option... Options>
void expert_ffn_vjp(E const& ex, Policy const& policy, plan_view const& plan, ffn_weights<T> const& weights, X const& x, W const& weight, G const& dy,
                    DX&& dx, DW&& dweight, ffn_weights<DT> const& dweights, Options&&... options) {
  using S = typename std::remove_cvref_t<decltype(as_matrix_view(x))>::value_type;
  using A = arithmetic_t<S>;
  using Activation = std::remove_cvref_t<decltype(policy.activation)>;
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
  auto const hidden = take(S{}, wide);
  auto const dresults = take(A{}, outer);
  using weight_type = typename decltype(w)::value_type;
  matrix_view<weight_type const> const none;
  gathered<S, weight_type> const source{tokens, policy.weigh_input ? w : none};

  if constexpr (gated) grouped_gemm(ex, plan, source, weights.gate, row_sink{gate}, ws);
  grouped_gemm(ex, plan, source, weights.up, row_sink{up}, ws);
  run_loop(ex, activation_loop<Activation>{policy.activation}, plan, gate, up, hidden);
  using gradient_type = typename decltype(g)::value_type;
  grouped_gemm(ex, plan, gathered<gradient_type, weight_type>{g, none}, weight_bank<T const>(weights.down).transposed(), row_sink{dhidden}, ws);
  bool const weighs = !policy.weigh_input && w.data() != nullptr;
  if (dweights.down.data != nullptr) {
    if (weighs)
      gather(ex, scaled<weight_type>{w}, plan, g, dresults, ws);
    else
      gather(ex, plan, g, dresults, ws);
    grouped_weight_gradient(ex, plan, plan_rows{as_const(hidden)}, dresults, dweights.down, ws);
  }
  if (weighs || (!policy.weigh_input && dw.data() != nullptr)) {
    using weigh = detail::weigh_hidden<S, A, weight_type, typename decltype(dw)::value_type>;
    for_each_token(ex, weigh{plan, as_const(hidden), dhidden, w, dw}, plan.tokens);
  }
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
