#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/detail/product.hpp"
#include "fanfold/route/noise.hpp"

/// \file
/// Logits from tokens by small dense products, on host executors: bits do not depend on threads or on the other rows; across builds each
/// logit is within (d / 16 + 5) roundings of the sum of its terms' magnitudes. Large models may bring logits from any other product.

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

template <host_executor E, class W, matrix_viewable X, matrix_viewable Y>
void logits(E const& ex, linear_logits<W> const& source, X const& x, Y&& out) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(out);
  source.check(from.rows(), from.cols(), to.rows(), to.cols(), "route::logits");
  workspace ws;
  detail::multiply_transposed(ex, from, source.weight, source.bias, to, ws);
}

/// Where gradients go; views left empty are not wanted. `input` is written, the others are added to.
template <class R = float>
struct linear_gradient {
  matrix_view<R> input{};
  matrix_view<R> weight{};
  view<R> bias{};
};

template <host_executor E, class W, matrix_viewable X, matrix_viewable D, class R>
void logits_vjp(E const& ex, linear_logits<W> const& source, X const& x, D const& dlogits, linear_gradient<R> const& out) {
  static constexpr char function[] = "route::logits_vjp";
  auto const from = as_const(as_matrix_view(x));
  auto const d = as_const(as_matrix_view(dlogits));
  source.check(from.rows(), from.cols(), d.rows(), d.cols(), function);
  auto const fits = [](auto const& m, std::int64_t rows, std::int64_t cols) { return m.data() == nullptr || (m.rows() == rows && m.cols() == cols); };
  check_argument(fits(out.input, from.rows(), from.cols()), function, "shape of the input gradient", out.input.cols(), "that of the tokens");
  check_argument(fits(out.weight, source.weight.rows(), source.weight.cols()), function, "shape of the weight gradient", out.weight.cols(), "that of the weight");
  check_argument(out.bias.data() == nullptr || out.bias.size() == d.cols(), function, "size of the bias gradient", out.bias.size(), "the number of logits");
  workspace ws;
  if (out.input.data() != nullptr) detail::multiply(ex, d, source.weight, out.input, false, ws);
  if (out.weight.data() != nullptr) detail::add_outer_products(ex, d, from, out.weight);
  if (out.bias.data() != nullptr) detail::add_column_sums(d, out.bias);
}

/// MoE++ (2024): z = W x + W_g z', z' the full logits of the layer before (none in the first: leave `previous` empty).
template <class W = float>
struct residual_logits {
  matrix_view<W const> weight{};
  matrix_view<W const> gate{};
};

template <host_executor E, class W, matrix_viewable X, matrix_viewable Z, matrix_viewable Y>
void logits(E const& ex, residual_logits<W> const& source, X const& x, Z const& previous, Y&& out) {
  static constexpr char function[] = "route::logits";
  auto const from = as_const(as_matrix_view(x));
  auto const before = as_const(as_matrix_view(previous));
  auto const to = as_matrix_view(out);
  using T = typename decltype(to)::value_type;
  using R = arithmetic_t<T>;
  bool const first = before.data() == nullptr;
  linear_logits<W> const plain{source.weight, {}};
  plain.check(from.rows(), from.cols(), to.rows(), to.cols(), function);
  std::int64_t const n = to.cols();
  check_argument(first || (before.rows() == to.rows() && before.cols() == n), function, "shape of the previous logits", before.cols(), "that of the logits");
  check_argument(first || (source.gate.rows() == n && source.gate.cols() == n), function, "shape of the gate", source.gate.cols(), "experts x experts");
  workspace ws;
  detail::multiply_transposed(ex, from, source.weight, view<W const>{}, to, ws);
  if (first) return;
  for_each_task(ex, to.rows(), static_cast<std::size_t>(n) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    auto* const sum = static_cast<R*>(scratch);
    detail::row_times_transposed(before.row(t).data(), source.gate, sum);
    for (std::int64_t e = 0; e < n; ++e) to(t, e) = from_arithmetic<T>(static_cast<R>(to_arithmetic(to(t, e))) + sum[e]);
  });
}

/// The gradients by x and W (as for linear_logits), dW_g += dz (x) z', and dz' += W_g^T dz where `dprevious` is given.
template <host_executor E, class W, matrix_viewable X, matrix_viewable Z, matrix_viewable D, class R>
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
  workspace ws;
  if (dgate.data() != nullptr) detail::add_outer_products(ex, d, before, dgate);
  if (dprevious.data() != nullptr) detail::multiply(ex, d, source.gate, dprevious, true, ws);
}

/// Switch Transformer's input jitter: out = x u, u uniform in (1 - eps, 1 + eps), one draw an element; training only. May be in place.
template <host_executor E, matrix_viewable X, matrix_viewable Y>
void jitter(E const& ex, row_noise const& noise, float eps, X const& x, Y&& out) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(out);
  using T = typename decltype(to)::value_type;
  check_argument(eps >= 0 && eps < 1, "route::jitter", "eps", eps, "0 or more and below 1");
  check_argument(to.rows() == from.rows() && to.cols() == from.cols(), "route::jitter", "shape of the output", to.cols(), "that of the input");
  random_stream const s{noise.key, streams::router_jitter, 0};
  for_each_task(ex, from.rows(), [&](std::int64_t t) {
    for (std::int64_t i = 0; i < from.cols(); ++i) {
      float const u = s.u01(noise.element(t, i, from.cols()));
      to(t, i) = from_arithmetic<T>(static_cast<arithmetic_t<T>>(to_arithmetic(from(t, i))) * static_cast<arithmetic_t<T>>(1 - eps + 2 * eps * u));
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::route
