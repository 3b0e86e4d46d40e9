#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/scatter2scatter.hpp"
#include "fanfold/dispatch/weight_bank.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// Rows in bin order from rows an assignment; padding is never read.
template <class T>
struct to_bin_order {
  plan_view plan{};
  matrix_view<T const> from{};
  matrix_view<T> to{};

  template <row_group G>
  FANFOLD_HD void token(G const& g, std::int64_t a) const {
    std::int64_t const row = plan.row_of.data()[a];
    if (row < 0) return;
    for (std::int64_t c = g.rank(); c < to.cols(); c += g.size()) to.data()[row * to.stride() + c] = from.data()[a * from.stride() + c];
  }
};

template <class T, class E>
matrix_view<T const> rows_in_bins(E const&, workspace::frame&, plan_view const&, plan_rows<T> const& g) {
  return g.rows;
}
template <class T, class E>
matrix_view<T const> rows_in_bins(E const& ex, workspace::frame& frame, plan_view const& plan, assignment_rows<T> const& g) {
  std::int64_t const rows = rows_to_hold(ex, plan), cols = g.rows.cols();
  matrix_view<T> const out(frame.template take<T>(rows * cols).data(), rows, cols);
  for_each_token(ex, to_bin_order<T>{plan, g.rows, out}, plan.assignments());
  return as_const(out);
}

template <class Source>
bool weighs_tokens(Source const& source) {
  if constexpr (requires { source.weight; })
    return source.weight.data() != nullptr;
  else
    return false;
}

}  // namespace detail

/// Gradients of `scatter2scatter` for dy = dL/dsink, which stands as the sink did: plan_rows or assignment_rows. With x the source and W the
/// bank: dW_e = X_e^T dY_e (zeros for an expert without rows) and dx = dY W^T in the order of the source: T x inner for a gathered source
/// (slots are summed in order; with weights also `dweight`, T x K), (T K) x inner for assignment_rows, bin order for plan_rows. Absent outputs
/// (null data) are left out; rows of dropped and unused slots become 0, padding rows of bin order stay as they are.
template <executor E, class Source, class W, class DY, matrix_viewable DX, matrix_viewable DWeight, class DT, fanfold::detail::call_option... Options>
void scatter2scatter_vjp(E const& ex, plan_view const& plan, Source const& source, weight_bank<W> const& weights, DY const& dy, DX&& dsource,
                         DWeight&& dweight, weight_bank<DT> const& dweights, Options&&... options) {
  static constexpr char function[] = "scatter2scatter_vjp";
  using G = typename DY::value_type;
  using A = arithmetic_t<G>;
  auto const dx = as_matrix_view(dsource);
  detail::check_plan_shape(function, plan);
  source.check(function, ex, plan);
  dy.check(function, ex, plan);
  check_argument(dy.width() == weights.outer, function, "columns of dy", dy.width(), "the outer size of the bank");
  check_argument(source.width() == weights.inner, function, "width of the source", source.width(), "the inner size of the bank");
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace& ws = scratch.get();
  workspace::frame frame(ws);
  auto const g = detail::rows_in_bins(ex, frame, plan, dy);
  if (dweights.data != nullptr) grouped_weight_gradient(ex, plan, source, g, dweights, ws);
  bool const weighted = detail::weighs_tokens(source) && as_matrix_view(dweight).data() != nullptr;
  if (dx.data() == nullptr && !weighted) return;
  weight_bank<W const> const back = weight_bank<W const>(weights).transposed();
  if constexpr (requires { source.tokens; }) {
    check_argument(dx.data() != nullptr, function, "gradient of the tokens", "null", "given where those of the weights are");
    std::int64_t const rows = detail::rows_to_hold(ex, plan);
    matrix_view<A> const drows(frame.template take<A>(rows * weights.inner).data(), rows, weights.inner);
    grouped_gemm(ex, plan, plan_rows<G>{g}, back, row_sink{drows}, ws);
    if (!detail::weighs_tokens(source))
      gather_vjp(ex, unscaled{}, plan, drows, dx, ws);
    else
      gather_vjp(ex, scaled{source.weight}, plan, source.tokens, drows, dx, dweight, ws);
  } else if constexpr (requires { requires std::is_same_v<Source, assignment_rows<typename Source::value_type>>; }) {
    scatter2scatter(ex, plan, plan_rows<G>{g}, back, assignment_sink{dx}, ws);
  } else {
    grouped_gemm(ex, plan, plan_rows<G>{g}, back, row_sink{dx}, ws);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
