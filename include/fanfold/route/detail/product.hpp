#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"

/// \file
/// The small dense products of logit sources: bits do not depend on threads or on the other rows. Sums over columns run in 16
/// lanes that meet in halves, sums over rows in ascending row; relative error at most (n / 16 + 5) roundings of the sum of magnitudes.

namespace fanfold::inline FANFOLD_ABI::route::detail {

inline constexpr int product_lanes = 16;

template <class R>
FANFOLD_INLINE R join_lanes(R (&lane)[product_lanes]) {
  for (int w = product_lanes / 2; w >= 1; w /= 2)
    for (int l = 0; l < w; ++l) lane[l] += lane[l + w];
  return lane[0];
}

/// sum x[i] w[i].
template <class R, class X, class W>
R dot(X const* x, W const* w, std::int64_t n) {
  R lane[product_lanes] = {};
  std::int64_t i = 0;
  for (; i + product_lanes <= n; i += product_lanes)
    for (int l = 0; l < product_lanes; ++l)
      lane[l] += static_cast<R>(to_arithmetic(x[i + l])) * static_cast<R>(to_arithmetic(w[i + l]));
  for (int l = 0; i + l < n; ++l) lane[l] += static_cast<R>(to_arithmetic(x[i + l])) * static_cast<R>(to_arithmetic(w[i + l]));
  return join_lanes(lane);
}

/// out[e] = sum x[i] w(e, i) for four rows of w at a time: the same bits as `dot`.
template <class R, class X, class W>
FANFOLD_NOINLINE void row_times_transposed(X const* x, matrix_view<W const> w, R* out) {
  std::int64_t const n = w.cols(), rows = w.rows();
  std::int64_t e = 0;
  for (; e + 4 <= rows; e += 4) {
    R a[product_lanes] = {}, b[product_lanes] = {}, c[product_lanes] = {}, d[product_lanes] = {};
    W const *p = w.row(e).data(), *q = w.row(e + 1).data(), *r = w.row(e + 2).data(), *s = w.row(e + 3).data();
    std::int64_t i = 0;
    for (; i + product_lanes <= n; i += product_lanes)
      for (int l = 0; l < product_lanes; ++l) {
        R const v = static_cast<R>(to_arithmetic(x[i + l]));
        a[l] += v * static_cast<R>(to_arithmetic(p[i + l]));
        b[l] += v * static_cast<R>(to_arithmetic(q[i + l]));
        c[l] += v * static_cast<R>(to_arithmetic(r[i + l]));
        d[l] += v * static_cast<R>(to_arithmetic(s[i + l]));
      }
    for (int l = 0; i + l < n; ++l) {
      R const v = static_cast<R>(to_arithmetic(x[i + l]));
      a[l] += v * static_cast<R>(to_arithmetic(p[i + l]));
      b[l] += v * static_cast<R>(to_arithmetic(q[i + l]));
      c[l] += v * static_cast<R>(to_arithmetic(r[i + l]));
      d[l] += v * static_cast<R>(to_arithmetic(s[i + l]));
    }
    out[e] = join_lanes(a);
    out[e + 1] = join_lanes(b);
    out[e + 2] = join_lanes(c);
    out[e + 3] = join_lanes(d);
  }
  for (; e < rows; ++e) out[e] = dot<R>(x, w.row(e).data(), n);
}

/// out[i] += sum_e y[e] w(e, i), e ascending.
template <class R, class Y, class W>
void add_row_times(Y const* y, matrix_view<W const> w, R* out) {
  for (std::int64_t e = 0; e < w.rows(); ++e) {
    R const v = static_cast<R>(to_arithmetic(y[e]));
    if (v == R(0)) continue;
    W const* const row = w.row(e).data();
    for (std::int64_t i = 0; i < w.cols(); ++i) out[i] += v * static_cast<R>(to_arithmetic(row[i]));
  }
}

/// out(t, e) = sum_i x(t, i) w(e, i) + bias[e].
template <host_executor E, class X, class W, class Y>
void multiply_transposed(E const& ex, matrix_view<X const> x, matrix_view<W const> w, view<W const> bias, matrix_view<Y> out, workspace& ws) {
  using R = arithmetic_t<Y>;
  constexpr std::int64_t rows_of_task = 16;
  std::int64_t const tasks = (x.rows() + rows_of_task - 1) / rows_of_task;
  for_each_task(ex, tasks, static_cast<std::size_t>(w.rows()) * sizeof(R), ws, [&](std::int64_t task, void* scratch) {
    auto* const sum = static_cast<R*>(scratch);
    std::int64_t const last = (task + 1) * rows_of_task < x.rows() ? (task + 1) * rows_of_task : x.rows();
    for (std::int64_t t = task * rows_of_task; t < last; ++t) {
      row_times_transposed(x.row(t).data(), w, sum);
      for (std::int64_t e = 0; e < w.rows(); ++e)
        out(t, e) = from_arithmetic<Y>(bias.empty() ? sum[e] : sum[e] + static_cast<R>(to_arithmetic(bias[e])));
    }
  });
}

/// dx(t, i) = (add ? dx(t, i) : 0) + sum_e dy(t, e) w(e, i).
template <host_executor E, class D, class W, class X>
void multiply(E const& ex, matrix_view<D const> dy, matrix_view<W const> w, matrix_view<X> dx, bool add, workspace& ws) {
  using R = arithmetic_t<X>;
  for_each_task(ex, dx.rows(), static_cast<std::size_t>(dx.cols()) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    auto* const sum = static_cast<R*>(scratch);
    for (std::int64_t i = 0; i < dx.cols(); ++i) sum[i] = add ? static_cast<R>(to_arithmetic(dx(t, i))) : R(0);
    add_row_times(dy.row(t).data(), w, sum);
    for (std::int64_t i = 0; i < dx.cols(); ++i) dx(t, i) = from_arithmetic<X>(sum[i]);
  });
}

