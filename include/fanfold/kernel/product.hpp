#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/route/detail/product.hpp"

/// \file
/// Device forms of the small dense products of logit sources: the host's bits. A sum over columns is a half-warp's, whose 16 lanes are the 16
/// lanes of the host's sum; a sum over rows is one thread's, rows ascending.

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// The 16 lanes of a half-warp, in halves; the sum is in every lane.
template <block B, class R>
FANFOLD_HD R join_half_warp(B& b, R lane) {
  for (unsigned w = product_lanes / 2; w >= 1; w /= 2) {
    R const other = b.shuffle_down(lane, w);
    lane = lane + other;  // lanes from w on hold what nobody reads
  }
  return b.shuffle(lane, lane_of(b) / 16 * 16);
}

/// A half-warp takes four rows of x and four of w: finish(t, e, sum_i x(t, i) w(e, i)).
template <class Finish>
struct transposed_product_body {
  static constexpr int side = 4;

  Finish finish;

  template <block B, class X, class W>
  FANFOLD_HD void operator()(B& b, matrix_view<X const> x, matrix_view<W const> w) const {
    using R = typename Finish::number;
    std::int64_t const across = (w.rows() + side - 1) / side, tiles = (x.rows() + side - 1) / side * across;
    std::int64_t const lane = lane_of(b) % 16, half = lane_of(b) / 16;
    for (std::int64_t first = 2 * grid_warp(b); first < tiles; first += 2 * grid_warps(b)) {
      std::int64_t const tile = first + half < tiles ? first + half : tiles - 1;
      std::int64_t const t = tile / across * side, e = tile % across * side;
      X const* row[side];
      W const* column[side];
      R sum[side][side];
      for (int r = 0; r < side; ++r) {
        row[r] = x.data() + (t + r < x.rows() ? t + r : x.rows() - 1) * x.stride();
        column[r] = w.data() + (e + r < w.rows() ? e + r : w.rows() - 1) * w.stride();
        for (int c = 0; c < side; ++c) sum[r][c] = R(0);
      }
      for (std::int64_t i = lane; i < x.cols(); i += product_lanes) {
        R a[side], v[side];
        for (int r = 0; r < side; ++r) {
          a[r] = static_cast<R>(to_arithmetic(row[r][i]));
          v[r] = static_cast<R>(to_arithmetic(column[r][i]));
        }
        for (int r = 0; r < side; ++r)
          for (int c = 0; c < side; ++c) sum[r][c] += a[r] * v[c];
      }
      R mine = R(0);  // lane 4 r + c keeps element (r, c)
      for (int r = 0; r < side; ++r)
        for (int c = 0; c < side; ++c) {
          R const s = join_half_warp(b, sum[r][c]);
          if (lane == side * r + c) mine = s;
        }
      std::int64_t const to_row = t + lane / side, to_column = e + lane % side;
      if (first + half < tiles && to_row < x.rows() && to_column < w.rows()) finish(to_row, to_column, mine);
    }
  }
};

/// out = sum + bias.
template <class W, class Y>
struct store_biased {
  using number = arithmetic_t<Y>;
  view<W const> bias;
  matrix_view<Y> out;
  FANFOLD_HD void operator()(std::int64_t t, std::int64_t e, number sum) const {
    number const s = bias.empty() ? sum : sum + static_cast<number>(to_arithmetic(bias.data()[e]));
    out.data()[t * out.stride() + e] = from_arithmetic<Y>(s);
  }
};
/// out = scale sum.
template <class Y>
struct store_scaled {
  using number = arithmetic_t<Y>;
  number scale;
  matrix_view<Y> out;
  FANFOLD_HD void operator()(std::int64_t t, std::int64_t e, number sum) const { out.data()[t * out.stride() + e] = from_arithmetic<Y>(scale * sum); }
};
/// out += sum.
template <class Y>
struct store_added {
  using number = arithmetic_t<Y>;
  matrix_view<Y> out;
  FANFOLD_HD void operator()(std::int64_t t, std::int64_t e, number sum) const {
    Y& to = out.data()[t * out.stride() + e];
    to = from_arithmetic<Y>(static_cast<number>(to_arithmetic(to)) + sum);
  }
};

template <device_executor E, class Finish, class X, class W>
void launch_transposed_product(E const& ex, Finish const& finish, matrix_view<X const> x, matrix_view<W const> w) {
  std::int64_t const tiles = ((x.rows() + 3) / 4) * ((w.rows() + 3) / 4);
  launch_warps(ex, transposed_product_body<Finish>{finish}, (tiles + 1) / 2, x, w);
}

/// A thread an element: out(t, i) = (add ? out(t, i) : 0) + sum_e y(t, e) w(e, i).
struct plain_product_body {
  bool add;

