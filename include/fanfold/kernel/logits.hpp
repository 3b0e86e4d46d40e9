#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/product.hpp"
#include "fanfold/route/logits/cosine.hpp"
#include "fanfold/route/logits/linear.hpp"
#include "fanfold/route/logits/recurrent.hpp"

/// \file
/// Device forms of the logit sources.

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

struct jitter_body {
  jitter_loop loop;

  template <block B, class X, class T>
  FANFOLD_HD void operator()(B& b, matrix_view<X const> from, matrix_view<T> to) const {
    std::int64_t const n = from.cols();
    for (std::int64_t at = grid_thread(b); at < from.rows() * n; at += grid_threads(b))
      to.data()[at / n * to.stride() + at % n] = loop.template at<T>(at / n, at % n, n, from.data()[at / n * from.stride() + at % n]);
  }
};

/// A thread an element: the gates of a recurrent unit from the products of x and of h.
struct recurrent_gates_body {
  template <block B, class R>
  FANFOLD_HD void operator()(B& b, view<R const> of_x, view<R const> of_h, matrix_view<R const> h, matrix_view<R> next) const {
    std::int64_t const p = next.cols();
    for (std::int64_t at = grid_thread(b); at < next.rows() * p; at += grid_threads(b)) {
      std::int64_t const t = at / p, i = at % p;
      R const* const a = of_x.data() + 3 * p * t + i;
      R const* const c = of_h.data() + 3 * p * t + i;
      R const r = math::sigmoid(a[0] + c[0]), z = math::sigmoid(a[p] + c[p]), n = math::tanh(a[2 * p] + r * c[2 * p]);
      next.data()[t * next.stride() + i] = (R(1) - z) * n + z * h.data()[t * h.stride() + i];
    }
  }
};

}  // namespace detail

template <device_executor E, class X, class T>
void run_loop(E const& ex, jitter_loop const& loop, matrix_view<X const> from, matrix_view<T> to) {
  launch_threads(ex, detail::jitter_body{loop}, from.rows() * from.cols(), from, to);
}

template <device_executor E, class W, class X, class T>
void run_loop(E const& ex, cosine_loop<W> const& loop, matrix_view<X const> h, matrix_view<T> to, workspace& ws) {
  using R = arithmetic_t<T>;
  std::int64_t const n = loop.source.experts.rows(), p = h.cols();
  workspace::frame frame(ws);
  matrix_view<R> const unit(frame.take<R>(n * p).data(), n, p), tokens(frame.take<R>(h.rows() * p).data(), h.rows(), p);
  detail::launch_unit_rows(ex, detail::guarded_norm<R>{}, loop.source.experts, unit);
  detail::launch_unit_rows(ex, detail::guarded_norm<R>{}, h, tokens);
  detail::launch_transposed_product(ex, detail::store_scaled<T>{static_cast<R>(loop.source.scale()), to}, as_const(tokens), as_const(unit));
}

template <device_executor E, class R>
void run_loop(E const& ex, recurrent_loop<R> const& loop, matrix_view<R const> x, matrix_view<R const> h, matrix_view<R> next, workspace& ws) {
  std::int64_t const rows = x.rows(), p = loop.state.width();
  workspace::frame frame(ws);
  auto const of_x = frame.take<R>(3 * p * rows), of_h = frame.take<R>(3 * p * rows);
  run_loop(ex, detail::transposed_product{}, x, loop.state.input, loop.state.input_bias, matrix_view<R>(of_x.data(), rows, 3 * p), ws);
  run_loop(ex, detail::transposed_product{}, h, loop.state.hidden, loop.state.hidden_bias, matrix_view<R>(of_h.data(), rows, 3 * p), ws);
  launch_threads(ex, detail::recurrent_gates_body{}, rows * p, as_const(of_x), as_const(of_h), h, next);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
