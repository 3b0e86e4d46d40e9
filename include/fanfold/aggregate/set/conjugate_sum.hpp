#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/aggregate/set/learned_binary_op.hpp"
#include "fanfold/core/math.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// a (+) b = phi^-1(phi(a) + phi(b)): associative and commutative whatever the parameters are (in exact arithmetic; here up to rounding),
/// so every tree and order gives the same result. phi couples the two halves p, q of a vector: q' = q + F(p), p' = p + G(q'), with
/// F(v) = O tanh(M v + c) + o and G likewise, which inverts in closed form: p = p' - G(q'), q = q' - F(p). Dinh et al., NICE, 2014
/// (arXiv 1410.8516). `size` is even, h = size / 2; `parameter` holds for F and then for G: M [hidden, h], c [hidden], O [h, hidden], o
/// [h].
template <class A>
struct conjugate_sum {
  using value_type = A;
  static constexpr bool commutative = true;
  std::int64_t size = 0, hidden = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d, std::int64_t hidden) { return 2 * (d * hidden + hidden + d / 2); }
  std::int64_t width() const { return size; }
  std::int64_t parameters() const { return parameters_of(size, hidden); }
  void check() const {
    check_argument(size >= 2 && size % 2 == 0, "conjugate_sum", "size", size, "even and 2 or more");
    check_argument(hidden >= 1, "conjugate_sum", "hidden", hidden, "1 or more");
    check_argument(parameter.size() == parameters(), "conjugate_sum", "parameter.size()", parameter.size(), "2 (d h + h + d / 2)");
    check_argument(parameter.data() != nullptr, "conjugate_sum", "parameter", "null", "not null");
  }

  template <host_executor E>
  void apply(E const& ex, matrix_view<A const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    auto const image = detail::take_matrix<A>(frame, x.rows(), size);
    forward(ex, x, image, ws);
    sum_pairs(ex, as_const(image), y);
    invert(ex, y, ws);
  }

  template <host_executor E>
  void vjp(E const& ex, matrix_view<A const> x, matrix_view<A const> g, matrix_view<A> dx, view<A> dparameter, workspace& ws) const {
    workspace::frame frame(ws);
    std::int64_t const pairs = g.rows(), part = parameters() / 2, n = size / 2;
    auto const image = detail::take_matrix<A>(frame, x.rows(), size), y = detail::take_matrix<A>(frame, pairs, size),
               dsum = detail::take_matrix<A>(frame, pairs, size), step = detail::take_matrix<A>(frame, x.rows(), n);
    auto const total = detail::take_matrix<A>(frame, pairs, size);
    view<A> const share = frame.template take<A>(part);
    forward(ex, x, image, ws);
    sum_pairs(ex, as_const(image), total);
    for_each(ex, pairs, [&](std::int64_t r, std::int64_t c) { y(r, c) = total(r, c), y(r, n + c) = total(r, n + c); });
    invert(ex, y, ws);
    // through the inverse: p = p' - G(q'), q = q' - F(p)
    for_each(ex, pairs, [&](std::int64_t r, std::int64_t c) { dsum(r, c) = g(r, c), dsum(r, n + c) = g(r, n + c); });
    auto const half = step.sub_rows(0, pairs);
    for_each(ex, pairs, [&](std::int64_t r, std::int64_t c) { dsum(r, n + c) = -dsum(r, n + c); });
    net_vjp(ex, 0, left(as_const(y)), right(as_const(dsum)), half, dparameter.subview(0, part), ws);
    for_each(ex, pairs, [&](std::int64_t r, std::int64_t c) { dsum(r, n + c) = -dsum(r, n + c), dsum(r, c) = -(dsum(r, c) + half(r, c)); });
    net_vjp(ex, 1, right(as_const(total)), left(as_const(dsum)), half, dparameter.subview(part, part), ws);
    for_each(ex, pairs, [&](std::int64_t r, std::int64_t c) { dsum(r, c) = -dsum(r, c), dsum(r, n + c) = dsum(r, n + c) + half(r, c); });
    // through phi of both operands: q' = q + F(p), p' = p + G(q')
    for_each(ex, x.rows(), [&](std::int64_t r, std::int64_t c) { dx(r, c) = dsum(r / 2, c), dx(r, n + c) = dsum(r / 2, n + c); });
    net_vjp(ex, 1, right(as_const(image)), left(as_const(dx)), step, share, ws);
    for (std::int64_t i = 0; i < part; ++i) dparameter[part + i] += share[i];
    for_each(ex, x.rows(), [&](std::int64_t r, std::int64_t c) { dx(r, n + c) += step(r, c); });
    net_vjp(ex, 0, left(x), right(as_const(dx)), step, share, ws);
    for (std::int64_t i = 0; i < part; ++i) dparameter[i] += share[i];
    for_each(ex, x.rows(), [&](std::int64_t r, std::int64_t c) { dx(r, c) += step(r, c); });
  }

  /// phi of every row of x.
  template <host_executor E>
  void forward(E const& ex, matrix_view<A const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    std::int64_t const n = size / 2;
    auto const step = detail::take_matrix<A>(frame, x.rows(), n);
    net(ex, 0, left(x), step, ws);
    for_each(ex, x.rows(), [&](std::int64_t r, std::int64_t c) { y(r, n + c) = x(r, n + c) + step(r, c), y(r, c) = x(r, c); });
    net(ex, 1, right(as_const(y)), step, ws);
    for_each(ex, x.rows(), [&](std::int64_t r, std::int64_t c) { y(r, c) = y(r, c) + step(r, c); });
  }
  /// phi^-1 of every row, in place.
  template <host_executor E>
  void invert(E const& ex, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    std::int64_t const n = size / 2;
    auto const step = detail::take_matrix<A>(frame, y.rows(), n);
    net(ex, 1, right(as_const(y)), step, ws);
    for_each(ex, y.rows(), [&](std::int64_t r, std::int64_t c) { y(r, c) = y(r, c) - step(r, c); });
    net(ex, 0, left(as_const(y)), step, ws);
    for_each(ex, y.rows(), [&](std::int64_t r, std::int64_t c) { y(r, n + c) = y(r, n + c) - step(r, c); });
  }

 private:
  template <class T>
  matrix_view<T> left(matrix_view<T> m) const {
    return {m.data(), m.rows(), size / 2, m.stride()};
  }
  template <class T>
  matrix_view<T> right(matrix_view<T> m) const {
    return {m.data() + size / 2, m.rows(), size / 2, m.stride()};
  }
  template <class E, class F>
  void for_each(E const& ex, std::int64_t rows, F const& f) const {
    detail::for_each_row(ex, rows, size, [&](std::int64_t r) {
      for (std::int64_t c = 0; c < size / 2; ++c) f(r, c);
    });
  }
  template <class E>
  void sum_pairs(E const& ex, matrix_view<A const> image, matrix_view<A> y) const {
    std::int64_t const n = size / 2;
    for_each(ex, y.rows(), [&](std::int64_t r, std::int64_t c) {
      y(r, c) = image(2 * r, c) + image(2 * r + 1, c);
      y(r, n + c) = image(2 * r, n + c) + image(2 * r + 1, n + c);
    });
  }

  detail::dense_weights<A> input(int which) const {
    A const* const p = parameter.data() + which * (parameters() / 2);
    return {p, p + hidden * (size / 2), hidden, size / 2};
  }
  detail::dense_weights<A> output(int which) const {
    A const* const p = input(which).bias + hidden;
    return {p, p + hidden * (size / 2), size / 2, hidden};
  }
  template <class E>
  void hidden_layer(E const& ex, int which, matrix_view<A const> v, matrix_view<A> h, workspace& ws) const {
    detail::dense_layer(ex, input(which), v, h, ws);
    detail::for_each_row(ex, h.rows(), 16 * hidden, [&](std::int64_t r) {
      A* const row = h.data() + r * hidden;
      for (std::int64_t c = 0; c < hidden; ++c) row[c] = math::tanh(row[c]);
    });
  }
  template <class E>
  void net(E const& ex, int which, matrix_view<A const> v, matrix_view<A> out, workspace& ws) const {
    workspace::frame frame(ws);
    auto const h = detail::take_matrix<A>(frame, v.rows(), hidden);
    hidden_layer(ex, which, v, h, ws);
    detail::dense_layer(ex, output(which), as_const(h), out, ws);
  }
  template <class E>
  void net_vjp(E const& ex, int which, matrix_view<A const> v, matrix_view<A const> g, matrix_view<A> dv, view<A> dparameter,
               workspace& ws) const {
    workspace::frame frame(ws);
    auto const h = detail::take_matrix<A>(frame, v.rows(), hidden), dh = detail::take_matrix<A>(frame, v.rows(), hidden);
    hidden_layer(ex, which, v, h, ws);
    A* const d = dparameter.data();
    std::int64_t const n = size / 2;
    detail::dense_layer_parameters(ex, as_const(h), g, d + hidden * n + hidden, d + 2 * hidden * n + hidden, ws);
    detail::dense_layer_inputs(ex, output(which), g, dh, ws);
    detail::for_each_row(ex, v.rows(), 2 * hidden, [&](std::int64_t r) {
      for (std::int64_t c = 0; c < hidden; ++c) dh(r, c) *= A(1) - h(r, c) * h(r, c);
    });
    detail::dense_layer_parameters(ex, v, as_const(dh), d, d + hidden * n, ws);
    detail::dense_layer_inputs(ex, input(which), as_const(dh), dv, ws);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
