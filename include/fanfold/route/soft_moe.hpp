#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/row_loop.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Soft MoE (Puigcerver et al., 2023): every slot is a convex mix of tokens, every token a convex mix of slot outputs. With x^ and mu^ the
/// tokens and slot vectors over sqrt(sum of squares + 1e-6), z = s x^ mu^T (T x slots): dispatch D = softmax of z over tokens, combine
/// C = softmax over slots. slots = D^T x, out = C f(slots). One group a call; later tokens change earlier ones. R float or double
/// throughout; device executors need kernel/soft_moe.hpp.
template <class R = float>
struct soft_moe {
  /// Slot vectors, (experts x slots an expert) x d.
  matrix_view<R const> slot_vectors{};
  R scale = R(1);

  static constexpr bool causal = false;

  /// Slots an expert: max(1, round(T factor / experts)), half to even.
  static std::int64_t slots_per_expert(std::int64_t tokens, std::int64_t experts, double factor = 1) {
    auto const f = static_cast<std::int64_t>(factor * 10000.0 + 0.5);
    std::int64_t const a = tokens * f, b = experts * 10000, q = a / b, twice = 2 * (a % b);
    std::int64_t const p = q + (twice > b || (twice == b && q % 2 != 0) ? 1 : 0);
    return p < 1 ? 1 : p;
  }
};

namespace detail {

template <class R>
R soft_unit(R const* v, std::int64_t n, R* to) {
  R const norm = math::sqrt(dot<R>(v, v, n) + R(1e-6));
  for (std::int64_t i = 0; i < n; ++i) to[i] = v[i] / norm;
  return norm;
}

}  // namespace detail

/// What `run_loop` runs for `mixing_weights`.
template <class R = float>
struct mixing_loop {
  soft_moe<R> moe{};
  row_mask mask{};
};

/// Host form of `mixing_weights`.
template <host_executor E, class R>
void run_loop(E const& ex, mixing_loop<R> const& loop, matrix_view<R const> x, matrix_view<R> dispatch, matrix_view<R> combine, matrix_view<R const> noise,
              workspace& ws) {
  soft_moe<R> const& moe = loop.moe;
  std::int64_t const rows = x.rows(), d = x.cols(), n = moe.slot_vectors.rows();
  workspace::frame frame(ws);
  R* const unit = frame.take<R>(n * d).data();
  R* const column = frame.take<R>(n * rows).data();
  for (std::int64_t j = 0; j < n; ++j) detail::soft_unit(moe.slot_vectors.row(j).data(), d, unit + j * d);
  detail::for_each_row<R>(ex, rows, d, ws, [&](std::int64_t t, R* u) {
    R* const z = combine.row(t).data();
    detail::soft_unit(x.row(t).data(), d, u);
    detail::row_times_transposed(u, matrix_view<R const>(unit, n, d), z);
    bool const kept = loop.mask.keeps(t);
    for (std::int64_t j = 0; j < n; ++j) {
      z[j] = moe.scale * z[j] + (noise.data() == nullptr ? R(0) : noise(t, j));
      column[j * rows + t] = kept ? z[j] : -math::infinity<R>();
    }
    if (kept) return static_cast<void>(detail::softmax_row(host_lane{}, z, z, n));
    for (std::int64_t j = 0; j < n; ++j) z[j] = R(0);
  });
  for_each_task(ex, n, [&](std::int64_t j) {
    detail::softmax_row(host_lane{}, column + j * rows, column + j * rows, rows);
    for (std::int64_t t = 0; t < rows; ++t) dispatch(t, j) = column[j * rows + t];
  });
}

/// dispatch and combine := D and C (T x slots); masked tokens take no part and get rows of 0. `noise`, where given, is added to z.
template <executor E, class R>
void mixing_weights(E const& ex, soft_moe<R> const& moe, matrix_view<R const> x, matrix_view<R> dispatch, matrix_view<R> combine, row_mask const& mask = {},
                    matrix_view<R const> noise = {}) {
  static constexpr char function[] = "route::mixing_weights";
  std::int64_t const rows = x.rows(), d = x.cols(), n = moe.slot_vectors.rows();
  check_argument(moe.slot_vectors.cols() == d, function, "columns of the slot vectors", moe.slot_vectors.cols(), "those of the tokens");
  check_argument(dispatch.rows() == rows && dispatch.cols() == n && combine.rows() == rows && combine.cols() == n, function, "shape of the weights", dispatch.cols(),
                 "tokens x slots");
  check_argument(noise.data() == nullptr || (noise.rows() == rows && noise.cols() == n), function, "shape of the noise", noise.cols(), "tokens x slots");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, mixing_loop<R>{moe, mask}, x, dispatch, combine, noise, ws.get());
}