  template <block B, class Y, class W, class X>
  FANFOLD_HD void operator()(B& b, matrix_view<Y const> y, matrix_view<W const> w, matrix_view<X> out) const {
    using R = arithmetic_t<X>;
    for (std::int64_t at = grid_thread(b); at < out.rows() * out.cols(); at += grid_threads(b)) {
      std::int64_t const t = at / out.cols(), i = at % out.cols();
      X& to = out.data()[t * out.stride() + i];
      R sum = add ? static_cast<R>(to_arithmetic(to)) : R(0);
      for (std::int64_t e = 0; e < w.rows(); ++e) {
        R const v = static_cast<R>(to_arithmetic(y.data()[t * y.stride() + e]));
        if (v != R(0)) sum += v * static_cast<R>(to_arithmetic(w.data()[e * w.stride() + i]));
      }
      to = from_arithmetic<X>(sum);
    }
  }
};

/// A thread an element: out(e, i) = (add ? out(e, i) : 0) + sum_t y(t, e) x(t, i).
struct outer_products_body {
  bool add;

  template <block B, class Y, class X, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<Y const> y, matrix_view<X const> x, matrix_view<R> out) const {
    for (std::int64_t at = grid_thread(b); at < out.rows() * out.cols(); at += grid_threads(b)) {
      std::int64_t const e = at / out.cols(), i = at % out.cols();
      R sum = add ? out.data()[e * out.stride() + i] : R(0);
      for (std::int64_t t = 0; t < x.rows(); ++t) {
        R const v = static_cast<R>(to_arithmetic(y.data()[t * y.stride() + e]));
        if (v != R(0)) sum += v * static_cast<R>(to_arithmetic(x.data()[t * x.stride() + i]));
      }
      out.data()[e * out.stride() + i] = sum;
    }
  }
};

struct column_sums_body {
  template <block B, class Y, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<Y const> y, view<R> out) const {
    for (std::int64_t e = grid_thread(b); e < out.size(); e += grid_threads(b)) {
      R sum = out.data()[e];
      for (std::int64_t t = 0; t < y.rows(); ++t) sum += static_cast<R>(to_arithmetic(y.data()[t * y.stride() + e]));
      out.data()[e] = sum;
    }
  }
};

/// sqrt(s), at least 1e-12: cosine logits.
template <class R>
struct guarded_norm {
  FANFOLD_HD R operator()(R s) const {
    R const norm = math::sqrt(s);
    return norm < R(1e-12) ? R(1e-12) : norm;
  }
};
/// sqrt(s + 1e-6): soft mixtures.
template <class R>
struct softened_norm {
  FANFOLD_HD R operator()(R s) const { return math::sqrt(s + R(1e-6)); }
};

/// A half-warp a row: out(r, .) = v(r, .) / norm(sum of squares).
template <class Norm>
struct unit_rows_body {
  Norm norm;

  template <block B, class V, class R>
  FANFOLD_HD void operator()(B& b, matrix_view<V const> v, matrix_view<R> out) const {
    std::int64_t const lane = lane_of(b) % 16, half = lane_of(b) / 16, n = v.cols();
    for (std::int64_t first = 2 * grid_warp(b); first < v.rows(); first += 2 * grid_warps(b)) {
      bool const present = first + half < v.rows();
      std::int64_t const r = present ? first + half : first;
      V const* const from = v.data() + r * v.stride();
      R sum = R(0);
      for (std::int64_t i = lane; i < n; i += product_lanes) {
        R const x = static_cast<R>(to_arithmetic(from[i]));
        sum += x * x;
      }
      R const divisor = norm(join_half_warp(b, sum));
      if (!present) continue;
      for (std::int64_t i = lane; i < n; i += product_lanes) out.data()[r * out.stride() + i] = static_cast<R>(to_arithmetic(from[i])) / divisor;
    }
  }
};

template <device_executor E, class Norm, class V, class R>
void launch_unit_rows(E const& ex, Norm const& norm, matrix_view<V const> v, matrix_view<R> out) {
  launch_warps(ex, unit_rows_body<Norm>{norm}, (v.rows() + 1) / 2, v, out);
}

template <device_executor E, class X, class W, class Y>
void run_loop(E const& ex, transposed_product, matrix_view<X const> x, matrix_view<W const> w, view<W const> bias, matrix_view<Y> out, workspace&) {
  launch_transposed_product(ex, store_biased<W, Y>{bias, out}, x, w);
}
template <device_executor E, class X, class W, class Y>
void run_loop(E const& ex, added_product, matrix_view<X const> x, matrix_view<W const> w, matrix_view<Y> out, workspace&) {
  launch_transposed_product(ex, store_added<Y>{out}, x, w);
}
template <device_executor E, class D, class W, class X>
void run_loop(E const& ex, plain_product product, matrix_view<D const> dy, matrix_view<W const> w, matrix_view<X> dx, workspace&) {
  launch_threads(ex, plain_product_body{product.add}, dx.rows() * dx.cols(), dy, w, dx);
}
template <device_executor E, class D, class X, class R>
void run_loop(E const& ex, outer_products products, matrix_view<D const> dy, matrix_view<X const> x, matrix_view<R> dw) {
  launch_threads(ex, outer_products_body{products.add}, dw.rows() * dw.cols(), dy, x, dw);
}
template <device_executor E, class D, class R>
void run_loop(E const& ex, column_sums, matrix_view<D const> dy, view<R> db) {
  launch_threads(ex, column_sums_body{}, db.size(), dy, db);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
