#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/activation.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// Weights as a layer keeps them: views by value, packed ones (which own memory) by their address.
template <class Weights>
struct held_weights {
  Weights value{};
  constexpr held_weights() = default;
  constexpr held_weights(Weights const& w) : value(w) {}
  constexpr Weights const& get() const { return value; }
};
template <class T, bool Gated>
struct held_weights<packed_ffn<T, Gated>> {
  packed_ffn<T, Gated> const* value = nullptr;
  constexpr held_weights() = default;
  constexpr held_weights(packed_ffn<T, Gated> const& w) : value(&w) {}
  held_weights(packed_ffn<T, Gated> const&&) = delete;
  packed_ffn<T, Gated> const& get() const {
    check_argument(value != nullptr, "moe_layer", "weights of the experts", "absent", "given");
    return *value;
  }
};

}  // namespace detail

/// Feed-forward networks as the experts of a layer, over ffn_weights (a view) or a packed_ffn (which must outlive this).
template <class Weights, class Activation = glu<silu>>
struct ffn_experts {
  using weights_type = Weights;
  detail::held_weights<Weights> weights{};
  Activation activation{};
  /// Routing weights multiply the tokens before the networks instead of the results.
  bool weigh_input = false;

  std::int64_t count() const { return detail::sizes_of(detail::output_bank(weights.get())).experts; }

  template <class Combine>
  ffn_policy<Activation, Combine> policy(Combine const& combine) const {
    return {activation, combine, weigh_input};
  }

  /// y = combine(init, networks of the rows); `init` may be absent (null data).
  template <executor E, class Combine, class T, class W, class Initial, class Y>
  void run(E const& ex, Combine const& combine, plan_view const& plan, matrix_view<T const> x, matrix_view<W const> weight, matrix_view<Initial const> init,
           matrix_view<Y> y, workspace& ws) const {
    detail::run_ffn(ex, policy(combine), plan, weights.get(), x, weight, init, y, ws);
  }
};
template <class Weights>
ffn_experts(Weights const&) -> ffn_experts<Weights>;
template <class Weights, class A>
ffn_experts(Weights const&, A) -> ffn_experts<Weights, A>;
template <class Weights, class A>
ffn_experts(Weights const&, A, bool) -> ffn_experts<Weights, A>;

/// The usual experts of language models: down(silu(gate(x)) * up(x)).
template <class Weights>
struct swiglu_experts : ffn_experts<Weights> {
  constexpr swiglu_experts() = default;
  constexpr swiglu_experts(Weights const& w) : ffn_experts<Weights>{w} {}
};
template <class Weights>
swiglu_experts(Weights const&) -> swiglu_experts<Weights>;

/// One matrix an expert: z = x W_e (+ b_e), folded by any combine policy.
template <class T, class B = arithmetic_t<std::remove_const_t<T>>>
struct linear_experts {
  weight_bank<T> bank{};
  matrix_view<B const> bias{};

  std::int64_t count() const { return bank.experts; }

  template <executor E, class Combine, class X, class W, class Initial, class Y>
  void run(E const& ex, Combine const& combine, plan_view const& plan, matrix_view<X const> x, matrix_view<W const> weight, matrix_view<Initial const> init,
           matrix_view<Y> y, workspace& ws) const {
    workspace::frame frame(ws);
    std::int64_t const rows = detail::rows_to_hold(ex, plan);
    matrix_view<X> const z(frame.template take<X>(rows * bank.outer).data(), rows, bank.outer);
    grouped_gemm(ex, plan, gathered<X, W>{x, {}}, bank, row_sink<X, B>{z, bias}, ws);
    detail::run_combine(ex, combine, plan, as_const(z), weight, init, y, ws);
  }
};
template <class T>
linear_experts(weight_bank<T> const&) -> linear_experts<T>;

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
