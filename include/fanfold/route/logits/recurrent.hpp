#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/detail/product.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// RMoE's recurrent router state (2408.06793), which runs over layers: h' = GRU(x, h), x the projected token (linear_logits), h the state of
/// the layer before (zero in the first); linear_logits of h' are the logits. Gates r, z, n are stacked: `input` and `hidden` are 3p x p,
/// biases empty or 3p numbers.
///   r = sigmoid(W_ir x + b_ir + W_hr h + b_hr), z likewise, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h
template <class R = float>
struct recurrent_state {
  matrix_view<R const> input{};
  matrix_view<R const> hidden{};
  view<R const> input_bias{};
  view<R const> hidden_bias{};

  std::int64_t width() const { return input.cols(); }
};

template <class R = float>
struct recurrent_gradient {
  matrix_view<R> x{};           ///< written
  matrix_view<R> h{};           ///< written
  matrix_view<R> input{};       ///< added to, like all below
  matrix_view<R> hidden{};
  view<R> input_bias{};
  view<R> hidden_bias{};
};

namespace detail {

template <class R>
struct gru_row {
  R *a, *b;  // 3p each: products of x and of h with their biases, then the gates
  std::int64_t p;

  gru_row(recurrent_state<R> const& s, R const* x, R const* h, R* scratch) : a(scratch), b(scratch + 3 * s.width()), p(s.width()) {
    row_times_transposed(x, s.input, a);
    row_times_transposed(h, s.hidden, b);
    for (std::int64_t i = 0; i < 3 * p; ++i) {
      if (!s.input_bias.empty()) a[i] += s.input_bias[i];
      if (!s.hidden_bias.empty()) b[i] += s.hidden_bias[i];
    }
    for (std::int64_t i = 0; i < 2 * p; ++i) a[i] = math::sigmoid(a[i] + b[i]);
    for (std::int64_t i = 0; i < p; ++i) a[2 * p + i] = math::tanh(a[2 * p + i] + a[i] * b[2 * p + i]);
  }
  R r(std::int64_t i) const { return a[i]; }
  R z(std::int64_t i) const { return a[p + i]; }
  R n(std::int64_t i) const { return a[2 * p + i]; }
  R hidden_n(std::int64_t i) const { return b[2 * p + i]; }
};

template <class R>
void check_state(recurrent_state<R> const& s, std::int64_t x_rows, std::int64_t x_cols, std::int64_t h_rows, std::int64_t h_cols, char const* function) {
  std::int64_t const p = s.width();
  check_argument(s.input.rows() == 3 * p && s.hidden.rows() == 3 * p && s.hidden.cols() == p, function, "shape of the gate weights", s.input.rows(), "3 p x p");
  check_argument(s.input_bias.empty() || s.input_bias.size() == 3 * p, function, "size of the input bias", s.input_bias.size(), "0 or 3 p");
  check_argument(s.hidden_bias.empty() || s.hidden_bias.size() == 3 * p, function, "size of the hidden bias", s.hidden_bias.size(), "0 or 3 p");
  check_argument(x_cols == p && h_cols == p, function, "columns of the state", h_cols, "p");
  check_argument(x_rows == h_rows, function, "rows of the state", h_rows, "the number of tokens: it is the same in every layer");
}

}  // namespace detail

/// What `run_loop` runs for `advance`.
template <class R = float>
struct recurrent_loop {
  recurrent_state<R> state{};
};

template <host_executor E, class R>
void run_loop(E const& ex, recurrent_loop<R> const& loop, matrix_view<R const> x, matrix_view<R const> h, matrix_view<R> next, workspace& ws) {
  std::int64_t const p = loop.state.width();
  for_each_task(ex, x.rows(), static_cast<std::size_t>(6 * p) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    detail::gru_row<R> const g(loop.state, x.row(t).data(), h.row(t).data(), static_cast<R*>(scratch));
    for (std::int64_t i = 0; i < p; ++i) next(t, i) = (R(1) - g.z(i)) * g.n(i) + g.z(i) * h(t, i);
  });
}

