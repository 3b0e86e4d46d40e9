#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/row_map.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

template <class O>
concept route_option = std::same_as<std::remove_cvref_t<O>, routing_stats_view> || std::same_as<std::remove_cvref_t<O>, row_mask> ||
                       std::same_as<std::remove_cvref_t<O>, routing_stats_gradient> || std::same_as<std::remove_cvref_t<O>, workspace>;

/// The option of type T among those given, or an empty one.
template <class T>
T find_option() {
  return {};
}
template <class T, class First, class... Rest>
T find_option(First const& first, Rest const&... rest) {
  if constexpr (std::same_as<First, T>)
    return first;
  else
    return find_option<T>(rest...);
}

template <class Router>
void check_route(Router const& router, std::int64_t rows, std::int64_t experts, std::int64_t id_rows, std::int64_t slots, char const* function) {
  check_argument(experts >= 1, function, "number of experts", experts, "1 or more");
  check_argument(id_rows == rows, function, "rows of the ids", id_rows, "the rows of the logits");
  router.check(experts);
  check_argument(slots == router.slots(experts), function, "slots of the assignment", slots, "the slots of the router");
}

inline void check_mask(row_mask const& mask, std::int64_t rows, char const* function) {
  check_argument(mask.real.data() == nullptr || mask.real.size() == rows, function, "size of the row mask", mask.real.size(),
                 "the rows of the logits");
}

/// Bytes from the first to the last element, as a range for overlap checks.
template <class T>
view<T> extent(matrix_view<T> m) {
  return {m.data(), m.empty() ? 0 : (m.rows() - 1) * m.stride() + m.cols()};
}

/// The first kept row with a NaN; -1: none.
template <class L>
std::int64_t find_nan_row(matrix_view<L const> logits, row_mask const& mask) {
  for (std::int64_t t = 0; t < logits.rows(); ++t) {
    if (!mask.keeps(t)) continue;
    bool bad = false;
    for (std::int64_t e = 0; e < logits.cols(); ++e) bad = bad || math::isnan(to_arithmetic(logits.row(t).data()[e]));
    if (bad) return t;
  }
  return -1;
}

}  // namespace detail

/// Routes each row of `logits` (T x E; float, double, float16 or bfloat16) by `router` into `out` (T x K, K = router.slots(E)):
///   assign(ex, router, logits, out[, stats.view()][, row_mask{...}][, workspace])
/// The statistics are overwritten, not added to. Scores are computed in float (double for double logits), weights rounded last.
/// Ids, weights and statistics are a function of the input alone: the same bits on every executor and at every thread count.
/// \throws argument_error before any write: shapes that do not match, k out of range, overlap, and under nan_policy::error the first row
/// with a NaN (on a device such a row is treated as degenerate and reported by `fetch`).
template <executor E, row_router Router, matrix_viewable X, class W, class Id, detail::route_option... Options>
void assign(E const& ex, Router const& router, X const& x, assignment<W, Id> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const logits = as_const(as_matrix_view(x));
  auto const stats = detail::find_option<routing_stats_view>(options...);
  auto const mask = detail::find_option<row_mask>(options...);
  detail::check_route(router, logits.rows(), logits.cols(), out.id.rows(), out.id.cols(), function);
  check_argument(out.weight.rows() == out.id.rows() && out.weight.cols() == out.id.cols(), function, "shape of the weights", out.weight.cols(),
                 "the shape of the ids");
  detail::check_mask(mask, logits.rows(), function);
  std::int64_t const experts = logits.cols();
  check_argument(stats.integers.data() == nullptr || (stats.integers.size() == routing_stats_view::integer_size(experts) &&
                                                      stats.reals.size() == routing_stats_view::real_size(experts)),
                 function, "experts of the statistics", stats.experts(), "the number of experts");
  auto const extent = detail::extent(logits);
  check_argument(!overlaps(extent, detail::extent(out.id)) && !overlaps(extent, detail::extent(out.weight)) &&
                     !overlaps(detail::extent(out.id), detail::extent(out.weight)),
                 function, "memory of the outputs", "overlapping", "apart from the logits and from each other");
  if constexpr (host_executor<E>) {
    if (router.nan == nan_policy::error) {
      std::int64_t const row = detail::find_nan_row(logits, mask);
      check_argument(row < 0, function, "row with a NaN logit", row, "absent under nan_policy::error");
    }
  }
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, row_map_loop<Router>{router, mask, stats}, logits, out, ws.get());
}

template <row_router Router, matrix_viewable X, class W, class Id, detail::route_option... Options>
void assign(Router const& router, X const& x, assignment<W, Id> out, Options&&... options) {
  assign(serial, router, x, out, options...);
}

/// The vjp of `assign`: writes dlogits (T x E) for the ids of `forward` (recorded ids can be replayed), the gradients `dweight` of its
/// weights (T x K) and, where a `routing_stats_gradient` is given, those of its statistics. Chosen ids are constants. Degenerate rows, rows
/// with a +infinity, padding rows and entries that are not finite get 0. An empty `dweight` means none:
///   assign_vjp(ex, router, logits, forward, dweight, dlogits[, routing_stats_gradient{...}][, row_mask{...}][, workspace])
template <executor E, row_router Router, matrix_viewable X, class W, class Id, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(E const& ex, Router const& router, X const& x, assignment<W, Id> const& forward, Y const& y, Z&& z, Options&&... options) {
  static constexpr char function[] = "route::assign_vjp";
  auto const logits = as_const(as_matrix_view(x));
  auto const dweight = as_const(as_matrix_view(y));
  auto const dlogits = as_matrix_view(z);
  auto const id = as_const(forward.id);
  auto const mask = detail::find_option<row_mask>(options...);
  auto const stats = detail::find_option<routing_stats_gradient>(options...);
  detail::check_route(router, logits.rows(), logits.cols(), id.rows(), id.cols(), function);
  check_argument(dweight.data() == nullptr || (dweight.rows() == id.rows() && dweight.cols() == id.cols()), function, "shape of dweight",
                 dweight.cols(), "the shape of the ids");
  check_argument(dlogits.rows() == logits.rows() && dlogits.cols() == logits.cols(), function, "shape of dlogits", dlogits.cols(),
                 "the shape of the logits");
  check_argument(stats.score_sum.data() == nullptr || stats.score_sum.size() == logits.cols(), function, "size of the score gradient",
                 stats.score_sum.size(), "the number of experts");
  check_argument(!overlaps(detail::extent(dlogits), detail::extent(logits)) && !overlaps(detail::extent(dlogits), detail::extent(dweight)),
                 function, "memory of dlogits", "overlapping", "apart from the inputs");
  detail::check_mask(mask, logits.rows(), function);
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, row_map_vjp_loop<Router>{router, mask, stats}, logits, id, dweight, dlogits, ws.get());
}

template <row_router Router, matrix_viewable X, class W, class Id, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(Router const& router, X const& x, assignment<W, Id> const& forward, Y const& y, Z&& z, Options&&... options) {
  assign_vjp(serial, router, x, forward, y, z, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
