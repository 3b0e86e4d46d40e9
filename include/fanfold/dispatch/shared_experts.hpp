#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/dense_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/experts.hpp"
#include "fanfold/dispatch/special_experts.hpp"
#include "fanfold/fold/row_group.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// out(t, 0) = sigmoid(<gate, x[t, :]>).
template <class T, class P, class W>
struct shared_gate {
  matrix_view<T const> x{};
  view<P const> gate{};
  matrix_view<W> out{};

  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t t) const {
    W const dot = g.fold(plus<W>{}, x.cols(), feature_product<T, P, W>{x.data() + t * x.stride(), gate.data()});
    if (g.rank() == 0) out.data()[t * out.stride()] = math::sigmoid(dot);
  }
};

}  // namespace detail

/// A layer without shared experts.
struct no_shared {};

/// Networks that every token passes, added to what the chosen experts give; `experts.count()` is 1 (several shared ones are one network of
/// their joint width). With `gate` (one number a feature) the result is multiplied by sigmoid(<gate, x>) (Qwen2-MoE).
template <class Experts, class P = float>
struct shared_experts {
  Experts experts{};
  view<P const> gate{};

  template <executor E, class T, class A>
  void run(E const& ex, matrix_view<T const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    plan_view const plan = dense_plan(ex, frame, x.rows());
    auto const weight = gate_of(ex, frame, x);
    experts.run(ex, weighted_sum{}, plan, x, as_const(weight), matrix_view<A const>(), y, ws);
  }

  /// sigmoid(<gate, x>), T x 1; absent without a gate.
  template <executor E, class T>
  matrix_view<arithmetic_t<T>> gate_of(E const& ex, workspace::frame& frame, matrix_view<T const> x) const {
    using W = arithmetic_t<T>;
    check_argument(experts.count() == 1, "moe_layer", "number of shared networks", experts.count(), "1: several are one of their joint width");
    if (gate.data() == nullptr) return {};
    check_argument(gate.size() == x.cols(), "moe_layer", "size of the shared gate", gate.size(), "the features");
    matrix_view<W> const out(frame.template take<W>(x.rows()).data(), x.rows(), 1);
    for_each_token(ex, detail::shared_gate<T, P, W>{x, gate, out}, x.rows(), 64);
    return out;
  }
};
template <class X>
shared_experts(X const&) -> shared_experts<X>;
template <class X, viewable G>
shared_experts(X const&, G const&) -> shared_experts<X, std::remove_const_t<typename std::remove_cvref_t<decltype(as_view(std::declval<G const&>()))>::value_type>>;

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
