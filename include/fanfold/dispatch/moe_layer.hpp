#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/dense_plan.hpp"
#include "fanfold/dispatch/experts.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/dispatch/shared_experts.hpp"
#include "fanfold/dispatch/special_experts.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assign.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// In place of logits: they are the tokens times this matrix (D x N; `weight_bank(...)` of one expert, transposed for free) plus bias.
template <class T>
struct logit_source {
  weight_bank<T> weight{};
  view<arithmetic_t<std::remove_const_t<T>> const> bias{};
};
template <class T>
logit_source(weight_bank<T> const&) -> logit_source<T>;
template <class T, viewable B>
logit_source(weight_bank<T> const&, B const&) -> logit_source<T>;

/// A mixture-of-experts layer as a composition: routes = router(logits); plan(routes); y[t, :] = combine over the kept slots of
/// w(t, s) expert(x[t, :]), onto the shared and special experts' part where there are some.
///
///   moe_layer layer{router, swiglu_experts{weights}, weighted_sum{}};
///   layer(ex, tokens, logits, out[, stats][, row_mask][, workspace]);
///
/// `logits` is T x N or a logit_source. `plan` is a layout or plan_policy: its capacity, order and drops. `shared` is shared_experts or
/// no_shared, `special` special_experts or all_real. `renormalise` divides a token's weights by the sum of those that were kept.
/// A step may be swapped for any other of the same members: a router is a row_router; experts have `count()` and `run(...)`.
/// Statistics are those of the router, with `dropped` = choices that found no room.
/// \throws argument_error for shapes that do not match, before `out` is written.
/// \par Determinism  routes, plan and fold have the same bits on every executor; the products as grouped_gemm. A token's result does not
/// depend on the rest of the batch, unless a capacity drops.
template <class Router, class Experts, class Combine = weighted_sum<>, class Plan = packed, class Shared = no_shared, class Special = all_real>
struct moe_layer {
  Router router{};
  Experts experts{};
  Combine combine{};
  Plan plan{};
  Shared shared{};
  Special special{};
  bool renormalise = false;

  template <executor E, matrix_viewable X, class Logits, matrix_viewable Y, class... Options>
  void operator()(E const& ex, X const& tokens, Logits const& logits, Y&& out, Options&&... options) const;
};
template <class R, class X>
moe_layer(R, X) -> moe_layer<R, X>;
template <class R, class X, class C>
moe_layer(R, X, C) -> moe_layer<R, X, C>;
template <class R, class X, class C, class P>
moe_layer(R, X, C, P) -> moe_layer<R, X, C, P>;
template <class R, class X, class C, class P, class S>
moe_layer(R, X, C, P, S) -> moe_layer<R, X, C, P, S>;
template <class R, class X, class C, class P, class S, class Z>
moe_layer(R, X, C, P, S, Z) -> moe_layer<R, X, C, P, S, Z>;
template <class R, class X, class C, class P, class S, class Z>
moe_layer(R, X, C, P, S, Z, bool) -> moe_layer<R, X, C, P, S, Z>;

namespace detail {

template <class P>
auto const& layout_of(P const& policy) {
  if constexpr (plan_layout<P>)
    return policy;
  else
    return policy.layout;
}

struct count_dropped {
  plan_view plan{};
  std::int64_t* dropped = nullptr;
  FANFOLD_HD void operator()(std::int64_t) const {
    std::int64_t sum = 0;
    for (std::int64_t e = 0; e < plan.experts(); ++e) sum += plan.counts.data()[e] - plan.kept.data()[e];
    *dropped = sum;
  }
};

/// weight(t, s) / sum of those kept; a slot counts as kept where it has a row or its expert is no network.
template <class W>
struct renormalise_token {
  plan_view plan{};
  matrix_view<std::int32_t const> id{};
  matrix_view<std::int32_t const> network{};
  matrix_view<W const> weight{};
  matrix_view<W> out{};

