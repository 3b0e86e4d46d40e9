#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/aggregate/set/learned_binary_op.hpp"
#include "fanfold/core/math.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

// h = 1/2 (tanh(left a + right b + c) + tanh(left b + right a + c)); u and v hold (left x, right x) of the operands, `hidden` numbers each.
template <class A>
FANFOLD_NOINLINE void mixed_orders(A const* FANFOLD_RESTRICT u, A const* FANFOLD_RESTRICT v, A const* FANFOLD_RESTRICT bias,
                                   A* FANFOLD_RESTRICT h, std::int64_t hidden) {
  for (std::int64_t c = 0; c < hidden; ++c)
    h[c] = A(0.5) * (math::tanh((u[c] + v[hidden + c]) + bias[c]) + math::tanh((v[c] + u[hidden + c]) + bias[c]));
}

// Gradients of u and v, and in `db` that of the bias.
template <class A>
FANFOLD_NOINLINE void mixed_orders_vjp(A const* FANFOLD_RESTRICT u, A const* FANFOLD_RESTRICT v, A const* FANFOLD_RESTRICT bias,
                                       A const* FANFOLD_RESTRICT g, A* FANFOLD_RESTRICT du, A* FANFOLD_RESTRICT dv, A* FANFOLD_RESTRICT db,
                                       std::int64_t hidden) {
  for (std::int64_t c = 0; c < hidden; ++c) {
    A const s = math::tanh((u[c] + v[hidden + c]) + bias[c]), t = math::tanh((v[c] + u[hidden + c]) + bias[c]);
    A const ds = A(0.5) * g[c] * (A(1) - s * s), dt = A(0.5) * g[c] * (A(1) - t * t);
    du[c] = dv[hidden + c] = ds;
    dv[c] = du[hidden + c] = dt;
    db[c] = ds + dt;
  }
}

// [a + b, a * b]
template <class A>
FANFOLD_NOINLINE void sum_and_product(A const* a, A const* b, A* y, std::int64_t d) {
  for (std::int64_t c = 0; c < d; ++c) y[c] = a[c] + b[c], y[d + c] = a[c] * b[c];
}

}  // namespace detail

/// a (+) b = 1/2 (f([a, b]) + f([b, a])) with f(v) = O tanh(M v + c) + o, commutative to the bit. The mean is taken in the hidden layer,
/// which is the same since the output layer is linear. `parameter` holds M's left half [hidden, d], its right half [hidden, d], c [hidden],
/// O [d, hidden], o [d]. A level is one product for both orders and one for the output.
template <class A>
struct symmetric_mlp {
  using value_type = A;
  static constexpr bool commutative = true;
  std::int64_t size = 0, hidden = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d, std::int64_t hidden) { return 3 * d * hidden + hidden + d; }
  std::int64_t width() const { return size; }
  std::int64_t parameters() const { return parameters_of(size, hidden); }
  void check() const {
    check_argument(size >= 1 && hidden >= 1, "symmetric_mlp", "a size", size < 1 ? size : hidden, "1 or more");
    check_argument(parameter.size() == parameters(), "symmetric_mlp", "parameter.size()", parameter.size(), "3 d h + h + d");
    check_argument(parameter.data() != nullptr, "symmetric_mlp", "parameter", "null", "not null");
  }

  template <host_executor E>
  void apply(E const& ex, matrix_view<A const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    auto const pre = detail::take_matrix<A>(frame, x.rows(), 2 * hidden), h = detail::take_matrix<A>(frame, y.rows(), hidden);
    mix(ex, x, pre, h, ws);
    detail::dense_layer(ex, output(), as_const(h), y, ws);
  }

  template <host_executor E>
  void vjp(E const& ex, matrix_view<A const> x, matrix_view<A const> g, matrix_view<A> dx, view<A> dparameter, workspace& ws) const {
    workspace::frame frame(ws);
    auto const pre = detail::take_matrix<A>(frame, x.rows(), 2 * hidden), dpre = detail::take_matrix<A>(frame, x.rows(), 2 * hidden),
               h = detail::take_matrix<A>(frame, g.rows(), hidden), dh = detail::take_matrix<A>(frame, g.rows(), hidden),
               dbias = detail::take_matrix<A>(frame, g.rows(), hidden);
    mix(ex, x, pre, h, ws);
    detail::dense_layer_parameters(ex, as_const(h), g, dparameter.data() + (bias() - parameter.data()) + hidden,
                                   dparameter.data() + (parameters() - size), ws);
    detail::dense_layer_inputs(ex, output(), g, dh, ws);
    detail::for_each_row(ex, g.rows(), 64 * hidden, [&](std::int64_t p) {
      detail::mixed_orders_vjp(row(pre, 2 * p), row(pre, 2 * p + 1), bias(), row(dh, p), row(dpre, 2 * p), row(dpre, 2 * p + 1),
                               row(dbias, p), hidden);
    });
    detail::dense_layer_inputs(ex, input(), as_const(dpre), dx, ws);
    detail::dense_layer_parameters<E, A>(ex, x, as_const(dpre), dparameter.data(), nullptr, ws);
    detail::single_bin bin(g.rows());
    dispatch::grouped_bias_gradient(ex, bin.plan(), as_const(dbias), matrix_view<A>(dparameter.data() + 2 * hidden * size, 1, hidden), ws);
  }

 private:
  A const* bias() const { return parameter.data() + 2 * hidden * size; }
  detail::dense_weights<A> input() const { return {parameter.data(), nullptr, 2 * hidden, size}; }
  detail::dense_weights<A> output() const { return {bias() + hidden, parameter.data() + parameters() - size, size, hidden}; }
  template <host_executor E>
  void mix(E const& ex, matrix_view<A const> x, matrix_view<A> pre, matrix_view<A> h, workspace& ws) const {
    detail::dense_layer(ex, input(), x, pre, ws);
    detail::for_each_row(ex, h.rows(), 32 * hidden,
                         [&](std::int64_t p) { detail::mixed_orders(row(pre, 2 * p), row(pre, 2 * p + 1), bias(), row(h, p), hidden); });
  }
  template <class T>
  static T* row(matrix_view<T> m, std::int64_t r) {
    return m.data() + r * m.stride();
  }
};

