#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/grouped_gemm.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/segmented_fold.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// Tiles of dW_e = X_e^T dY_e for every expert, also those without rows, whose sums are zero. Terms are the bin's rows in order, so that
/// every element is one chain over them.
template <class Source, class G, class DT>
struct weight_gradient_body {
  using T = typename Source::value_type;
  using A = arithmetic_t<T>;
  using shared = tile_operands<A, 1>;

  Source source;
  plan_view plan;
  matrix_view<G const> drows;
  weight_bank<DT> out;
  bool scaled;

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, std::int64_t row_tiles, std::int64_t column_tiles) const {
    std::int64_t const rows = tile_rows(b.threads()), each = row_tiles * column_tiles;
    for (std::int64_t tile = b.index(); tile < plan.experts() * each; tile += b.blocks()) {
      std::int64_t const e = tile / each, place = tile - e * each;
      run_tile(b, s, e, place / column_tiles * rows, place % column_tiles * tile_columns, rows);
    }
  }

 private:
  template <class B>
  FANFOLD_HD void run_tile(B& b, shared& s, std::int64_t e, std::int64_t row, std::int64_t column, std::int64_t rows) const {
    std::int64_t const my_row = b.thread() / 16 * 4, my_column = b.thread() % 16 * 4;
    std::int64_t const kept = plan.kept.data()[e], first = plan.offsets.data()[e];
    tile_sums<A, 1> sums;
    sums.clear();
    for (std::int64_t k = 0; k < kept; k += tile_terms) {
      std::int64_t const terms = kept - k < tile_terms ? kept - k : tile_terms;
      load_left(b, s, first + k, terms, row, rows);
      load_right(b, s, first + k, terms, column);
      b.sync();
      sums.add(s, terms, my_row, my_column);
      b.sync();
    }
    bool const packs = out.outer_stride == 1 && column + my_column + 4 <= out.outer && is_pack_aligned<4>(out.data) && out.inner_stride % 4 == 0 && out.expert_stride % 4 == 0;
#if FANFOLD_ON_DEVICE
#pragma unroll  // else the sums, indexed at run time, would leave their registers
#endif
    for (int i = 0; i < 4; ++i) {
      if (row + my_row + i >= out.inner) continue;
      DT* const to = &out(e, row + my_row + i, column + my_column);
      pack<DT, 4> x;
      for (int j = 0; j < 4; ++j) x.item[j] = from_arithmetic<DT>(static_cast<arithmetic_t<DT>>(sums.sum[0][i][j]));
      if (packs) {
        store_pack<4>(to, x);
      } else {
#if FANFOLD_ON_DEVICE
#pragma unroll
#endif
        for (int j = 0; j < 4; ++j)
          if (column + my_column + j < out.outer) to[j * out.outer_stride] = x.item[j];
      }
    }
  }

  FANFOLD_HD A widened(T x, A factor) const { return scaled ? to_arithmetic(from_arithmetic<T>(factor * to_arithmetic(x))) : to_arithmetic(x); }

  /// left(term, i) = x(row first + term, column row + i).
  template <class B>
  FANFOLD_HD void load_left(B& b, shared& s, std::int64_t first, std::int64_t terms, std::int64_t row, std::int64_t rows) const {
    constexpr int V = widest_pack<T> < 4 ? widest_pack<T> : 4;  // tiles may be only 8 rows high
    std::int64_t const packs = rows / V;
    for (std::int64_t i = b.thread(); i < terms * packs; i += b.threads()) {
      std::int64_t const t = i / packs, c = (i - t * packs) * V, there = out.inner - row - c;
      auto const from = source.row(plan, first + t);
      T const* const x = from.data + row + c;
      if (there >= V && is_pack_aligned<V>(x)) {
        pack<T, V> const p = load_pack<V>(x);
        for (int v = 0; v < V; ++v) s.left[t * s.left_stride + c + v] = widened(p.item[v], from.factor);
      } else {
        for (int v = 0; v < V; ++v) s.left[t * s.left_stride + c + v] = v < there ? widened(x[v], from.factor) : A(0);
      }
    }
  }

  template <class B>
  FANFOLD_HD void load_right(B& b, shared& s, std::int64_t first, std::int64_t terms, std::int64_t column) const {
    constexpr int V = widest_pack<G>, packs = tile_columns / V;
    for (std::int64_t i = b.thread(); i < terms * packs; i += b.threads()) {
      std::int64_t const t = i / packs, c = i % packs * V;
      load_run<V>(drows.data() + (first + t) * drows.stride() + column + c, out.outer - column - c, s.right.data() + t * tile_columns + c, 1);
    }
  }
};

