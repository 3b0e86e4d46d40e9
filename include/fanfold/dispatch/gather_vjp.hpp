#pragma once

#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/row_dot.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `run_loop` runs for the weights of `gather_vjp`.
struct assignment_dots_loop {};

/// Host form: dweight(t, s) = <x[t, :], drows[row, :]>, 0 where the slot is not kept.
template <host_executor E, class T, class G, class DW>
void run_loop(E const& ex, assignment_dots_loop, plan_view const& plan, matrix_view<T const> x, matrix_view<G const> drows, matrix_view<DW> dweight,
              workspace&) {
  using A = arithmetic_t<T>;
  std::int64_t const step = detail::tokens_a_task(x.cols() * (plan.slots + 1), sizeof(T));
  for_each_task(ex, fanfold::detail::divide_up(plan.tokens, step), [&](std::int64_t task) {
    std::int64_t const end = (task + 1) * step < plan.tokens ? (task + 1) * step : plan.tokens;
    for (std::int64_t t = task * step; t < end; ++t)
      for (std::int64_t s = 0; s < plan.slots; ++s) {
        std::int64_t const row = plan.row_of.data()[t * plan.slots + s];
        A const dot = row < 0 ? A(0) : detail::row_dot<A>(x.data() + t * x.stride(), drows.data() + row * drows.stride(), x.cols());
        dweight(t, s) = from_arithmetic<DW>(static_cast<arithmetic_t<DW>>(dot));
      }
  });
}

/// Gradient of `gather`: `dx[t, :] = sum over kept slots, in slot order, of drows[row, :]`.
template <executor E, matrix_viewable DRows, matrix_viewable DX, fanfold::detail::call_option... Options>
void gather_vjp(E const& ex, unscaled, plan_view const& plan, DRows const& drows, DX&& dx, Options&&... options) {
  using element = typename std::remove_cvref_t<decltype(as_matrix_view(drows))>::value_type;
  using A = arithmetic_t<element>;
  fold_combine(ex, combine_policy<plus<A>, ignore_weight>{}, plan, drows, matrix_view<A const>(), dx, options...);
}

/// Gradients of `gather` with weights: `dx[t, :] = sum over kept slots of w drows[row, :]`, `dweight(t, s) = <x[t, :], drows[row, :]>`,
/// 0 for dropped and unused slots.
template <executor E, class W, matrix_viewable X, matrix_viewable DRows, matrix_viewable DX, matrix_viewable DW,
          fanfold::detail::call_option... Options>
void gather_vjp(E const& ex, scaled<W> const& scale, plan_view const& plan, X const& x, DRows const& drows, DX&& dx, DW&& dweight,
                Options&&... options) {
  auto const from = as_const(as_matrix_view(x));
  auto const g = as_const(as_matrix_view(drows));
  auto const dw = as_matrix_view(dweight);
  detail::check_plan_shape("gather_vjp", plan);
  detail::check_tokens("gather_vjp", "x", plan, from, from.cols());
  detail::check_rows("gather_vjp", "drows", ex, plan, g, from.cols());
  detail::check_tokens("gather_vjp", "dweight", plan, dw, plan.slots);
  fold_combine(ex, weighted_sum{}, plan, g, scale.weight, dx, options...);
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, assignment_dots_loop{}, plan, from, g, dw, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
