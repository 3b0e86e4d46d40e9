#pragma once

#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/fold/tree.hpp"

// Dense layers y = W x + b over the rows of a batch, W stored [out, in], as grouped products of one bin.
namespace fanfold::inline FANFOLD_ABI::aggregate::detail {

/// The plan of one bin that holds all rows.
class single_bin {
 public:
  explicit single_bin(std::int64_t rows) : offsets_{0, rows}, count_{static_cast<std::int32_t>(rows)} {
    check_argument(rows <= most_rows, "grouped_gemm", "rows", rows, "at most 2^31 - 1");
  }
  dispatch::plan_view plan() { return {offsets_, count_, count_, {}, {}, 0, 0, false}; }

 private:
  std::int64_t offsets_[2];
  std::int32_t count_[1];
};

template <class A>
struct dense_weights {
  A const* weight = nullptr;  ///< [out, in]
  A const* bias = nullptr;    ///< [out], or none
  std::int64_t out = 0, in = 0;

  dispatch::weight_bank<A const> forward() const { return dispatch::weight_bank<A const>(weight, 1, out, in).transposed(); }
  dispatch::weight_bank<A const> backward() const { return {weight, 1, out, in}; }
};

/// y = x W^T + b
template <host_executor E, class A>
void dense_layer(E const& ex, dense_weights<A> const& w, matrix_view<A const> x, matrix_view<A> y, workspace& ws) {
  single_bin bin(x.rows());
  dispatch::grouped_gemm(ex, bin.plan(), dispatch::plan_rows<A>{x}, w.forward(), dispatch::row_sink<A>{y, {w.bias, 1, w.out}}, ws);
}

/// dx = g W; left out where dx is null.
template <host_executor E, class A>
void dense_layer_inputs(E const& ex, dense_weights<A> const& w, matrix_view<A const> g, matrix_view<A> dx, workspace& ws) {
  single_bin bin(g.rows());
  dispatch::grouped_gemm(ex, bin.plan(), dispatch::plan_rows<A>{g}, w.backward(), dispatch::row_sink<A>{dx}, ws);
}

/// dW = g^T x and db = column sums of g.
template <host_executor E, class A>
void dense_layer_parameters(E const& ex, matrix_view<A const> x, matrix_view<A const> g, A* dweight, A* dbias, workspace& ws) {
  single_bin bin(x.rows());
  auto const dw = dispatch::weight_bank<A>(dweight, 1, g.cols(), x.cols()).transposed();
  dispatch::grouped_weight_gradient(ex, bin.plan(), dispatch::plan_rows<A>{x}, g, dw, ws);
  if (dbias != nullptr) dispatch::grouped_bias_gradient(ex, bin.plan(), g, matrix_view<A>(dbias, 1, g.cols()), ws);
}

/// f(r) for every row, rows in chunks of about equal work that threads take.
template <host_executor E, class F>
void for_each_row(E const& ex, std::int64_t rows, std::int64_t work_of_a_row, F const& f) {
  std::int64_t const step = work_of_a_row >= 16384 ? 1 : 16384 / (work_of_a_row < 1 ? 1 : work_of_a_row);
  for_each_task(ex, fanfold::detail::divide_up(rows, step), [&](std::int64_t task) {
    std::int64_t const end = (task + 1) * step < rows ? (task + 1) * step : rows;
    for (std::int64_t r = task * step; r < end; ++r) f(r);
  });
}

template <class A>
matrix_view<A> take_matrix(workspace::frame& frame, std::int64_t rows, std::int64_t cols) {
  return {frame.take<A>(rows * cols).data(), rows, cols};
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate::detail
