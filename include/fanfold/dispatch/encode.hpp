#pragma once

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"

// Fast encode and decode (Tutel, Hwang et al., 2022): gather and weighted sum with a plan of the `capacity` layout, whose rows are the E x C
// buffer. Equal to the one-hot products sec,sm->ecm and sec,ecm->sm in O(T K D) instead of O(T E C D).
namespace fanfold::inline FANFOLD_ABI::dispatch {

/// buffer[e * C + c, :] = the token in slot c of expert e, 0 where there is none.
template <executor E, matrix_viewable X, matrix_viewable Buffer, fanfold::detail::call_option... Options>
void encode(E const& ex, plan_view const& plan, X const& x, Buffer&& buffer, Options&&... options) {
  gather(ex, plan, x, buffer, options...);
}

/// y[t, :] = sum over the kept slots of w(t, s) buffer[row, :]; 0 for a token all of whose slots were dropped.
template <executor E, matrix_viewable Buffer, matrix_viewable W, matrix_viewable Y, fanfold::detail::call_option... Options>
void decode(E const& ex, plan_view const& plan, Buffer const& buffer, W const& weight, Y&& y, Options&&... options) {
  fold_combine(ex, weighted_sum{}, plan, buffer, weight, y, options...);
}

/// Gradients of `decode`: of the buffer, and dweight(t, s) = <buffer[row, :], dy[t, :]>, 0 for dropped slots.
template <executor E, matrix_viewable Buffer, matrix_viewable W, matrix_viewable G, matrix_viewable DBuffer, matrix_viewable DW,
          fanfold::detail::call_option... Options>
void decode_vjp(E const& ex, plan_view const& plan, Buffer const& buffer, W const& weight, G const& dy, DBuffer&& dbuffer, DW&& dweight, Options&&... options) {
  fold_combine_vjp(ex, weighted_sum{}, plan, buffer, weight, dy, dbuffer, dweight, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
