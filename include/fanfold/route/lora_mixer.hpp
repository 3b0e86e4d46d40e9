#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/detail/row_sums.hpp"

/// \file
/// LoRA-Mixer ("Coordinate Modular LoRA Experts Through Serial Attention Routing", 2507.00029): a projection with low-rank experts inside,
/// mixed row by row by the weights of lora_mixer, lora_mixer_training or lora_mixer_hard. Host executors; bits do not depend on them.

namespace fanfold::inline FANFOLD_ABI::route {

/// y = W x + sum over the row's slots of w scale A_e (B_e x). `base` is W (out x in, may be empty: no base), `down` holds the B_e one below
/// the other (E rank x in), `up` the A_e (E out x rank). Experts of a lower rank are padded with zeros.
template <class R = float>
struct lora_mixer_projection {
  matrix_view<R const> base{};
  matrix_view<R const> down{};
  matrix_view<R const> up{};
  std::int64_t rank = 1;
  R scale = 1;

  std::int64_t experts() const { return rank < 1 ? 0 : down.rows() / rank; }
  std::int64_t outputs() const { return experts() < 1 ? base.rows() : up.rows() / experts(); }
  matrix_view<R const> down_of(std::int64_t e) const { return down.sub_rows(e * rank, rank); }
  matrix_view<R const> up_of(std::int64_t e) const { return up.sub_rows(e * outputs(), outputs()); }

