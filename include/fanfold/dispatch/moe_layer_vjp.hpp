#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/dispatch/special_experts_vjp.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assign.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Gradients of linear_experts.
template <class T>
struct linear_gradients {
  weight_bank<T> bank{};
  matrix_view<T> bias{};
};

/// Gradients of a logit source: of its matrix (strides as the matrix's) and bias.
template <class T>
struct logit_gradients {
  weight_bank<T> weight{};
  view<T> bias{};
};

/// Gradients of shared experts: of the network (ffn_weights or linear_gradients) and of the gate.
template <class Experts, class P>
struct shared_gradients {
  Experts experts{};
  view<P> gate{};
};
template <class X>
shared_gradients(X) -> shared_gradients<X, float>;
template <class X, class P>
shared_gradients(X, view<P>) -> shared_gradients<X, P>;

/// Where the gradients of a layer go; absent ones (null data, or the default type) are left out. `logits` is T x N, or logit_gradients where
/// the forward had a logit source; `experts` is ffn_weights or linear_gradients of the networks.
template <class X, class Logits, class Experts, class Shared = no_shared, class Special = all_real>
struct moe_gradients {
  matrix_view<X> tokens{};
  Logits logits{};
  Experts experts{};
  Shared shared{};
  Special special{};
};
template <class X, class L, class D>
moe_gradients(matrix_view<X>, L, D) -> moe_gradients<X, L, D>;
template <class X, class L, class D, class S>
moe_gradients(matrix_view<X>, L, D, S) -> moe_gradients<X, L, D, S>;
template <class X, class L, class D, class S, class Z>
moe_gradients(matrix_view<X>, L, D, S, Z) -> moe_gradients<X, L, D, S, Z>;

/// Gradients of experts.run without `init` (which only adds): of tokens, routing weights and the networks' weights.
template <executor E, class T, class Activation, class Combine, class X, class W, class G, class DX, class D>
void experts_vjp(E const& ex, ffn_experts<ffn_weights<T>, Activation> const& experts, Combine const& combine, plan_view const& plan,
                 matrix_view<X const> x, matrix_view<W const> weight, matrix_view<G const> dy, matrix_view<DX> dx, matrix_view<W> dweight,
                 ffn_weights<D> const& gradient, workspace& ws) {
  static_assert(!requires { combine.monoid; }, "gradients of feed-forward experts need a weighted_sum or fused_by_expert");
  expert_ffn_vjp(ex, experts.policy(combine), plan, experts.weights.get(), x, weight, dy, dx, dweight, gradient, ws);
}

template <executor E, class T, class B, class Combine, class X, class W, class G, class DX, class D>
void experts_vjp(E const& ex, linear_experts<T, B> const& experts, Combine const& combine, plan_view const& plan, matrix_view<X const> x,
                 matrix_view<W const> weight, matrix_view<G const> dy, matrix_view<DX> dx, matrix_view<W> dweight, linear_gradients<D> const& gradient,
                 workspace& ws) {
  workspace::frame frame(ws);
  std::int64_t const rows = detail::rows_to_hold(ex, plan), inner = experts.bank.inner, outer = experts.bank.outer;
  matrix_view<X> const z(frame.template take<X>(rows * outer).data(), rows, outer);
  matrix_view<W> const dz(frame.template take<W>(rows * outer).data(), rows, outer);
  matrix_view<W> const drows(frame.template take<W>(rows * inner).data(), rows, inner);
  gathered<X, W> const source{x, {}};
  grouped_gemm(ex, plan, source, experts.bank, row_sink<X, B>{z, experts.bias}, ws);
  fold_combine_vjp(ex, combine, plan, z, weight, dy, dz, dweight, ws);
  grouped_gemm_vjp(ex, plan, source, experts.bank, dz, drows, gradient.bank, gradient.bias, ws);
  if (dx.data() != nullptr) gather_vjp(ex, unscaled{}, plan, drows, dx, ws);
}

