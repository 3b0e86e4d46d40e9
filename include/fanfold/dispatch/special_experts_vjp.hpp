#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/dispatch/special_experts.hpp"

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

  void operator()(std::int64_t t) const {
    for (std::int64_t s = 0; s < id.cols(); ++s) {
      std::int32_t const e = id(t, s);
      constant[t * id.cols() + s] = -1;
      if (e < 0) continue;
      if (special.kind[e] == route::expert_kind::null) dweight(t, s) = A(0);
      if (special.kind[e] == route::expert_kind::copy) copy_slot(t, s);
      if (special.kind[e] == route::expert_kind::constant) constant_slot(t, s, e);
    }
  }

 private:
  static A number(auto const& v) { return static_cast<A>(to_arithmetic(v)); }

  void copy_slot(std::int64_t t, std::int64_t s) const {
    T const* const from = x.data() + t * x.stride();
    G const* const g = dy.data() + t * dy.stride();
    dweight(t, s) = host_lane{}.fold(plus<A>{}, x.cols(), feature_product<T, G, A>{from, g});
    for (std::int64_t c = 0; c < x.cols(); ++c) dx(t, c) += weight(t, s) * number(g[c]);
  }

  void constant_slot(std::int64_t t, std::int64_t s, std::int32_t e) const {
    host_lane const lane;
    T const* const from = x.data() + t * x.stride();
    G const* const g = dy.data() + t * dy.stride();
    P const* const v = special.vector.data() + e * special.vector.stride();
    auto const mix = mix_of<A>(lane, special, e, from, x.cols());
    A const with_x = lane.fold(plus<A>{}, x.cols(), feature_product<T, G, A>{from, g});
    A const with_v = lane.fold(plus<A>{}, x.cols(), feature_product<P, G, A>{v, g});
    A const w = weight(t, s);
    A const dot = mix.token * with_x + mix.vector * with_v;
    A const dq = special.gate.data() == nullptr ? A(0) : w * mix.token * (with_x - dot);  // of the first row; the second has its negative
    dweight(t, s) = dot;
    vector_factor(t, s) = w * mix.vector;
    gate_factor(t, s) = dq;
    constant[t * id.cols() + s] = e;
    for (std::int64_t c = 0; c < x.cols(); ++c) dx(t, c) += w * mix.token * number(g[c]);
    if (special.gate.data() == nullptr) return;
    P const* const row = special.gate.data() + 2 * e * special.gate.stride();
    for (std::int64_t c = 0; c < x.cols(); ++c) dx(t, c) += dq * (number(row[c]) - number(row[special.gate.stride() + c]));
  }
};

template <class P>
struct gate_rows {
  matrix_view<P> gate{};
  void operator()(std::int64_t e) const {
    for (std::int64_t c = 0; c < gate.cols(); ++c) gate(2 * e + 1, c) = from_arithmetic<P>(-to_arithmetic(gate(2 * e, c)));
  }
};

/// Adds to dx and dweight. Gradients of vectors and gates are column sums over the rows of a plan of the constant slots.
template <host_executor E, class P, class A, class T, class G>
void special_vjp(E const& ex, special_experts<P> const& special, plan_view const& networks, matrix_view<std::int32_t const> id, matrix_view<A const> weight,
                 matrix_view<T const> x, matrix_view<G const> dy, matrix_view<A> dx, matrix_view<A> dweight, auto const& gradients, workspace& ws) {
  std::int64_t const tokens = x.rows(), slots = networks.slots, experts = special.kind.size();
  workspace::frame frame(ws);
  auto const take = [&] { return matrix_view<A>(frame.template take<A>(tokens * slots).data(), tokens, slots); };
  auto const vector_factor = take(), gate_factor = take();
  auto const constant = frame.template take<std::int32_t>(tokens * slots);
  for_each(ex, special_token_vjp<T, P, A, G>{special, id, weight, x, dy, dx, dweight, vector_factor, gate_factor, constant}, tokens, 16);
  if constexpr (requires { gradients.vector; }) {
    plan_view const plan = take_plan(frame, packed{}, tokens, slots, experts);
    matrix_view<std::int32_t const> const ids(constant.data(), tokens, slots);
    make_plan(ex, packed{}, route::assignment<A const, std::int32_t const>{ids, {}}, plan, ws);
    matrix_view<A> const rows(frame.template take<A>(plan.rows() * x.cols()).data(), plan.rows(), x.cols());
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