  void check(std::int64_t inputs, char const* function) const {
    check_argument(rank >= 1, function, "rank", rank, "1 or more");
    check_argument(down.rows() >= rank && down.rows() % rank == 0, function, "rows of down", down.rows(), "a multiple of the rank");
    check_argument(down.cols() == inputs, function, "columns of down", down.cols(), "the columns of x");
    check_argument(up.cols() == rank, function, "columns of up", up.cols(), "the rank");
    check_argument(up.rows() % experts() == 0, function, "rows of up", up.rows(), "a multiple of the number of experts");
    check_argument(base.data() == nullptr || (base.rows() == outputs() && base.cols() == inputs), function, "rows of base", base.rows(),
                   "the outputs of up, with the columns of x");
    check_argument(scale - scale == R(0), function, "scale", scale, "finite");
  }
};

/// What project_vjp writes, where a view has memory: gradients of x and of the weights are overwritten, those of the parameters added to.
/// Frozen experts: leave `down` and `up` empty.
template <class R = float>
struct lora_mixer_gradient {
  matrix_view<R> x{};
  matrix_view<R> weight{};
  matrix_view<R> base{};
  matrix_view<R> down{};
  matrix_view<R> up{};
};

namespace detail {

template <class R, class W>
void check_projection(lora_mixer_projection<R> const& p, matrix_view<R const> x, assignment<W> const& a, matrix_view<R const> y, char const* function) {
  p.check(x.cols(), function);
  check_argument(a.rows() == x.rows(), function, "rows of the assignment", a.rows(), "the rows of x");
  check_argument(y.rows() == x.rows() && y.cols() == p.outputs(), function, "columns of the output", y.cols(), "the outputs, with the rows of x");
  std::int64_t const bad = validate_assignment(a, p.experts());
  check_argument(bad < 0, function, "row with an id out of range", bad, "absent");
}

/// dw(o, i) += factor y[o] x[i].
template <class R>
void add_outer(R const* y, R const* x, R factor, matrix_view<R> dw) {
  for (std::int64_t o = 0; o < dw.rows(); ++o) {
    R const v = factor * y[o];
    R* const row = dw.row(o).data();
    for (std::int64_t i = 0; i < dw.cols(); ++i) row[i] += v * x[i];
  }
}

}  // namespace detail

/// out (T x outputs) := the projection of x (T x in) under the assignment.
/// \throws argument_error before any write for shapes that do not match, rank below 1, ids out of range.
template <host_executor E, class R, class W>
void project(E const& ex, lora_mixer_projection<R> const& p, matrix_view<R const> x, assignment<W> const& a, matrix_view<R> out, workspace& ws) {
  detail::check_projection(p, x, a, as_const(out), "route::project");
  std::int64_t const n = p.outputs();
  detail::for_each_row<R>(ex, x.rows(), n + p.rank, ws, [&](std::int64_t t, R* scratch) {
    R *const lifted = scratch, *const low = scratch + n, *const y = out.row(t).data();
    for (std::int64_t o = 0; o < n; ++o) y[o] = R(0);
    if (p.base.data() != nullptr) detail::row_times_transposed(x.row(t).data(), p.base, y);
    for (std::int64_t j = 0; j < a.slots(); ++j) {
      if (a.id(t, j) < 0) continue;
      R const w = static_cast<R>(a.weight(t, j)) * p.scale;
      detail::row_times_transposed(x.row(t).data(), p.down_of(a.id(t, j)), low);
      detail::row_times_transposed(low, p.up_of(a.id(t, j)), lifted);
      for (std::int64_t o = 0; o < n; ++o) y[o] += w * lifted[o];
    }
  });
}

template <host_executor E, class R, class W>
void project(E const& ex, lora_mixer_projection<R> const& p, matrix_view<R const> x, assignment<W> const& a, matrix_view<R> out) {
  workspace ws;
  project(ex, p, x, a, out, ws);
}

/// The vjp of `project` by dout (T x outputs). Gradients of parameters add up in ascending row.
template <host_executor E, class R, class W>
void project_vjp(E const& ex, lora_mixer_projection<R> const& p, matrix_view<R const> x, assignment<W> const& a, matrix_view<R const> dout,
                 lora_mixer_gradient<R> const& gradient, workspace& ws) {
  static constexpr char function[] = "route::project_vjp";
  detail::check_projection(p, x, a, dout, function);
  auto const check_shape = [&](matrix_view<R> m, std::int64_t rows, std::int64_t cols, char const* name) {
    check_argument(m.data() == nullptr || (m.rows() == rows && m.cols() == cols), function, name, m.rows(), "of the shape of what it is the gradient of");
  };
  check_shape(gradient.x, x.rows(), x.cols(), "the gradient of x");
  check_shape(gradient.weight, a.rows(), a.slots(), "the gradient of the weights");
  check_shape(gradient.base, p.base.rows(), p.base.cols(), "the gradient of base");
  check_shape(gradient.down, p.down.rows(), p.down.cols(), "the gradient of down");
  check_shape(gradient.up, p.up.rows(), p.up.cols(), "the gradient of up");
  workspace::frame frame(ws);
  std::int64_t const r = p.rank, k = a.slots();
  R* const low = frame.take<R>(x.rows() * k * r).data();   // B_e x of each slot
  R* const back = frame.take<R>(x.rows() * k * r).data();  // A_e^T dout
  detail::for_each_row<R>(ex, x.rows(), x.cols(), ws, [&](std::int64_t t, R* dx) {
    R const* const dy = dout.row(t).data();
    for (std::int64_t i = 0; i < x.cols(); ++i) dx[i] = R(0);
    if (p.base.data() != nullptr) detail::add_row_times(dy, p.base, dx);
    for (std::int64_t j = 0; j < k; ++j) {
      R *const h = low + (t * k + j) * r, *const u = back + (t * k + j) * r;
      for (std::int64_t i = 0; i < r; ++i) h[i] = u[i] = R(0);
      if (a.id(t, j) >= 0) {
        R const w = static_cast<R>(a.weight(t, j)) * p.scale;
        detail::row_times_transposed(x.row(t).data(), p.down_of(a.id(t, j)), h);
        detail::add_row_times(dy, p.up_of(a.id(t, j)), u);
        if (gradient.weight.data() != nullptr) gradient.weight(t, j) = p.scale * detail::dot<R>(u, h, r);
        for (std::int64_t i = 0; i < r; ++i) u[i] = w * u[i];
        detail::add_row_times(static_cast<R const*>(u), p.down_of(a.id(t, j)), dx);
      } else if (gradient.weight.data() != nullptr) {
        gradient.weight(t, j) = R(0);
      }
    }
    if (gradient.x.data() != nullptr)
      for (std::int64_t i = 0; i < x.cols(); ++i) gradient.x(t, i) = dx[i];
  });
  if (gradient.base.data() != nullptr)
    for (std::int64_t t = 0; t < x.rows(); ++t) detail::add_outer(dout.row(t).data(), x.row(t).data(), R(1), gradient.base);
  for_each_task(ex, p.experts(), [&](std::int64_t e) {
    for (std::int64_t t = 0; t < x.rows(); ++t)
      for (std::int64_t j = 0; j < k; ++j) {
        if (a.id(t, j) != e) continue;
        R const w = static_cast<R>(a.weight(t, j)) * p.scale;
        std::int64_t const at = (t * k + j) * r;
        if (gradient.up.data() != nullptr) detail::add_outer(dout.row(t).data(), low + at, w, gradient.up.sub_rows(e * p.outputs(), p.outputs()));
        if (gradient.down.data() != nullptr) detail::add_outer(back + at, x.row(t).data(), R(1), gradient.down.sub_rows(e * r, r));
      }
  });
}

template <host_executor E, class R, class W>
void project_vjp(E const& ex, lora_mixer_projection<R> const& p, matrix_view<R const> x, assignment<W> const& a, matrix_view<R const> dout,
                 lora_mixer_gradient<R> const& gradient) {
  workspace ws;
  project_vjp(ex, p, x, a, dout, gradient, ws);
}

/// beta |theta - theta0|^2, which keeps trained experts where they are; with `gradient` also adds 2 beta (theta - theta0) to it.
template <class R>
double preservation_loss(double beta, view<R const> parameters, view<R const> start, view<R> gradient = {}) {
  static constexpr char function[] = "route::preservation_loss";
  check_argument(parameters.size() == start.size(), function, "size of the start", start.size(), "the number of parameters");
  check_argument(gradient.data() == nullptr || gradient.size() == start.size(), function, "size of the gradient", gradient.size(),
                 "the number of parameters");
  double sum = 0;
  for (std::int64_t i = 0; i < start.size(); ++i) {
    double const d = static_cast<double>(parameters[i]) - static_cast<double>(start[i]);
    sum += d * d;
    if (gradient.data() != nullptr) gradient[i] = static_cast<R>(static_cast<double>(gradient[i]) + 2 * beta * d);
  }
  return beta * sum;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
