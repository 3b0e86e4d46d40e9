#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/fold/coordinate_fold_vjp.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

/// Rows of `to` as sums of rows of `from`: row i takes the entries (row, weight) that `entries(i, add)` adds.
template <host_executor E, class A, class U, class F>
void combine_rows(E const& ex, rows_view<A const> const& from, rows_view<U> const& to, F const& entries, workspace& ws) {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> ids;
  std::vector<A> weights;
  for (std::int64_t i = 0; i < to.rows(); ++i) {
    entries(i, [&](std::int64_t row, double weight) {
      if (auto const w = static_cast<A>(weight); w != 0) {
        ids.push_back(static_cast<std::int32_t>(row));
        weights.push_back(w);
      }
    });
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  element_range const whole[1] = {{0, to.cols()}};
  map_fold(ex, weighted_sum<A>{weights}, row_lists<A const>{from, offsets, ids}, to, whole, ws);
}

/// A coordinate rule over mixed rows `ids` (all where empty): the gradients of a block of mixed rows, then those of the rows.
template <host_executor E, class R, class T, class D>
void mixed_vjp(robust_call<E, T> const& call, R const& rule, point_table<T> const& p, matrix_view<double const> m, view<std::int32_t const> ids,
               view<arithmetic_t<T> const> g, rows_view<D> const& dx, workspace& host_ws) {
  using A = arithmetic_t<T>;
  workspace::frame host(host_ws);
  mixed_rows<E, T> const mixed(call.ex, p, m, ids, host, host);
  std::int64_t const n = mixed.rows(), width = p.d < mixed_block ? p.d : mixed_block;
  matrix_view<A> const block(host.take<A>(n * width).data(), n, width), dblock(host.take<A>(n * width).data(), n, width);
  D** const to = host.take<D*>(p.n).data();
  for (std::int64_t begin = 0; begin < p.d; begin += width) {
    std::int64_t const count = p.d - begin < width ? p.d - begin : width;
    matrix_view<A> const now(block.data(), n, count, width), dnow(dblock.data(), n, count, width);
    mixed.write(call.ex, begin, count, rows_view<A>(now), call.ws);
    coordinate_fold_vjp(call.ex, rule, now, g.subview(begin, count), dnow, call.ws);
    for (std::int64_t i = 0; i < p.n; ++i) to[i] = dx.row_data(i) + begin;
    auto const entries = [&](std::int64_t i, auto const& add) {
      for (std::int64_t j = 0; j < n; ++j) add(j, m(ids.empty() ? j : ids[j], i));
    };
    combine_rows(call.ex, rows_view<A const>(as_const(dnow)), rows_view<D>(to, p.n, count), entries, call.ws);
  }
}

template <host_executor E, class R, class T, class D>
void answer_vjp(robust_call<E, T> const& call, R const& rule, point_table<T> const& p, row_geometry const& geometry, matrix_view<double const> mixture,
                view<arithmetic_t<T> const> g, rows_view<D> const& dx, workspace& host_ws) {
  using A = arithmetic_t<T>;
  workspace::frame host(host_ws);
  if constexpr (gram_rule<R>) {
    view<double> const weight = total_weights(rule, geometry, mixture, p.points, host, host_ws);
    A const* const row[1] = {g.data()};
    combine_rows(call.ex, rows_view<A const>(row, 1, p.d), dx, [&](std::int64_t i, auto const& add) { add(0, weight[i]); }, call.ws);
  } else if constexpr (selection_rule<R>) {
    view<std::int32_t> const ids = host.take<std::int32_t>(rule.selected(geometry.rows));
    rule.select(geometry, ids, host_ws);
    if (!mixture.empty()) return mixed_vjp(call, rule.coordinates(), p, mixture, view<std::int32_t const>(ids), g, dx, host_ws);
    T const** const chosen = host.take<T const*>(ids.size()).data();
    D** const to = host.take<D*>(p.n).data();
    for (std::int64_t i = 0; i < ids.size(); ++i) chosen[i] = p.address[ids[i]], to[i] = dx.row_data(ids[i]);
    coordinate_fold_vjp(call.ex, rule.coordinates(), rows_view<T const>(chosen, ids.size(), p.d), g, rows_view<D>(to, ids.size(), p.d), call.ws);
    std::int64_t others = 0;
    for (std::int64_t i = 0; i < p.n; ++i) {
      bool found = false;
      for (std::int32_t id : ids) found |= id == i;
      if (!found) to[others++] = dx.row_data(i);
    }
    combine_rows(call.ex, rows_view<A const>(matrix_view<A const>(g.data(), 1, p.d)), rows_view<D>(to, others, p.d), [](std::int64_t, auto const&) {}, call.ws);
  } else {
    mixed_vjp(call, rule, p, mixture.sub_rows(0, geometry.rows), {}, g, dx, host_ws);
  }
}

}  // namespace detail