/// slots := D^T x, sums over tokens ascending.
template <executor E, class R>
void mix_in(E const& ex, matrix_view<R const> dispatch, matrix_view<R const> x, matrix_view<R> slots) {
  check_argument(dispatch.rows() == x.rows() && slots.rows() == dispatch.cols() && slots.cols() == x.cols(), "route::mix_in", "rows of the slots", slots.rows(),
                 "the columns of the dispatch weights");
  run_loop(ex, detail::outer_products{false}, dispatch, x, slots);
}

/// out := C y, y the outputs of the slots.
template <executor E, class R>
void mix_out(E const& ex, matrix_view<R const> combine, matrix_view<R const> y, matrix_view<R> out) {
  check_argument(combine.cols() == y.rows() && out.rows() == combine.rows() && out.cols() == y.cols(), "route::mix_out", "rows of the output", out.rows(),
                 "the rows of the combine weights");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, detail::plain_product{}, combine, y, out, ws.get());
}

/// The vjp through the router: from dD and dC (T x slots) the gradients by tokens and slot vectors, both added to; returns the one by the
/// scale. The vjps of mix_in and mix_out are products: dD = x dslots^T, dx += D dslots; dC = dout y^T, dy = C^T dout.
template <host_executor E, class R>
double mixing_weights_vjp(E const& ex, soft_moe<R> const& moe, matrix_view<R const> x, matrix_view<R const> dispatch, matrix_view<R const> combine,
                          matrix_view<R const> ddispatch, matrix_view<R const> dcombine, matrix_view<R> dx, matrix_view<R> dslot_vectors) {
  static constexpr char function[] = "route::mixing_weights_vjp";
  std::int64_t const rows = x.rows(), d = x.cols(), n = moe.slot_vectors.rows();
  for (auto const& m : {dispatch, combine, ddispatch, dcombine})
    check_argument(m.rows() == rows && m.cols() == n, function, "shape of a weight or its gradient", m.cols(), "tokens x slots");
  check_argument(dx.rows() == rows && dx.cols() == d, function, "shape of dx", dx.cols(), "that of the tokens");
  check_argument(dslot_vectors.rows() == n && dslot_vectors.cols() == d, function, "shape of the slot gradient", dslot_vectors.cols(), "that of the slot vectors");
  workspace ws;
  workspace::frame frame(ws);
  R* const unit = frame.take<R>(n * d).data();
  R* const norm = frame.take<R>(n).data();
  R* const tokens = frame.take<R>(rows * d).data();
  R* const dz = frame.take<R>(rows * n).data();
  R* const column_dot = frame.take<R>(n).data();
  R* const along = frame.take<R>(rows).data();
  for (std::int64_t j = 0; j < n; ++j) {
    norm[j] = detail::soft_unit(moe.slot_vectors.row(j).data(), d, unit + j * d);
    column_dot[j] = R(0);
    for (std::int64_t t = 0; t < rows; ++t) column_dot[j] += dispatch(t, j) * ddispatch(t, j);
  }
  matrix_view<R const> const units(unit, n, d), gradient(dz, rows, n);
  detail::for_each_row<R>(ex, rows, d + n, ws, [&](std::int64_t t, R* scratch) {
    R *const u = tokens + t * d, *const g = dz + t * n, *const du = scratch, *const product = scratch + d;
    R const length = detail::soft_unit(x.row(t).data(), d, u);
    detail::softmax_row_vjp(host_lane{}, combine.row(t).data(), dcombine.row(t).data(), g, n);
    detail::row_times_transposed(u, units, product);
    along[t] = R(0);
    for (std::int64_t j = 0; j < n; ++j) {
      g[j] += dispatch(t, j) * (ddispatch(t, j) - column_dot[j]);
      along[t] += g[j] * product[j];
    }
    for (std::int64_t i = 0; i < d; ++i) du[i] = R(0);
    detail::add_row_times(g, units, du);
    R const dot = detail::dot<R>(u, du, d);
    for (std::int64_t i = 0; i < d; ++i) dx(t, i) += moe.scale * (du[i] - u[i] * dot) / length;
  });
  for_each_task(ex, n, static_cast<std::size_t>(d) * sizeof(R), ws, [&](std::int64_t j, void* scratch) {
    auto* const du = static_cast<R*>(scratch);
    for (std::int64_t i = 0; i < d; ++i) du[i] = R(0);
    for (std::int64_t t = 0; t < rows; ++t)
      for (std::int64_t i = 0; i < d; ++i) du[i] += gradient(t, j) * tokens[t * d + i];
    R const dot = detail::dot<R>(unit + j * d, du, d);
    for (std::int64_t i = 0; i < d; ++i) dslot_vectors(j, i) += moe.scale * (du[i] - unit[j * d + i] * dot) / norm[j];
  });
  double ds = 0;
  for (std::int64_t t = 0; t < rows; ++t) ds += static_cast<double>(along[t]);
  return ds;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
