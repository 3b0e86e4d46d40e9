#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/noise.hpp"

/// \file
/// Logits from tokens by small dense products: bits do not depend on executor, threads or the other rows; across builds each
/// logit is within (d / 16 + 5) roundings of the sum of its terms' magnitudes. Large models may bring logits from any other product.
/// Device executors need kernel/logits.hpp.

namespace fanfold::inline FANFOLD_ABI::route {

/// l = W x + b; W is E x d, b empty or E numbers.
template <class W = float>
struct linear_logits {
  matrix_view<W const> weight{};
  view<W const> bias{};

  void check(std::int64_t rows, std::int64_t width, std::int64_t out_rows, std::int64_t out_cols, char const* function) const {
    check_argument(width == weight.cols(), function, "columns of the tokens", width, "those of the weight");
    check_argument(out_rows == rows, function, "rows of the logits", out_rows, "the number of tokens");
    check_argument(out_cols == weight.rows(), function, "columns of the logits", out_cols, "the rows of the weight");
    check_argument(bias.empty() || bias.size() == weight.rows(), function, "size of the bias", bias.size(), "0 or the rows of the weight");
  }
};

template <executor E, class W, matrix_viewable X, matrix_viewable Y>
void logits(E const& ex, linear_logits<W> const& source, X const& x, Y&& out) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(out);
  source.check(from.rows(), from.cols(), to.rows(), to.cols(), "route::logits");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, detail::transposed_product{}, from, source.weight, source.bias, to, ws.get());
}

/// Where gradients go; views left empty are not wanted. `input` is written, the others are added to.
template <class R = float>
struct linear_gradient {
  matrix_view<R> input{};
  matrix_view<R> weight{};
  view<R> bias{};
};

template <executor E, class W, matrix_viewable X, matrix_viewable D, class R>
void logits_vjp(E const& ex, linear_logits<W> const& source, X const& x, D const& dlogits, linear_gradient<R> const& out) {
  static constexpr char function[] = "route::logits_vjp";
  auto const from = as_const(as_matrix_view(x));
  auto const d = as_const(as_matrix_view(dlogits));
  source.check(from.rows(), from.cols(), d.rows(), d.cols(), function);
  auto const fits = [](auto const& m, std::int64_t rows, std::int64_t cols) { return m.data() == nullptr || (m.rows() == rows && m.cols() == cols); };
  check_argument(fits(out.input, from.rows(), from.cols()), function, "shape of the input gradient", out.input.cols(), "that of the tokens");
  check_argument(fits(out.weight, source.weight.rows(), source.weight.cols()), function, "shape of the weight gradient", out.weight.cols(), "that of the weight");
  check_argument(out.bias.data() == nullptr || out.bias.size() == d.cols(), function, "size of the bias gradient", out.bias.size(), "the number of logits");
  fanfold::detail::call_workspace ws(ex);
  if (out.input.data() != nullptr) run_loop(ex, detail::plain_product{}, d, source.weight, out.input, ws.get());
  if (out.weight.data() != nullptr) run_loop(ex, detail::outer_products{}, d, from, out.weight);
  if (out.bias.data() != nullptr) run_loop(ex, detail::column_sums{}, d, out.bias);
}

/// MoE++ (2024): z = W x + W_g z', z' the full logits of the layer before (none in the first: leave `previous` empty).
template <class W = float>
struct residual_logits {
  matrix_view<W const> weight{};
  matrix_view<W const> gate{};
};