  FANFOLD_HD bool keeps(std::int64_t t, std::int64_t s) const {
    return plan.row_of.data()[t * plan.slots + s] >= 0 || (id.data()[t * id.stride() + s] >= 0 && network.data()[t * network.stride() + s] < 0);
  }
  FANFOLD_HD W kept_sum(std::int64_t t) const {
    W sum = W(0);
    for (std::int64_t s = 0; s < plan.slots; ++s)
      if (keeps(t, s)) sum = sum + weight.data()[t * weight.stride() + s];
    return sum;
  }
  FANFOLD_HD void operator()(std::int64_t t) const {
    W const sum = kept_sum(t);
    for (std::int64_t s = 0; s < plan.slots; ++s)
      out.data()[t * out.stride() + s] = keeps(t, s) && sum != W(0) ? weight.data()[t * weight.stride() + s] / sum : W(0);
  }
};

/// What routing leaves for the experts; in a workspace.
template <class W>
struct routed_tokens {
  route::assignment<W, std::int32_t> routes{};     // over all experts of the table
  matrix_view<std::int32_t const> network{};       // ids of networks, -1 for special ones
  plan_view plan{};
  matrix_view<W const> weight{};                   // after drops
};

template <class T, class E, class L>
matrix_view<L const> logits_of(E const&, workspace::frame&, matrix_view<T const>, matrix_view<L> logits, workspace&) {
  return as_const(logits);
}
template <class T, class E, class P>
matrix_view<arithmetic_t<T> const> logits_of(E const& ex, workspace::frame& frame, matrix_view<T const> x, logit_source<P> const& source, workspace& ws) {
  using A = arithmetic_t<T>;
  std::int64_t const experts = source.weight.outer;
  check_argument(source.weight.experts == 1, "moe_layer", "experts of the logit source", source.weight.experts, "1: one matrix");
  check_argument(source.weight.inner == x.cols(), "moe_layer", "inner size of the logit source", source.weight.inner, "the features");
  check_argument(source.bias.data() == nullptr || source.bias.size() == experts, "moe_layer", "size of the logit bias", source.bias.size(), "the experts");
  matrix_view<A> const logits(frame.template take<A>(x.rows() * experts).data(), x.rows(), experts);
  workspace::frame inner(ws);
  matrix_view<A const> const bias(source.bias.data(), source.bias.data() == nullptr ? 0 : 1, experts);
  grouped_gemm(ex, dense_plan(ex, inner, x.rows()), plan_rows<T>{x}, source.weight, row_sink<A, A>{logits, bias}, ws);
  return as_const(logits);
}

template <class E, class Layer, class L, class W>
void plan_tokens(E const& ex, Layer const& layer, workspace::frame& frame, matrix_view<L const> logits, route::routing_stats_view const& stats,
                 routed_tokens<W>& r, workspace& ws) {
  std::int64_t const tokens = logits.rows(), slots = r.routes.slots();
  r.network = as_const(r.routes.id);
  if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(layer.special)>, all_real>) {
    auto const number = frame.template take<std::int32_t>(logits.cols());
    auto const out = frame.template take<std::int32_t>(tokens * slots);
    for_each(ex, number_real{layer.special.kind, number}, logits.cols());
    for_each(ex, to_networks{as_const(r.routes.id), number, out}, tokens * slots);
    r.network = matrix_view<std::int32_t const>(out.data(), tokens, slots);
  }
  r.plan = take_plan(frame, layout_of(layer.plan), tokens, slots, layer.experts.count());
  make_plan(ex, layer.plan, route::assignment<W const, std::int32_t const>{r.network, as_const(r.routes.weight)}, r.plan, ws);
  if (stats.integers.data() != nullptr) for_each(ex, count_dropped{r.plan, stats.integers.data() + route::detail::stat_dropped}, 1);
  r.weight = as_const(r.routes.weight);
  if (!layer.renormalise) return;
  matrix_view<W> const out(frame.template take<W>(tokens * slots).data(), tokens, slots);
  for_each(ex, renormalise_token<W>{r.plan, as_const(r.routes.id), r.network, r.weight, out}, tokens);
  r.weight = as_const(out);
}

