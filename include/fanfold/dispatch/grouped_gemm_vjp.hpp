#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/gemm_task.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/dispatch/weight_bank.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `run_loop` runs for the gradients of weights and of biases.
template <class Source>
struct weight_gradient_loop {
  Source source{};
};
struct bias_gradient_loop {};

namespace detail {

/// Columns of a bin's rows as rows of the left operand, X^T, as they lie: term by term.
template <class Source>
struct bin_columns {
  Source const& source;
  plan_view const& plan;
  std::int64_t first_row, first_column;
  static constexpr bool by_term = true;

  template <class A>
  void fill(std::int64_t columns, std::int64_t first, std::int64_t terms, A* to) const {
    using shape = gemm_shape<A>;
    std::int64_t const tiles = fanfold::detail::divide_up(columns, shape::height);
    for (std::int64_t k = 0; k < terms; ++k) {
      auto const row = source.row(plan, first_row + first + k);
      for (std::int64_t tile = 0, begin = 0; tile < tiles; ++tile) {
        std::int64_t const m = even_split(columns, tiles, tile + 1) - begin;
        A* const out = to + tile * (shape::height * shape::stride) + k * shape::height;
        if (m == shape::height)
          for (std::int64_t i = 0; i < shape::height; ++i) out[i] = element_of<A>(row, first_column + begin + i);
        else
          for (std::int64_t i = 0; i < m; ++i) out[i] = element_of<A>(row, first_column + begin + i);
        begin += m;
      }
    }
  }
};

/// Rows of a bin as the right operand.
template <class Source>
struct bin_blocks {
  Source const& source;
  plan_view const& plan;
  std::int64_t first_row;
  static constexpr bool widens = false;

  template <class A>
  A const* block(std::int64_t panel, std::int64_t first, std::int64_t terms, A* out) const {
    using shape = gemm_shape<A>;
    std::int64_t const columns = source.width(), begin = panel * shape::panel, width = shape::vectors_of(columns, panel) * shape::lanes;
    std::int64_t const n = columns - begin < width ? columns - begin : width;
    for (std::int64_t k = 0; k < terms; ++k) {
      auto const row = source.row(plan, first_row + first + k);
      for (std::int64_t c = 0; c < n; ++c) out[k * width + c] = element_of<A>(row, begin + c);
      for (std::int64_t c = n; c < width; ++c) out[k * width + c] = A(0);
    }
    return out;
  }
  memory_range ahead(std::int64_t, std::int64_t, std::int64_t) const { return {}; }
};

template <class DT>
struct weight_store {
  weight_bank<DT> const& out;
  std::int64_t expert, first;
  static constexpr int panels = 1;

  template <class A>
  void operator()(std::int64_t r, std::int64_t column, std::int64_t n, A const* const* sums) const {
    DT* const to = &out(expert, first + r, column);
    if (out.outer_stride == 1)
      for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<DT>(static_cast<arithmetic_t<DT>>(sums[0][c]));
    else
      for (std::int64_t c = 0; c < n; ++c) to[c * out.outer_stride] = from_arithmetic<DT>(static_cast<arithmetic_t<DT>>(sums[0][c]));
  }
};

template <class T, class A>
struct widened_rows {
  matrix_view<T const> rows;
  FANFOLD_HD fanfold::detail::scaled_row<T, A> operator()(std::int64_t r) const { return {rows.data() + r * rows.stride(), arithmetic_t<T>(1)}; }
};

}  // namespace detail

namespace detail {

/// out_e = L_e^T R_e for rows l and r of every bin; an empty bin has zero terms and writes zeros.
template <class A, host_executor E, class L, class R, class DT>
void multiply_columns(E const& ex, plan_view const& plan, L const& l, R const& r, weight_bank<DT> const& out, workspace& ws) {
  using shape = gemm_shape<A>;
  std::int64_t longest = 0;
  for (std::int64_t e = 0; e < plan.experts(); ++e) longest = plan.kept[e] > longest ? plan.kept[e] : longest;
  gemm_scratch<A> const scratch(longest, 1, true);
  std::int64_t const parts = fanfold::detail::divide_up(out.inner, scratch.rows), units = fanfold::detail::divide_up(out.outer, shape::panel);
  for_each_task(ex, plan.experts() * parts, scratch.bytes(), ws, [&](std::int64_t task, void* memory) {
    std::int64_t const e = task / parts, part = task % parts, begin = even_split(out.inner, parts, part), end = even_split(out.inner, parts, part + 1);
    gemm_scratch<A> mine = scratch;
    mine.blocks = fanfold::detail::divide_up(plan.kept[e], shape::block);
    gemm_task<A>(bin_columns<L>{l, plan, plan.offsets[e], begin}, end - begin, bin_blocks<R>{r, plan, plan.offsets[e]}, plan.kept[e], out.outer, 0, units,
                 weight_store<DT>{out, e, begin}, mine, memory);
  });
}

}  // namespace detail