/// Gradient of `robust` with respect to the rows, for g = dL/dout: what the rule chose or weighed is a constant under differentiation.
///
/// Rules that answer with weights alpha: dx_i = alpha_i g. Order statistics: g / count to the rows that a coordinate averages, rows of
/// equal value in index order; bulyan the same among the rows it chose. Behind pre-aggregations x' = M x: dx = M' dx'. `dx`: n rows,
/// overwritten; rows that are not finite get 0 from rules with weights. sign_vote has no gradient and is not taken. The options are those of `robust`.
/// \throws argument_error as `robust`, and for shapes of dx and g that do not match. \par Determinism  as `robust`.
template <host_executor E, class R, rows_viewable X, viewable G, rows_viewable DX, detail::robust_option... Options>
  requires(detail::robust_rule<R> && !std::is_same_v<typename detail::last_rule<R>::type, sign_vote>)
void robust_vjp(E const& ex, R const& rule, X const& rows, G const& gradient, DX const& dx, Options&&... options) {
  auto const from = as_const(as_rows_view(rows));
  auto const g = as_const(as_view(gradient));
  auto const to = as_rows_view(dx);
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  static_assert(std::same_as<std::remove_const_t<typename decltype(g)::element_type>, arithmetic_t<T>>, "gradients are of the arithmetic type of the rows");
  view<T const> const previous = detail::uses_previous<R>() ? detail::find_previous<T>(std::as_const(options)...) : view<T const>();
  detail::check_robust(from, previous);
  check_argument(g.size() == from.cols(), "robust_vjp", "size of the gradient", g.size(), "the length of the rows");
  check_argument(to.rows() == from.rows(), "robust_vjp", "rows of dx", to.rows(), "the number of rows");
  check_argument(to.cols() == from.cols(), "robust_vjp", "columns of dx", to.cols(), "the length of the rows");
  detail::check_rule(rule, from.rows());
  fanfold::detail::call_workspace ws(ex, options...);
  if constexpr (detail::direct_rule<R>) {
    coordinate_fold_vjp(ex, rule, from, g, to, ws.get());
  } else {
    detail::robust_call<E, T> const call{ex, from, previous, fanfold::detail::find_nonfinite(nonfinite::as_pos_inf, options...), ws.get()};
    detail::with_geometry(call, rule, nullptr, [&](auto const& last, row_geometry const& inner, matrix_view<double const> mixture,
                                                   detail::point_table<T> const& p, workspace& host_ws) {
      detail::answer_vjp(call, last, p, inner, mixture, g, to, host_ws);
    });
  }
}

/// The same on the calling thread.
template <class R, rows_viewable X, viewable G, rows_viewable DX, detail::robust_option... Options>
  requires(detail::robust_rule<R> && !std::is_same_v<typename detail::last_rule<R>::type, sign_vote>)
void robust_vjp(R const& rule, X const& rows, G const& gradient, DX const& dx, Options&&... options) {
  robust_vjp(serial, rule, rows, gradient, dx, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