namespace detail {

template <class A, class B>
struct add_row {
  matrix_view<A> to{};
  matrix_view<B const> from{};
  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    A* const sum = to.data() + t * to.stride();
    for (std::int64_t c = g.rank(); c < to.cols(); c += g.size()) sum[c] = sum[c] + static_cast<A>(from.data()[t * from.stride() + c]);
  }
};
template <class T, class A>
struct store_token {
  matrix_view<T> to{};
  matrix_view<A const> from{};
  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    for (std::int64_t c = g.rank(); c < to.cols(); c += g.size())
      to.data()[t * to.stride() + c] = from_arithmetic<T>(static_cast<arithmetic_t<T>>(from.data()[t * from.stride() + c]));
  }
};

/// Through u_s = w_s / sum of the kept: dw_s = (du_s - sum_j du_j u_j) / sum; in place.
template <class W>
struct renormalise_token_vjp {
  renormalise_token<W> forward{};
  matrix_view<W> dweight{};
  FANFOLD_HD void operator()(std::int64_t t) const {
    W const sum = forward.kept_sum(t);
    W* const d = dweight.data() + t * dweight.stride();
    W dot = W(0);
    for (std::int64_t s = 0; s < dweight.cols(); ++s) dot = dot + d[s] * forward.out.data()[t * forward.out.stride() + s];
    for (std::int64_t s = 0; s < dweight.cols(); ++s) d[s] = forward.keeps(t, s) && sum != W(0) ? (d[s] - dot) / sum : W(0);
  }
};

/// dl = dgate * g (1 - g).
template <class W>
struct sigmoid_slope {
  view<W const> gate{};
  view<W> d{};
  FANFOLD_HD void operator()(std::int64_t t) const {
    W const g = gate.data()[t];
    d.data()[t] = d.data()[t] * (g * (W(1) - g));
  }
};

/// Adds to dx; `part` is scratch of its shape.
template <class E, class Experts, class P, class T, class G, class A, class Gradients>
void shared_vjp(E const& ex, shared_experts<Experts, P> const& shared, matrix_view<T const> x, matrix_view<G const> dy, matrix_view<A> dx,
                Gradients const& gradients, workspace& ws) {
  workspace::frame frame(ws);
  matrix_view<A> const part(frame.template take<A>(dx.rows() * dx.cols()).data(), dx.rows(), dx.cols());
  plan_view const plan = dense_plan(ex, frame, x.rows());
  auto const gate = shared.gate_of(ex, frame, x);
  matrix_view<A> const dgate = gate.data() == nullptr ? matrix_view<A>() : matrix_view<A>(frame.template take<A>(x.rows()).data(), x.rows(), 1);
  experts_vjp(ex, shared.experts, weighted_sum{}, plan, x, as_const(gate), dy, part, dgate, gradients.experts, ws);
  for_each_token(ex, add_row<A, A>{dx, as_const(part)}, x.rows());
  if (gate.data() == nullptr) return;
  for_each(ex, sigmoid_slope<A>{{gate.data(), x.rows()}, {dgate.data(), x.rows()}}, x.rows());
  // the gate is a product with one column: its gradients are those of such a bank
  weight_bank<P const> const column(shared.gate.data(), 1, x.cols(), 1);
  grouped_gemm(ex, plan, plan_rows{as_const(dgate)}, column.transposed(), adding_sink<A>{dx}, ws);
  if (gradients.gate.data() == nullptr) return;
  using DP = std::remove_const_t<typename decltype(gradients.gate)::element_type>;
  grouped_weight_gradient(ex, plan, plan_rows<T>{x}, as_const(dgate), weight_bank<DP>(gradients.gate.data(), 1, x.cols(), 1), ws);
}

template <class E, class P, class T, class A, class DT>
void logit_source_vjp(E const& ex, logit_source<P> const& source, matrix_view<T const> x, matrix_view<A const> dlogits, matrix_view<A> dx,
                      logit_gradients<DT> const& gradient, workspace& ws) {
  workspace::frame frame(ws);
  plan_view const plan = dense_plan(ex, frame, x.rows());
  grouped_gemm(ex, plan, plan_rows<A>{dlogits}, weight_bank<P const>(source.weight).transposed(), adding_sink<A>{dx}, ws);
  if (gradient.weight.data != nullptr) grouped_weight_gradient(ex, plan, plan_rows<T>{x}, dlogits, gradient.weight, ws);
  if (gradient.bias.data() != nullptr) grouped_bias_gradient(ex, plan, dlogits, matrix_view<DT>(gradient.bias.data(), 1, gradient.bias.size()), ws);
}

}  // namespace detail

