#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/ragged_select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// The gradient of a router's learned factors, `weight.scale.expert` (BlockFFN's gamma, MoGE's router scale): writes
///   dscale[e] = weight.scale.all * sum over the slots that hold e of dweight * (the weight before its scale),
/// for the ids of `forward`, which may be recorded ones. Rows add in the canonical order of row folds, in double. Options: row_mask,
/// workspace. Host executors.
/// \throws argument_error before any write for shapes that do not match.
template <host_executor E, class S, class Q, class N, class A, matrix_viewable X, class W, matrix_viewable Y, detail::route_option... Options>
void weight_scale_vjp(E const& ex, token_choice<S, Q, N, A> const& router, X const& x, assignment<W, std::int32_t> const& forward, Y const& y,
                      view<double> dscale, Options&&... options) {
  static constexpr char function[] = "route::weight_scale_vjp";
  auto const logits = as_const(as_matrix_view(x));
  auto const dweight = as_const(as_matrix_view(y));
  using R = arithmetic_t<typename decltype(as_matrix_view(x))::element_type>;
  std::int64_t const rows = logits.rows(), slots = forward.slots();
  check_argument(dscale.size() == logits.cols(), function, "size of dscale", dscale.size(), "the number of experts");
  check_argument(forward.rows() == rows, function, "rows of the ids", forward.rows(), "the rows of the logits");
  check_argument(dweight.rows() == rows && dweight.cols() == slots, function, "shape of dweight", dweight.cols(), "the shape of the ids");
  token_choice<S, replay, N, A> bare{router.score, {as_const(forward.id)}, router.weight, router.adjust, nan_policy::lowest, router.on_degenerate};
  bare.weight.scale = {};
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  matrix_view<std::int32_t> const id(frame.take<std::int32_t>(rows * slots).data(), rows, slots);
  matrix_view<R> const weight(frame.take<R>(rows * slots).data(), rows, slots);
  assign(ex, bare, logits, assignment<R>{id, weight}, detail::find_option<row_mask>(options...), ws);
  double const all = static_cast<double>(router.weight.scale.all);
  detail::sum_over_rows(ex, rows, dscale.size(), ws, dscale.data(), [&](std::int64_t t, double* sum) {
    for (std::int64_t j = 0; j < slots; ++j)
      if (id(t, j) >= 0) sum[id(t, j)] += all * static_cast<double>(to_arithmetic(dweight(t, j))) * static_cast<double>(weight(t, j));
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::route
