#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/dispatch/special_experts.hpp"
#include "fanfold/fold/row_group.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Gradients of special_experts (shapes as there); absent ones are left out. Rows of experts that are not constant become 0.
template <class P>
struct special_gradients {
  matrix_view<P> vector{};
  matrix_view<P> gate{};
};

namespace detail {

/// A token's part: adds to dx, writes dweight of its special slots, and for each constant slot the factors with which dy and x enter the
/// gradients of its vector and of the two rows of its gate.
template <class T, class P, class A, class G>
struct special_token_vjp {
  special_experts<P> special{};
  matrix_view<std::int32_t const> id{};
  matrix_view<A const> weight{};
  matrix_view<T const> x{};
  matrix_view<G const> dy{};
  matrix_view<A> dx{};
  matrix_view<A> dweight{};
  matrix_view<A> vector_factor{}, gate_factor{};
  view<std::int32_t> constant{};  // ids of constant experts, -1 elsewhere

  template <row_group Lanes>
  FANFOLD_HD void token(Lanes const& lanes, std::int64_t t) const {
    for (std::int64_t s = 0; s < id.cols(); ++s) {
      std::int32_t const e = id.data()[t * id.stride() + s];
      bool const inside = e >= 0 && e < special.kind.size();
      route::expert_kind const kind = inside ? special.kind.data()[e] : route::expert_kind::real;
      if (lanes.rank() == 0) constant.data()[t * id.cols() + s] = kind == route::expert_kind::constant ? e : -1;
      if (kind == route::expert_kind::null && lanes.rank() == 0) dweight.data()[t * dweight.stride() + s] = A(0);
      if (kind == route::expert_kind::copy) copy_slot(lanes, t, s);
      if (kind == route::expert_kind::constant) constant_slot(lanes, t, s, e);
    }
  }

 private:
  template <class V>
  FANFOLD_HD static A number(V const& v) {
    return static_cast<A>(to_arithmetic(v));
  }
  FANFOLD_HD T const* token_at(std::int64_t t) const { return x.data() + t * x.stride(); }
  FANFOLD_HD G const* gradient_at(std::int64_t t) const { return dy.data() + t * dy.stride(); }
  FANFOLD_HD A weight_of(std::int64_t t, std::int64_t s) const { return weight.data()[t * weight.stride() + s]; }

  template <class Lanes>
  FANFOLD_HD void copy_slot(Lanes const& lanes, std::int64_t t, std::int64_t s) const {
    G const* const g = gradient_at(t);
    A* const d = dx.data() + t * dx.stride();
    A const dot = lanes.fold(plus<A>{}, x.cols(), feature_product<T, G, A>{token_at(t), g}), w = weight_of(t, s);
    if (lanes.rank() == 0) dweight.data()[t * dweight.stride() + s] = dot;
    for (std::int64_t c = lanes.rank(); c < x.cols(); c += lanes.size()) d[c] = d[c] + w * number(g[c]);
  }

  template <class Lanes>
  FANFOLD_HD void constant_slot(Lanes const& lanes, std::int64_t t, std::int64_t s, std::int32_t e) const {
    T const* const from = token_at(t);
    G const* const g = gradient_at(t);
    A* const d = dx.data() + t * dx.stride();
    P const* const v = special.vector.data() + e * special.vector.stride();
    auto const mix = mix_of<A>(lanes, special, e, from, x.cols());
    A const with_x = lanes.fold(plus<A>{}, x.cols(), feature_product<T, G, A>{from, g});
    A const with_v = lanes.fold(plus<A>{}, x.cols(), feature_product<P, G, A>{v, g});
    A const w = weight_of(t, s);
    A const dot = mix.token * with_x + mix.vector * with_v;
    A const dq = special.gate.data() == nullptr ? A(0) : w * mix.token * (with_x - dot);  // of the first row; the second has its negative
    if (lanes.rank() == 0) {
      dweight.data()[t * dweight.stride() + s] = dot;
      vector_factor.data()[t * vector_factor.stride() + s] = w * mix.vector;
      gate_factor.data()[t * gate_factor.stride() + s] = dq;
    }
    A const token_factor = w * mix.token;
    for (std::int64_t c = lanes.rank(); c < x.cols(); c += lanes.size()) d[c] = d[c] + token_factor * number(g[c]);
    if (special.gate.data() == nullptr) return;
    P const* const row = special.gate.data() + 2 * e * special.gate.stride();
    for (std::int64_t c = lanes.rank(); c < x.cols(); c += lanes.size()) d[c] = d[c] + dq * (number(row[c]) - number(row[special.gate.stride() + c]));
  }
};

template <class P>
struct gate_rows {
  matrix_view<P> gate{};
  FANFOLD_HD void operator()(std::int64_t e) const {
    P* const row = gate.data() + 2 * e * gate.stride();
    for (std::int64_t c = 0; c < gate.cols(); ++c) row[gate.stride() + c] = from_arithmetic<P>(-to_arithmetic(row[c]));
  }
};

/// Adds to dx and dweight. Gradients of vectors and gates are column sums over the rows of a plan of the constant slots.
template <executor E, class P, class A, class T, class G, class Gradients>
void special_vjp(E const& ex, special_experts<P> const& special, plan_view const& networks, matrix_view<std::int32_t const> id, matrix_view<A const> weight,
                 matrix_view<T const> x, matrix_view<G const> dy, matrix_view<A> dx, matrix_view<A> dweight, Gradients const& gradients, workspace& ws) {
  std::int64_t const tokens = x.rows(), slots = networks.slots, experts = special.kind.size();
  workspace::frame frame(ws);
  auto const take = [&] { return matrix_view<A>(frame.template take<A>(tokens * slots).data(), tokens, slots); };
  auto const vector_factor = take(), gate_factor = take();
  auto const constant = frame.template take<std::int32_t>(tokens * slots);
  for_each_token(ex, special_token_vjp<T, P, A, G>{special, id, weight, x, dy, dx, dweight, vector_factor, gate_factor, constant}, tokens);
  if constexpr (requires { gradients.vector; }) {
    plan_view const plan = take_plan(frame, packed{}, tokens, slots, experts);
    matrix_view<std::int32_t const> const ids(constant.data(), tokens, slots);
    make_plan(ex, packed{}, route::assignment<A const, std::int32_t const>{ids, {}}, plan, ws);
    std::int64_t const held = rows_to_hold(ex, plan);
    matrix_view<A> const rows(frame.template take<A>(held * x.cols()).data(), held, x.cols());
    if (gradients.vector.data() != nullptr) {
      gather(ex, scaled<A>{as_const(vector_factor)}, plan, dy, rows, ws);
      grouped_bias_gradient(ex, plan, rows, gradients.vector, ws);
    }
    if (gradients.gate.data() != nullptr) {
      gather(ex, scaled<A>{as_const(gate_factor)}, plan, x, rows, ws);
      using DP = std::remove_const_t<typename decltype(gradients.gate)::element_type>;
      matrix_view<DP> const first(gradients.gate.data(), experts, x.cols(), 2 * gradients.gate.stride());
      grouped_bias_gradient(ex, plan, rows, first, ws);
      for_each(ex, gate_rows<DP>{gradients.gate}, experts);
    }
  }
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