/// dw(e, i) += sum_t dy(t, e) x(t, i), t ascending.
template <host_executor E, class D, class X, class R>
void add_outer_products(E const& ex, matrix_view<D const> dy, matrix_view<X const> x, matrix_view<R> dw) {
  for_each_task(ex, dw.rows(), [&](std::int64_t e) {
    R* const row = dw.row(e).data();
    for (std::int64_t t = 0; t < x.rows(); ++t) {
      R const v = static_cast<R>(to_arithmetic(dy(t, e)));
      if (v == R(0)) continue;
      X const* const from = x.row(t).data();
      for (std::int64_t i = 0; i < x.cols(); ++i) row[i] += v * static_cast<R>(to_arithmetic(from[i]));
    }
  });
}

/// db[e] += sum_t dy(t, e), t ascending.
template <class D, class R>
void add_column_sums(matrix_view<D const> dy, view<R> db) {
  for (std::int64_t t = 0; t < dy.rows(); ++t)
    for (std::int64_t e = 0; e < db.size(); ++e) db[e] += static_cast<R>(to_arithmetic(dy(t, e)));
}

/// The products by name, for `run_loop`; kernel/product.hpp has the device forms.
struct transposed_product {};
struct added_product {};  // out += the transposed product
struct plain_product {
  bool add = false;
};
struct outer_products {
  bool add = true;
};
struct column_sums {};

template <host_executor E, class X, class W, class Y>
void run_loop(E const& ex, transposed_product, matrix_view<X const> x, matrix_view<W const> w, view<W const> bias, matrix_view<Y> out, workspace& ws) {
  multiply_transposed(ex, x, w, bias, out, ws);
}
template <host_executor E, class X, class W, class Y>
void run_loop(E const& ex, added_product, matrix_view<X const> x, matrix_view<W const> w, matrix_view<Y> out, workspace& ws) {
  using R = arithmetic_t<Y>;
  for_each_task(ex, out.rows(), static_cast<std::size_t>(w.rows()) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    auto* const sum = static_cast<R*>(scratch);
    row_times_transposed(x.row(t).data(), w, sum);
    for (std::int64_t e = 0; e < w.rows(); ++e) out(t, e) = from_arithmetic<Y>(static_cast<R>(to_arithmetic(out(t, e))) + sum[e]);
  });
}
template <host_executor E, class D, class W, class X>
void run_loop(E const& ex, plain_product product, matrix_view<D const> dy, matrix_view<W const> w, matrix_view<X> dx, workspace& ws) {
  multiply(ex, dy, w, dx, product.add, ws);
}
template <host_executor E, class D, class X, class R>
void run_loop(E const& ex, outer_products products, matrix_view<D const> dy, matrix_view<X const> x, matrix_view<R> dw) {
  for (std::int64_t e = 0; e < dw.rows() && !products.add; ++e)
    for (std::int64_t i = 0; i < dw.cols(); ++i) dw(e, i) = R(0);
  add_outer_products(ex, dy, x, dw);
}
template <host_executor E, class D, class R>
void run_loop(E const&, column_sums, matrix_view<D const> dy, view<R> db) {
  add_column_sums(dy, db);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