/// Host form of dW_e = X_e^T dY_e. Where dW is stored transposed, as dY_e^T X_e: the same sums, and stores lie side by side.
template <host_executor E, class Source, class G, class DT>
void run_loop(E const& ex, weight_gradient_loop<Source> const& loop, plan_view const& plan, matrix_view<G const> drows, weight_bank<DT> const& dweights,
              workspace& ws) {
  using A = arithmetic_t<typename Source::value_type>;
  plan_rows<G> const right{drows};
  if (dweights.inner_stride == 1 && dweights.outer_stride != 1)
    detail::multiply_columns<A>(ex, plan, right, loop.source, dweights.transposed(), ws);
  else
    detail::multiply_columns<A>(ex, plan, loop.source, right, dweights, ws);
}

/// Host form of db_e = column sums of dY_e by the row tree.
template <host_executor E, class G, class DB>
void run_loop(E const& ex, bias_gradient_loop, plan_view const& plan, matrix_view<G const> drows, matrix_view<DB> dbias, workspace&) {
  using A = arithmetic_t<G>;
  using R = columnwise<plus<A>>;
  constexpr int width = 64;
  std::int64_t const tiles = fanfold::detail::divide_up(dbias.cols(), width);
  for_each_task(ex, plan.experts() * tiles, [&](std::int64_t task) {
    std::int64_t const e = task / tiles, first = task % tiles * width, begin = plan.offsets[e];
    int const n = dbias.cols() - first < width ? static_cast<int>(dbias.cols() - first) : width;
    DB* const out = dbias.data() + e * dbias.stride() + first;
    if (plan.kept[e] == 0) return detail::zero_row(out, n);
    fanfold::detail::row_state<R, width> s;
    fanfold::detail::fold_row_range(R{}, detail::widened_rows<G, A>{drows}, begin, begin + plan.kept[e], first, n, s);
    fanfold::detail::store_row(R{}, s, out, n);
  });
}

/// dW_e = X_e^T dY_e for every expert, zeros for an empty one. `dweights` is E x inner x outer, any strides.
template <executor E, class Source, matrix_viewable G, class DT, fanfold::detail::call_option... Options>
void grouped_weight_gradient(E const& ex, plan_view const& plan, Source const& source, G const& drows, weight_bank<DT> const& dweights, Options&&... options) {
  auto const g = as_const(as_matrix_view(drows));
  detail::check_plan_shape("grouped_weight_gradient", plan);
  source.check("grouped_weight_gradient", ex, plan);
  check_argument(dweights.experts == plan.experts(), "grouped_weight_gradient", "experts of dweights", dweights.experts, "the plan's experts");
  check_argument(dweights.inner == source.width(), "grouped_weight_gradient", "inner size of dweights", dweights.inner, "the width of the source");
  detail::check_rows("grouped_weight_gradient", "drows", ex, plan, g, dweights.outer);
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, weight_gradient_loop<Source>{source}, plan, g, dweights, ws.get());
}

/// db_e = column sums of dY_e (row tree), zeros for an empty bin. `dbias` is E x outer.
template <executor E, matrix_viewable G, matrix_viewable DB, fanfold::detail::call_option... Options>
void grouped_bias_gradient(E const& ex, plan_view const& plan, G const& drows, DB&& dbias, Options&&... options) {
  auto const g = as_const(as_matrix_view(drows));
  auto const db = as_matrix_view(dbias);
  detail::check_plan_shape("grouped_bias_gradient", plan);
  check_argument(db.rows() == plan.experts(), "grouped_bias_gradient", "dbias.rows()", db.rows(), "the plan's experts");
  detail::check_rows("grouped_bias_gradient", "drows", ex, plan, g, db.cols());
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, bias_gradient_loop{}, plan, g, db, ws.get());
}

/// Gradients of `grouped_gemm` into rows, for `drows` = dL/dY: of the source's rows, dX_e = dY_e W_e^T (plan order; bring them to tokens by
/// gather_vjp), of the weights and of the bias. Absent outputs (null data) are left out.
template <executor E, class Source, class W, matrix_viewable G, matrix_viewable DX, class DT, matrix_viewable DB, fanfold::detail::call_option... Options>
void grouped_gemm_vjp(E const& ex, plan_view const& plan, Source const& source, weight_bank<W> const& weights, G const& drows, DX&& dsource,
                      weight_bank<DT> const& dweights, DB&& dbias, Options&&... options) {
  auto const dx = as_matrix_view(dsource);
  if (dx.data() != nullptr) grouped_gemm(ex, plan, plan_rows{as_const(as_matrix_view(drows))}, weights.transposed(), row_sink{dx}, options...);
  if (dweights.data != nullptr) grouped_weight_gradient(ex, plan, source, drows, dweights, options...);
  if (as_matrix_view(dbias).data() != nullptr) grouped_bias_gradient(ex, plan, drows, dbias, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