/// next := GRU(x, h); may be h.
template <executor E, class R>
void advance(E const& ex, recurrent_state<R> const& s, matrix_view<R const> x, matrix_view<R const> h, matrix_view<R> next) {
  static constexpr char function[] = "route::advance";
  detail::check_state(s, x.rows(), x.cols(), h.rows(), h.cols(), function);
  check_argument(next.rows() == h.rows() && next.cols() == h.cols(), function, "shape of the next state", next.cols(), "that of the state");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, recurrent_loop<R>{s}, x, h, next, ws.get());
}

/// The vjp for dnext. Views of `out` left empty are not wanted.
template <host_executor E, class R>
void advance_vjp(E const& ex, recurrent_state<R> const& s, matrix_view<R const> x, matrix_view<R const> h, matrix_view<R const> dnext,
                 recurrent_gradient<R> const& out) {
  static constexpr char function[] = "route::advance_vjp";
  detail::check_state(s, x.rows(), x.cols(), h.rows(), h.cols(), function);
  std::int64_t const p = s.width(), rows = x.rows();
  check_argument(dnext.rows() == rows && dnext.cols() == p, function, "shape of dnext", dnext.cols(), "that of the state");
  workspace ws;
  workspace::frame frame(ws);
  matrix_view<R> const da(frame.take<R>(rows * 3 * p).data(), rows, 3 * p), db(frame.take<R>(rows * 3 * p).data(), rows, 3 * p);
  for_each_task(ex, rows, static_cast<std::size_t>(6 * p) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    detail::gru_row<R> const g(s, x.row(t).data(), h.row(t).data(), static_cast<R*>(scratch));
    for (std::int64_t i = 0; i < p; ++i) {
      R const d = dnext(t, i);
      R const dn = d * (R(1) - g.z(i)) * (R(1) - g.n(i) * g.n(i));
      R const dr = dn * g.hidden_n(i) * g.r(i) * (R(1) - g.r(i));
      R const dz = d * (h(t, i) - g.n(i)) * g.z(i) * (R(1) - g.z(i));
      da(t, i) = db(t, i) = dr;
      da(t, p + i) = db(t, p + i) = dz;
      da(t, 2 * p + i) = dn;
      db(t, 2 * p + i) = dn * g.r(i);
    }
    if (out.h.data() != nullptr)
      for (std::int64_t i = 0; i < p; ++i) out.h(t, i) = dnext(t, i) * g.z(i);
  });
  auto const a = as_const(da), b = as_const(db);
  if (out.x.data() != nullptr) detail::multiply(ex, a, s.input, out.x, false, ws);
  if (out.h.data() != nullptr) detail::multiply(ex, b, s.hidden, out.h, true, ws);
  if (out.input.data() != nullptr) detail::add_outer_products(ex, a, x, out.input);
  if (out.hidden.data() != nullptr) detail::add_outer_products(ex, b, h, out.hidden);
  if (out.input_bias.data() != nullptr) detail::add_column_sums(a, out.input_bias);
  if (out.hidden_bias.data() != nullptr) detail::add_column_sums(b, out.hidden_bias);
}

/// next(order[t]) := state(t): where tokens change places between layers.
template <class R>
void reorder(matrix_view<R const> state, view<std::int32_t const> order, matrix_view<R> next) {
  static constexpr char function[] = "route::reorder";
  check_argument(order.size() == state.rows() && next.rows() == state.rows() && next.cols() == state.cols(), function, "size of the order", order.size(), "the number of tokens");
  for (std::int32_t to : order) check_argument(to >= 0 && to < next.rows(), function, "a place", to, "a row of the state");
  for (std::int64_t t = 0; t < state.rows(); ++t)
    for (std::int64_t i = 0; i < state.cols(); ++i) next(order[t], i) = state(t, i);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
