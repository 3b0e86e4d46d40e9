#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/product.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/soft_moe.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// z = scale sum + noise, to the combine weights and, transposed, to the columns; -infinity in the columns of masked tokens.
template <class R>
struct store_mixing {
  using number = R;
  R scale;
  row_mask mask;
  matrix_view<R const> noise;
  matrix_view<R> combine;
  view<R> column;

  FANFOLD_HD void operator()(std::int64_t t, std::int64_t j, R sum) const {
    R const z = scale * sum + (noise.data() == nullptr ? R(0) : noise.data()[t * noise.stride() + j]);
    combine.data()[t * combine.stride() + j] = z;
    column.data()[j * combine.rows() + t] = mask.keeps(t) ? z : -math::infinity<R>();
  }
};

/// A warp a token: softmax over its slots, 0 where it is masked.
struct combine_softmax_body {
  row_mask mask;

  template <block B, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<R> combine) const {
    warp_lanes<B> const g(b);
    std::int64_t const n = combine.cols();
    for (std::int64_t t = grid_warp(b); t < combine.rows(); t += grid_warps(b)) {
      R* const z = combine.data() + t * combine.stride();
      if (mask.keeps(t)) {
        softmax_row(g, z, z, n);
      } else {
        for (std::int64_t j = g.rank(); j < n; j += g.size()) z[j] = R(0);
      }
    }
  }
};

/// A warp a slot: softmax over tokens.
struct dispatch_softmax_body {
  template <block B, class R>
  FANFOLD_HD void operator()(B& b, view<R> column, matrix_view<R> dispatch) const {
    warp_lanes<B> const g(b);
    std::int64_t const rows = dispatch.rows();
    for (std::int64_t j = grid_warp(b); j < dispatch.cols(); j += grid_warps(b)) {
      R* const z = column.data() + j * rows;
      softmax_row(g, z, z, rows);
      for (std::int64_t t = g.rank(); t < rows; t += g.size()) dispatch.data()[t * dispatch.stride() + j] = z[t];
    }
  }
};

}  // namespace detail

/// Device form of `mixing_weights`: tokens and slot vectors normalised, one product, then softmax by rows and by columns.
template <device_executor E, class R>
void run_loop(E const& ex, mixing_loop<R> const& loop, matrix_view<R const> x, matrix_view<R> dispatch, matrix_view<R> combine, matrix_view<R const> noise,
              workspace& ws) {
  std::int64_t const rows = x.rows(), d = x.cols(), n = loop.moe.slot_vectors.rows();
  workspace::frame frame(ws);
  matrix_view<R> const unit(frame.take<R>(n * d).data(), n, d), tokens(frame.take<R>(rows * d).data(), rows, d);
  auto const column = frame.take<R>(n * rows);
  detail::launch_unit_rows(ex, detail::softened_norm<R>{}, loop.moe.slot_vectors, unit);
  detail::launch_unit_rows(ex, detail::softened_norm<R>{}, x, tokens);
  detail::store_mixing<R> const store{loop.moe.scale, loop.mask, noise, combine, column};
  detail::launch_transposed_product(ex, store, as_const(tokens), as_const(unit));
  launch_warps(ex, detail::combine_softmax_body{loop.mask}, rows, combine);
  launch_warps(ex, detail::dispatch_softmax_body{}, n, column, dispatch);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