/// Gradients of a layer for dy = dL/dout, with `tokens` and `logits` as in the forward call. Routes, plan and hidden rows are computed again;
/// choices and drops are constants. Experts must be ones whose weights are a view (ffn_weights, linear_experts). Also through the statistics,
/// where a route::routing_stats_gradient is given (balance losses):
///   moe_layer_vjp(ex, layer, tokens, logits, dy, moe_gradients{dtokens, dlogits, dexperts}[, routing_stats_gradient][, row_mask][, workspace])
/// Gradients are overwritten. On a device they lie in its memory.
/// \par Determinism  as the blocks it is made of: bits do not depend on threads.
template <executor E, class R, class X, class C, class P, class S, class Z, matrix_viewable Tokens, class Logits, matrix_viewable G, class Gradients,
          class... Options>
void moe_layer_vjp(E const& ex, moe_layer<R, X, C, P, S, Z> const& layer, Tokens const& tokens, Logits const& logits, G const& dy, Gradients const& gradients,
                   Options&&... options) {
  auto const x = as_const(as_matrix_view(tokens));
  auto const g = as_const(as_matrix_view(dy));
  using T = typename std::remove_cv_t<decltype(x)>::value_type;
  using A = arithmetic_t<T>;
  constexpr bool from_source = !matrix_viewable<Logits>;
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  auto const given = [&]() -> auto {
    if constexpr (from_source)
      return logits;
    else
      return as_const(as_matrix_view(logits));
  }();
  auto const l = detail::logits_of<T>(ex, frame, x, given, ws);
  detail::check_layer(layer, x, l, g);
  check_argument(gradients.tokens.data() == nullptr || (gradients.tokens.rows() == x.rows() && gradients.tokens.cols() == x.cols()), "moe_layer_vjp",
                 "shape of the tokens' gradient", "another", "that of the tokens");
  auto const mask = route::detail::find_option<route::row_mask>(options...);
  auto const dstats = route::detail::find_option<route::routing_stats_gradient>(options...);
  auto const routed = detail::route_tokens<A>(ex, layer, frame, l, {}, mask, ws);

  auto const take = [&](std::int64_t cols) { return matrix_view<A>(frame.template take<A>(x.rows() * cols).data(), x.rows(), cols); };
  auto const dx = take(x.cols()), dweight = take(routed.plan.slots);
  experts_vjp(ex, layer.experts, layer.combine, routed.plan, x, routed.weight, g, dx, dweight, gradients.experts, ws);
  if constexpr (!std::is_same_v<Z, all_real>)
    detail::special_vjp(ex, layer.special, routed.plan, as_const(routed.routes.id), routed.weight, x, g, dx, dweight, gradients.special, ws);
  if constexpr (!std::is_same_v<S, no_shared>) detail::shared_vjp(ex, layer.shared, x, g, dx, gradients.shared, ws);
  if (layer.renormalise) {
    detail::renormalise_token<A> const forward{routed.plan, as_const(routed.routes.id), routed.network, as_const(routed.routes.weight),
                                               {const_cast<A*>(routed.weight.data()), x.rows(), routed.plan.slots}};
    for_each(ex, detail::renormalise_token_vjp<A>{forward, dweight}, x.rows());
  }
  if constexpr (from_source) {
    auto const dlogits = take(l.cols());
    route::assign_vjp(ex, layer.router, l, routed.routes, dweight, dlogits, dstats, mask, ws);
    detail::logit_source_vjp(ex, logits, x, as_const(dlogits), dx, gradients.logits, ws);
  } else {
    if (gradients.logits.data() != nullptr) route::assign_vjp(ex, layer.router, l, routed.routes, dweight, gradients.logits, dstats, mask, ws);
  }
  using DX = std::remove_const_t<typename decltype(gradients.tokens)::element_type>;
  if (gradients.tokens.data() != nullptr) for_each_token(ex, detail::store_token<DX, A>{gradients.tokens, as_const(dx)}, x.rows());
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