template <class W, class E, class Layer, class L>
routed_tokens<W> route_tokens(E const& ex, Layer const& layer, workspace::frame& frame, matrix_view<L const> logits,
                              route::routing_stats_view const& stats, route::row_mask const& mask, workspace& ws) {
  layer.router.check(logits.cols());
  std::int64_t const tokens = logits.rows(), slots = layer.router.slots(logits.cols());
  routed_tokens<W> r;
  r.routes = {{frame.template take<std::int32_t>(tokens * slots).data(), tokens, slots}, {frame.template take<W>(tokens * slots).data(), tokens, slots}};
  route::assign(ex, layer.router, logits, r.routes, stats, mask, ws);
  plan_tokens(ex, layer, frame, logits, stats, r, ws);
  return r;
}

template <class Layer, class T, class L, class Y>
void check_layer(Layer const& layer, matrix_view<T const> x, matrix_view<L const> logits, matrix_view<Y> y) {
  static constexpr char function[] = "moe_layer";
  check_argument(logits.rows() == x.rows(), function, "rows of the logits", logits.rows(), "the tokens");
  check_argument(y.rows() == x.rows(), function, "rows of out", y.rows(), "the tokens");
  check_apart(function, "tokens and out", x, y);
  std::int64_t const experts = layer.experts.count();
  if constexpr (std::is_same_v<std::remove_cvref_t<decltype(layer.special)>, all_real>) {
    check_argument(logits.cols() == experts, function, "columns of the logits", logits.cols(), "the number of experts");
  } else {
    static_assert(!std::is_same_v<Layer, void>);
    layer.special.check(logits.cols(), x);
    check_argument(y.cols() == x.cols(), function, "columns of out", y.cols(), "the features where experts may be copies");
  }
}

/// The part of shared and special experts, in y itself where its type allows; absent where there is none.
template <class A, class E, class Layer, class T, class Y>
matrix_view<A const> initial_part(E const& ex, Layer const& layer, workspace::frame& frame, routed_tokens<A> const& r, matrix_view<T const> x,
                                  matrix_view<Y> y, workspace& ws) {
  constexpr bool has_shared = !std::is_same_v<std::remove_cvref_t<decltype(layer.shared)>, no_shared>;
  constexpr bool has_special = !std::is_same_v<std::remove_cvref_t<decltype(layer.special)>, all_real>;
  if constexpr (!has_shared && !has_special) {
    return {};
  } else {
    matrix_view<A> part;
    if constexpr (std::is_same_v<A, Y>)
      part = y;
    else
      part = matrix_view<A>(frame.template take<A>(y.rows() * y.cols()).data(), y.rows(), y.cols());
    if constexpr (has_shared) layer.shared.run(ex, x, part, ws);
    if constexpr (has_special) {
      using P = std::remove_const_t<typename decltype(layer.special.vector)::element_type>;
      for_each_token(ex, special_part<T, P, A, A>{layer.special, r.plan, as_const(r.routes.id), r.weight, x, part, has_shared}, x.rows());
    }
    return as_const(part);
  }
}

}  // namespace detail

template <class Router, class Experts, class Combine, class Plan, class Shared, class Special>
template <executor E, matrix_viewable X, class Logits, matrix_viewable Y, class... Options>
void moe_layer<Router, Experts, Combine, Plan, Shared, Special>::operator()(E const& ex, X const& tokens, Logits const& logits, Y&& out,
                                                                           Options&&... options) const {
  auto const x = as_const(as_matrix_view(tokens));
  auto const y = as_matrix_view(out);
  using T = typename std::remove_cv_t<decltype(x)>::value_type;
  using A = arithmetic_t<T>;
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  auto const given = [&]() -> auto {
    if constexpr (matrix_viewable<Logits>)
      return as_const(as_matrix_view(logits));
    else
      return logits;
  }();
  auto const l = detail::logits_of<T>(ex, frame, x, given, ws);
  detail::check_layer(*this, x, l, y);
  auto const stats = route::detail::find_option<route::routing_stats_view>(options...);
  auto const mask = route::detail::find_option<route::row_mask>(options...);
  auto const routed = detail::route_tokens<A>(ex, *this, frame, l, stats, mask, ws);
  auto const init = detail::initial_part<A>(ex, *this, frame, routed, x, y, ws);
  experts.run(ex, combine, routed.plan, x, routed.weight, init, y, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
