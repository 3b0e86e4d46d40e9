#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// A pre-aggregation and the rule behind it, made by `compose`.
template <mixing_rule Pre, class Rule>
struct composed {
  Pre before{};
  Rule then{};
};

/// First `before`, then `then`. Both work on n x n numbers, so no mixed row is ever formed unless a coordinate rule comes last, and then
/// only a block of coordinates at a time.
template <mixing_rule Pre, class Rule>
composed<Pre, Rule> compose(Pre const& before, Rule const& then) {
  return {before, then};
}
template <mixing_rule Pre, class Second, class... Rest>
  requires(sizeof...(Rest) > 0)
auto compose(Pre const& before, Second const& second, Rest const&... rest) {
  return compose(before, compose(second, rest...));
}

namespace detail {

template <class R>
inline constexpr bool is_composed = false;
template <class Pre, class Rule>
inline constexpr bool is_composed<composed<Pre, Rule>> = true;

template <class R>
struct last_rule {
  using type = R;
};
template <class Pre, class Rule>
struct last_rule<composed<Pre, Rule>> : last_rule<Rule> {};

template <class R>
needs requirement_of(R const& r) {
  if constexpr (is_composed<R>) {
    needs const inner = requirement_of(r.then);
    needs all = r.before.requirement();
    if (includes(inner, needs::products)) all = all | needs::products;
    // distances between mixed rows come from all distances between rows
    if (includes(inner, needs::distances | needs::norms | needs::one_distance)) all = all | needs::distances;
    if (includes(inner, needs::norms)) all = all | needs::norms;
    return all;
  } else if constexpr (requires { r.requirement(); }) {
    return r.requirement();
  } else {
    return needs::nothing;
  }
}

template <class R>
void check_rule(R const& r, std::int64_t n) {
  if constexpr (is_composed<R>) {
    r.before.check(n);
    check_rule(r.then, r.before.rows_after(n));
  } else if constexpr (requires { r.check(n); }) {
    r.check(n);
  }
}

/// The geometry of mixed rows: D'_ij = -1/2 (m_i - m_j)' D (m_i - m_j), K'_ij = m_i' K m_j. `m` has a row for each new point.
inline row_geometry mixed_geometry(row_geometry const& g, matrix_view<double const> m, std::int64_t rows, needs inner, workspace::frame& frame,
                                   workspace& ws) {
  std::int64_t const n = m.rows(), p = g.points();
  row_geometry r{.rows = rows};
  r.origin = g.origin < 0 ? -1 : rows;
  r.previous = g.previous < 0 ? -1 : rows + (g.origin < 0 ? 0 : 1);
  r.finite = frame.take<unsigned char>(n);
  for (std::int64_t i = 0; i < n; ++i) {
    r.finite[i] = 1;
    for (std::int64_t k = 0; k < p; ++k)
      if (m(i, k) != 0 && !g.finite[k]) r.finite[i] = 0;
  }
  bool const distances = !g.distance.empty() && includes(inner, needs::distances | needs::norms | needs::one_distance);
  if (distances) r.distance = take_matrix(frame, n, n);
  if (!g.product.empty()) r.product = take_matrix(frame, n, n);
  workspace::frame inside(ws);
  matrix_view<double> const a = take_matrix(inside, n, p);
  auto const multiply = [&](matrix_view<double const> x) {
    set(a, 0);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t k = 0; k < p && r.finite[i]; ++k)
        if (m(i, k) != 0)
          for (std::int64_t l = 0; l < p; ++l) a(i, l) += m(i, k) * x(k, l);
  };
  if (distances) {
    multiply(g.distance);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        double s = 0;
        for (std::int64_t k = 0; k < p && r.finite[i] && r.finite[j]; ++k)
          if (double const v = m(i, k) - m(j, k); v != 0) s += v * (a(i, k) - a(j, k));
        bool const known = i == j || (r.finite[i] && r.finite[j]);
        r.distance(i, j) = r.distance(j, i) = !known ? infinite : s < 0 ? -0.5 * s : 0;
      }
  }
  if (!g.product.empty()) {
    multiply(g.product);
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        double s = 0;
        for (std::int64_t k = 0; k < p; ++k)
          if (m(j, k) != 0) s += a(i, k) * m(j, k);
        r.product(i, j) = r.product(j, i) = r.finite[i] && r.finite[j] ? s : 0;
      }
  }
  return r;
}

/// Walks down to the last rule: calls f(rule, its geometry, mixture), where the mixture has a row of weights of the first points for each
/// point of the last geometry, and is empty where nothing was mixed.
template <class R, class F>
void descend(R const& r, row_geometry const& g, matrix_view<double const> mixture, workspace& ws, F const& f) {
  if constexpr (is_composed<R>) {
    workspace::frame frame(ws);
    std::int64_t const rows = r.before.rows_after(g.rows), extra = g.points() - g.rows, p = g.points();
    matrix_view<double> const m = take_matrix(frame, rows + extra, p);
    set(m, 0);
    for (std::int64_t e = 0; e < extra; ++e) m(rows + e, g.rows + e) = 1;
    r.before.mix(g, m.sub_rows(0, rows), ws);
    row_geometry const next = mixed_geometry(g, m, rows, requirement_of(r.then), frame, ws);
    if (mixture.empty()) return descend(r.then, next, matrix_view<double const>(m), ws, f);
    matrix_view<double> const all = take_matrix(frame, rows + extra, mixture.cols());
    set(all, 0);
    for (std::int64_t i = 0; i < all.rows(); ++i)
      for (std::int64_t k = 0; k < p; ++k)
        if (m(i, k) != 0)
          for (std::int64_t l = 0; l < all.cols(); ++l) all(i, l) += m(i, k) * mixture(k, l);
    descend(r.then, next, matrix_view<double const>(all), ws, f);
  } else {
    f(r, g, mixture);
  }
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