/// a (+) b = f(a + b, a * b) with f(s, q) = O tanh(M [s, q] + c) + o: symmetric inputs instead of a mean over orders. `parameter` holds
/// M [hidden, 2 d], c [hidden], O [d, hidden], o [d].
template <class A>
struct symmetric_input_mlp {
  using value_type = A;
  static constexpr bool commutative = true;
  std::int64_t size = 0, hidden = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t d, std::int64_t hidden) { return 3 * d * hidden + hidden + d; }
  std::int64_t width() const { return size; }
  std::int64_t parameters() const { return parameters_of(size, hidden); }
  void check() const {
    check_argument(size >= 1 && hidden >= 1, "symmetric_input_mlp", "a size", size < 1 ? size : hidden, "1 or more");
    check_argument(parameter.size() == parameters(), "symmetric_input_mlp", "parameter.size()", parameter.size(), "3 d h + h + d");
    check_argument(parameter.data() != nullptr, "symmetric_input_mlp", "parameter", "null", "not null");
  }

  template <host_executor E>
  void apply(E const& ex, matrix_view<A const> x, matrix_view<A> y, workspace& ws) const {
    workspace::frame frame(ws);
    auto const joint = detail::take_matrix<A>(frame, y.rows(), 2 * size), h = detail::take_matrix<A>(frame, y.rows(), hidden);
    activate(ex, x, joint, h, ws);
    detail::dense_layer(ex, output(), as_const(h), y, ws);
  }

  template <host_executor E>
  void vjp(E const& ex, matrix_view<A const> x, matrix_view<A const> g, matrix_view<A> dx, view<A> dparameter, workspace& ws) const {
    workspace::frame frame(ws);
    auto const joint = detail::take_matrix<A>(frame, g.rows(), 2 * size), djoint = detail::take_matrix<A>(frame, g.rows(), 2 * size),
               h = detail::take_matrix<A>(frame, g.rows(), hidden), dh = detail::take_matrix<A>(frame, g.rows(), hidden);
    activate(ex, x, joint, h, ws);
    A* const d = dparameter.data();
    detail::dense_layer_parameters(ex, as_const(h), g, d + 2 * hidden * size + hidden, d + (parameters() - size), ws);
    detail::dense_layer_inputs(ex, output(), g, dh, ws);
    detail::for_each_row(ex, g.rows(), hidden, [&](std::int64_t p) {
      for (std::int64_t c = 0; c < hidden; ++c) dh.data()[p * hidden + c] *= A(1) - h.data()[p * hidden + c] * h.data()[p * hidden + c];
    });
    detail::dense_layer_parameters(ex, as_const(joint), as_const(dh), d, d + 2 * hidden * size, ws);
    detail::dense_layer_inputs(ex, input(), as_const(dh), djoint, ws);
    detail::for_each_row(ex, g.rows(), 4 * size, [&](std::int64_t p) {
      A const *const a = x.data() + 2 * p * x.stride(), *const b = a + x.stride(), *const dj = djoint.data() + 2 * p * size;
      A *const da = dx.data() + 2 * p * dx.stride(), *const db = da + dx.stride();
      for (std::int64_t c = 0; c < size; ++c) da[c] = dj[c] + dj[size + c] * b[c], db[c] = dj[c] + dj[size + c] * a[c];
    });
  }

 private:
  detail::dense_weights<A> input() const { return {parameter.data(), parameter.data() + 2 * hidden * size, hidden, 2 * size}; }
  detail::dense_weights<A> output() const {
    return {parameter.data() + 2 * hidden * size + hidden, parameter.data() + parameters() - size, size, hidden};
  }
  template <host_executor E>
  void activate(E const& ex, matrix_view<A const> x, matrix_view<A> joint, matrix_view<A> h, workspace& ws) const {
    detail::for_each_row(ex, joint.rows(), 2 * size, [&](std::int64_t p) {
      A const* const a = x.data() + 2 * p * x.stride();
      detail::sum_and_product(a, a + x.stride(), joint.data() + p * joint.stride(), size);
    });
    detail::dense_layer(ex, input(), as_const(joint), h, ws);
    detail::for_each_row(ex, h.rows(), 16 * hidden, [&](std::int64_t p) {
      A* const row = h.data() + p * hidden;
      for (std::int64_t c = 0; c < hidden; ++c) row[c] = math::tanh(row[c]);
    });
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