template <executor E, class W, matrix_viewable X, matrix_viewable Z, matrix_viewable Y>
void logits(E const& ex, residual_logits<W> const& source, X const& x, Z const& previous, Y&& out) {
  static constexpr char function[] = "route::logits";
  auto const from = as_const(as_matrix_view(x));
  auto const before = as_const(as_matrix_view(previous));
  auto const to = as_matrix_view(out);
  bool const first = before.data() == nullptr;
  linear_logits<W> const plain{source.weight, {}};
  plain.check(from.rows(), from.cols(), to.rows(), to.cols(), function);
  std::int64_t const n = to.cols();
  check_argument(first || (before.rows() == to.rows() && before.cols() == n), function, "shape of the previous logits", before.cols(), "that of the logits");
  check_argument(first || (source.gate.rows() == n && source.gate.cols() == n), function, "shape of the gate", source.gate.cols(), "experts x experts");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, detail::transposed_product{}, from, source.weight, view<W const>{}, to, ws.get());
  if (!first) run_loop(ex, detail::added_product{}, before, source.gate, to, ws.get());
}

/// The gradients by x and W (as for linear_logits), dW_g += dz (x) z', and dz' += W_g^T dz where `dprevious` is given.
template <executor E, class W, matrix_viewable X, matrix_viewable Z, matrix_viewable D, class R>
void logits_vjp(E const& ex, residual_logits<W> const& source, X const& x, Z const& previous, D const& dlogits, linear_gradient<R> const& out,
                matrix_view<R> dgate, matrix_view<R> dprevious) {
  static constexpr char function[] = "route::logits_vjp";
  logits_vjp(ex, linear_logits<W>{source.weight, {}}, x, dlogits, out);
  auto const before = as_const(as_matrix_view(previous));
  if (before.data() == nullptr) return;
  auto const d = as_const(as_matrix_view(dlogits));
  check_argument(before.rows() == d.rows() && before.cols() == d.cols(), function, "shape of the previous logits", before.cols(), "that of the logits");
  check_argument(source.gate.rows() == d.cols() && source.gate.cols() == d.cols(), function, "shape of the gate", source.gate.cols(), "experts x experts");
  check_argument(dgate.data() == nullptr || (dgate.rows() == d.cols() && dgate.cols() == d.cols()), function, "shape of the gate gradient", dgate.cols(), "that of the gate");
  check_argument(dprevious.data() == nullptr || (dprevious.rows() == d.rows() && dprevious.cols() == d.cols()), function, "shape of dprevious", dprevious.cols(), "that of the logits");
  fanfold::detail::call_workspace ws(ex);
  if (dgate.data() != nullptr) run_loop(ex, detail::outer_products{}, d, before, dgate);
  if (dprevious.data() != nullptr) run_loop(ex, detail::plain_product{true}, d, source.gate, dprevious, ws.get());
}

/// What `run_loop` runs for jitter: out(t, i) = jittered(x(t, i)).
struct jitter_loop {
  row_noise noise{};
  float eps = 0;

  template <class T, class X>
  FANFOLD_HD T at(std::int64_t t, std::int64_t i, std::int64_t columns, X x) const {
    float const u = random_stream{noise.key, streams::router_jitter, 0}.u01(noise.element(t, i, columns));
    return from_arithmetic<T>(static_cast<arithmetic_t<T>>(to_arithmetic(x)) * static_cast<arithmetic_t<T>>(1 - eps + 2 * eps * u));
  }
};

template <host_executor E, class X, class T>
void run_loop(E const& ex, jitter_loop const& loop, matrix_view<X const> from, matrix_view<T> to) {
  for_each_task(ex, from.rows(), [&](std::int64_t t) {
    for (std::int64_t i = 0; i < from.cols(); ++i) to(t, i) = loop.at<T>(t, i, from.cols(), from(t, i));
  });
}

/// Switch Transformer's input jitter: out = x u, u uniform in (1 - eps, 1 + eps), one draw an element; training only. May be in place.
template <executor E, matrix_viewable X, matrix_viewable Y>
void jitter(E const& ex, row_noise const& noise, float eps, X const& x, Y&& out) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(out);
  check_argument(eps >= 0 && eps < 1, "route::jitter", "eps", eps, "0 or more and below 1");
  check_argument(to.rows() == from.rows() && to.cols() == from.cols(), "route::jitter", "shape of the output", to.cols(), "that of the input");
  run_loop(ex, jitter_loop{noise, eps}, from, to);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
