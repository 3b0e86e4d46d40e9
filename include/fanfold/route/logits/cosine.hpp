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

namespace fanfold::inline FANFOLD_ABI::route {

/// l_te = tau cos(h_t, m_e), tau = exp(min(s, log 100)) (X-MoE, Chi et al., 2022; Tutel). h is the token, or its projection by
/// linear_logits; norms are at least 1e-12, so that a zero vector gives 0. m is E x p.
template <class W = float>
struct cosine_logits {
  matrix_view<W const> experts{};
  double log_scale = 0x1.62e42fefa39efp-1;  // log(1 / 0.5)

  static constexpr double most_log_scale = 0x1.26bb1bbb55516p+2;  // log 100
  double scale() const { return math::exp(log_scale < most_log_scale ? log_scale : most_log_scale); }
};

/// ProMoE's similarity to prototypes (2510.24711): the cosine itself.
template <class W = float>
struct prototype_logits {
  matrix_view<W const> prototypes{};
  cosine_logits<W> cosine() const { return {prototypes, 0}; }
};

namespace detail {

/// to := v / max(|v|, 1e-12); returns the norm, 0 for one below.
template <class R, class V>
R unit_row(V const* v, std::int64_t n, R* to) {
  R const norm = math::sqrt(dot<R>(v, v, n));
  R const divisor = norm < R(1e-12) ? R(1e-12) : norm;
  for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<R>(to_arithmetic(v[i])) / divisor;
  return norm < R(1e-12) ? R(0) : norm;
}

/// d := (d - u <u, d>) / norm; 0 where the norm is.
template <class R>
void unit_row_vjp(R const* u, R norm, std::int64_t n, R* d) {
  R const along = dot<R>(u, d, n);
  for (std::int64_t i = 0; i < n; ++i) d[i] = norm == R(0) ? R(0) : (d[i] - u[i] * along) / norm;
}

template <class R, class M>
void unit_rows(matrix_view<M const> m, R* unit, R* norm) {
  for (std::int64_t e = 0; e < m.rows(); ++e) norm[e] = unit_row(m.row(e).data(), m.cols(), unit + e * m.cols());
}

}  // namespace detail

/// What `run_loop` runs for cosine logits.
template <class W = float>
struct cosine_loop {
  cosine_logits<W> source{};
};

template <host_executor E, class W, class X, class T>
void run_loop(E const& ex, cosine_loop<W> const& loop, matrix_view<X const> h, matrix_view<T> to, workspace& ws) {
  using R = arithmetic_t<T>;
  std::int64_t const n = loop.source.experts.rows(), p = loop.source.experts.cols();
  workspace::frame frame(ws);
  R* const unit = frame.take<R>(n * p).data();
  R* const norm = frame.take<R>(n).data();
  detail::unit_rows(loop.source.experts, unit, norm);
  R const tau = static_cast<R>(loop.source.scale());
  for_each_task(ex, h.rows(), static_cast<std::size_t>(n + p) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    auto* const u = static_cast<R*>(scratch);
    detail::unit_row(h.row(t).data(), p, u);
    detail::row_times_transposed(u, matrix_view<R const>(unit, n, p), u + p);
    for (std::int64_t e = 0; e < n; ++e) to(t, e) = from_arithmetic<T>(tau * u[p + e]);
  });
}

template <executor E, class W, matrix_viewable X, matrix_viewable Y>
void logits(E const& ex, cosine_logits<W> const& source, X const& x, Y&& out) {
  static constexpr char function[] = "route::logits";
  auto const h = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(out);
  check_argument(h.cols() == source.experts.cols(), function, "columns of the tokens", h.cols(), "those of the experts");
  check_argument(to.rows() == h.rows() && to.cols() == source.experts.rows(), function, "shape of the logits", to.cols(), "tokens x experts");
  fanfold::detail::call_workspace ws(ex);
  run_loop(ex, cosine_loop<W>{source}, h, to, ws.get());
}

template <executor E, class W, matrix_viewable X, matrix_viewable Y>
void logits(E const& ex, prototype_logits<W> const& source, X const& x, Y&& out) {
  logits(ex, source.cosine(), x, out);
}

/// Gradients by the tokens (written) and by the expert vectors (added to), where given; returns the one by the scale s.
template <host_executor E, class W, matrix_viewable X, matrix_viewable D, class R>
double logits_vjp(E const& ex, cosine_logits<W> const& source, X const& x, D const& dlogits, matrix_view<R> dinput, matrix_view<R> dexperts) {
  static constexpr char function[] = "route::logits_vjp";
  auto const h = as_const(as_matrix_view(x));
  auto const d = as_const(as_matrix_view(dlogits));
  std::int64_t const n = source.experts.rows(), p = source.experts.cols(), rows = h.rows();
  check_argument(h.cols() == p && d.rows() == rows && d.cols() == n, function, "shape of dlogits", d.cols(), "tokens x experts");
  check_argument(dinput.data() == nullptr || (dinput.rows() == rows && dinput.cols() == p), function, "shape of the input gradient", dinput.cols(), "that of the tokens");
  check_argument(dexperts.data() == nullptr || (dexperts.rows() == n && dexperts.cols() == p), function, "shape of the expert gradient", dexperts.cols(), "that of the experts");
  workspace ws;
  workspace::frame frame(ws);
  R* const unit = frame.take<R>(n * p).data();
  R* const norm = frame.take<R>(n).data();
  R* const tokens = frame.take<R>(rows * p).data();
  R* const along = frame.take<R>(rows).data();
  detail::unit_rows(source.experts, unit, norm);
  R const tau = static_cast<R>(source.scale());
  for_each_task(ex, rows, static_cast<std::size_t>(n) * sizeof(R), ws, [&](std::int64_t t, void* scratch) {
    auto* const l = static_cast<R*>(scratch);
    R* const u = tokens + t * p;
    R const length = detail::unit_row(h.row(t).data(), p, u);
    detail::row_times_transposed(u, matrix_view<R const>(unit, n, p), l);
    along[t] = R(0);
    for (std::int64_t e = 0; e < n; ++e) along[t] += static_cast<R>(to_arithmetic(d(t, e))) * tau * l[e];
    if (dinput.data() == nullptr) return;
    R* const to = dinput.row(t).data();
    for (std::int64_t i = 0; i < p; ++i) to[i] = R(0);
    detail::add_row_times(d.row(t).data(), matrix_view<R const>(unit, n, p), to);
    for (std::int64_t i = 0; i < p; ++i) to[i] *= tau;
    detail::unit_row_vjp(u, length, p, to);
  });
  double ds = 0;
  for (std::int64_t t = 0; t < rows; ++t) ds += static_cast<double>(along[t]);
  if (dexperts.data() != nullptr)
    for_each_task(ex, n, static_cast<std::size_t>(p) * sizeof(R), ws, [&](std::int64_t e, void* scratch) {
      auto* const to = static_cast<R*>(scratch);
      for (std::int64_t i = 0; i < p; ++i) to[i] = R(0);
      for (std::int64_t t = 0; t < rows; ++t)
        for (std::int64_t i = 0; i < p; ++i) to[i] += tau * static_cast<R>(to_arithmetic(d(t, e))) * tokens[t * p + i];
      detail::unit_row_vjp(unit + e * p, norm[e], p, to);
      for (std::int64_t i = 0; i < p; ++i) dexperts(e, i) += to[i];
    });
  return source.log_scale < cosine_logits<W>::most_log_scale ? ds : 0;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