/// ids[i] = the i-th row that is no padding; first[e] of them come before expert e.
struct kept_rows_body {
  plan_view plan;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::int64_t const> first, view<std::int32_t> ids) const {
    std::int64_t const used = plan.offsets.data()[plan.experts()];
    for (std::int64_t r = grid_thread(b); r < used; r += grid_threads(b)) {
      if (plan.src_of.data()[r] < 0) continue;
      std::int64_t const e = expert_of_row(plan, r);
      ids.data()[first.data()[e] + r - plan.offsets.data()[e]] = static_cast<std::int32_t>(r);
    }
  }
};

}  // namespace detail

/// Bytes that the gradient of a bank moves on a device with `row_tiles` = inner / 64 (at 256 threads) and `column_tiles` = outer / 64; the least
/// has both 1.
constexpr std::int64_t weight_gradient_traffic(std::int64_t rows, std::int64_t experts, std::int64_t inner, std::int64_t outer, std::int64_t row_tiles,
                                               std::int64_t column_tiles, std::int64_t row_size, std::int64_t drow_size, std::int64_t weight_size) {
  return rows * (inner * row_size * column_tiles + outer * drow_size * row_tiles) + experts * inner * outer * weight_size;
}

/// Device form of the weights' gradients: one launch over tiles, whose number does not depend on the counts.
template <device_executor E, class Source, class G, class DT>
void run_loop(E const& ex, weight_gradient_loop<Source> const& loop, plan_view const& plan, matrix_view<G const> drows, weight_bank<DT> const& dweights,
              workspace&) {
  if (dweights.experts == 0 || dweights.inner == 0 || dweights.outer == 0) return;
  using body = detail::weight_gradient_body<Source, G, DT>;
  unsigned const threads = threads_for<body>(ex);
  std::int64_t const row_tiles = fanfold::detail::divide_up(dweights.inner, detail::tile_rows(threads));
  std::int64_t const column_tiles = fanfold::detail::divide_up(dweights.outer, std::int64_t{detail::tile_columns});
  ex.launch(body{loop.source, plan, drows, dweights, detail::scales_rows(loop.source)}, blocks_for(ex, plan.experts() * row_tiles * column_tiles, 1, threads),
            threads, row_tiles, column_tiles);
}

/// Device form of the biases' gradients: the rows of each bin by the device's segmented fold.
template <device_executor E, class G, class DB>
void run_loop(E const& ex, bias_gradient_loop, plan_view const& plan, matrix_view<G const> drows, matrix_view<DB> dbias, workspace& ws) {
  if (dbias.empty()) return;
  using R = columnwise<plus<arithmetic_t<G>>>;
  workspace::frame frame(ws);
  auto const first = frame.take<std::int64_t>(plan.experts() + 1);
  auto const ids = frame.take<std::int32_t>(plan.assignments());
  ex.launch(detail::row_tiles_body{}, 1, threads_for<detail::row_tiles_body>(ex), as_const(plan.kept), std::int64_t{1}, first);
  unsigned const threads = threads_for<detail::kept_rows_body>(ex);
  ex.launch(detail::kept_rows_body{plan}, blocks_for(ex, plan.row_bound(), threads, threads), threads, as_const(first), ids);
  using rows = source_rows<G>;
  run_loop(ex, segmented_loop<R, rows, empty_policy::answer_t>{R{}, rows{drows}, {}}, as_const(first), as_const(ids), dbias, order::fixed, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
