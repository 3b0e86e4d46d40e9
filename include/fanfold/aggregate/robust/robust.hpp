#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/robust/compose.hpp"
#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/aggregate/robust/points.hpp"
#include "fanfold/aggregate/robust/sign_vote.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_rule.hpp"
#include "fanfold/fold/nonfinite.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Option of `robust`: what the rule starts from (centered_clipping). Same length and element type as the rows.
template <class T>
struct previous_output {
  view<T const> value{};
};
template <viewable V>
previous_output(V const&) -> previous_output<std::remove_cv_t<std::remove_pointer_t<decltype(std::declval<V const&>().data())>>>;

namespace detail {

template <class O>
inline constexpr bool is_previous = false;
template <class T>
inline constexpr bool is_previous<previous_output<T>> = true;

template <class O>
concept robust_option = fanfold::detail::coordinate_option<O> || is_previous<std::remove_cvref_t<O>>;

template <class T>
view<T const> find_previous() {
  return {};
}
template <class T, class First, class... Rest>
view<T const> find_previous(First const& first, Rest const&... rest) {
  if constexpr (is_previous<First>) {
    static_assert(std::is_same_v<First, previous_output<T>>, "previous_output must have the element type of the rows");
    check_argument(first.value.data() != nullptr, "robust", "previous output", first.value.data(), "not null");
    return first.value;
  } else {
    return find_previous<T>(rest...);
  }
}

template <class R>
concept direct_rule = coordinate_rule<R> || std::is_same_v<R, sign_vote>;
template <class R>
concept last_of_all = gram_rule<R> || selection_rule<R> || direct_rule<R>;

/// A rule that `robust` takes: a coordinate rule, sign_vote, a gram_rule, a selection_rule, or one of these behind pre-aggregations.
template <class R>
concept robust_rule = last_of_all<typename last_rule<R>::type>;

template <class R>
constexpr bool uses_previous() {
  if constexpr (requires { last_rule<R>::type::uses_previous; })
    return last_rule<R>::type::uses_previous;
  else
    return false;
}

/// All that a call needs besides the rule.
template <executor E, class T>
struct robust_call {
  E const& ex;
  rows_view<T const> rows;
  view<T const> previous;
  nonfinite policy;
  workspace& ws;
};

template <executor E, class R, class T, class Out>
void run_direct(robust_call<E, T> const& call, R const& rule, rows_view<T const> const& rows, view<Out> out) {
  if constexpr (coordinate_rule<R>) {
    coordinate_fold(call.ex, rule, rows, out, call.policy, call.ws);
  } else {
    check_argument(call.policy == nonfinite::as_pos_inf, "robust", "nonfinite policy", static_cast<int>(call.policy), "the default for sign_vote");
    element_range const whole[1] = {{0, rows.cols()}};
    map_fold(call.ex, rule, rows, rows_view<Out>(matrix_view<Out>(out.data(), 1, out.size())), whole, call.ws);
  }
}

/// The weights of the first points.
template <class R>
view<double> total_weights(R const& rule, row_geometry const& g, matrix_view<double const> mixture, std::int64_t points, workspace::frame& host,
                           workspace& host_ws) {
  view<double> const weight = host.take<double>(g.points());
  rule.weigh(g, weight, host_ws);
  if (mixture.empty()) return weight;
  view<double> const total = host.take<double>(points);
  set(total, 0);
  for (std::int64_t i = 0; i < g.points(); ++i)
    if (weight[i] != 0)
      for (std::int64_t k = 0; k < points; ++k) total[k] += weight[i] * mixture(i, k);
  return total;
}

/// The last rule's answer: weights of the points, or rows that a coordinate rule folds.
template <executor E, class R, class T, class Out>
void answer(robust_call<E, T> const& call, R const& rule, point_table<T> const& p, row_geometry const& g, matrix_view<double const> mixture, view<Out> out,
            workspace& host_ws) {
  workspace::frame host(host_ws);
  if constexpr (gram_rule<R>) {
    weighted_points(call.ex, p, total_weights(rule, g, mixture, p.points, host, host_ws), out, host, call.ws);
  } else if constexpr (selection_rule<R>) {
    view<std::int32_t> const ids = host.take<std::int32_t>(rule.selected(g.rows));
    rule.select(g, ids, host_ws);
    if (!mixture.empty()) return fold_mixed(call.ex, rule.coordinates(), p, mixture, ids, out, call.policy, host, call.ws);
    T const** const address = host.take<T const*>(ids.size()).data();
    for (std::int64_t i = 0; i < ids.size(); ++i) address[i] = p.address[ids[i]];
    coordinate_fold(call.ex, rule.coordinates(), rows_view<T const>(address, ids.size(), p.d), out, call.policy, call.ws);
  } else {
    static_assert(coordinate_rule<R>, "sign_vote takes rows as they are: put no pre-aggregation before it");
    fold_mixed(call.ex, rule, p, mixture.sub_rows(0, g.rows), {}, out, call.policy, host, call.ws);
  }
}

/// The row of the first geometry about which the last rule wants products, -1: none.
template <class R>
std::int64_t wanted_centre(R const& rule, row_geometry const& g, workspace& ws) {
  std::int64_t row = -1;
  if constexpr (requires { std::declval<typename last_rule<R>::type const&>().wants_centre(g, ws); })
    descend(rule, g, {}, ws, [&](auto const& last, row_geometry const& inner, matrix_view<double const> mixture) {
      row = last.wants_centre(inner, ws);
      if (row < 0 || mixture.empty()) return;
      std::int64_t heaviest = 0;
      for (std::int64_t k = 1; k < mixture.cols(); ++k) heaviest = mixture(row, k) > mixture(row, heaviest) ? k : heaviest;
      row = heaviest;
    });
  return row;
}

template <class F>
row_geometry start_geometry(needs what, std::int64_t column, std::int64_t n, std::int64_t origin, std::int64_t previous, geometry_sums const& sums,
                            workspace::frame& frame, F const& is_finite) {
  row_geometry g{.rows = n, .origin = origin, .previous = previous, .centre = sums.product.empty() ? -1 : previous, .distance = sums.distance,
                 .product = sums.product};
  g.finite = frame.take<unsigned char>(n + (origin >= 0 ? 1 : 0) + (previous >= 0 ? 1 : 0));
  find_finite(g, what, column, is_finite);
  settle(g);
  return g;
}

/// Calls f(last rule, its geometry, mixture, points, workspace of host code).
template <executor E, class R, class T, class F>
void with_geometry(robust_call<E, T> const& call, R const& rule, geometry_sums const* given, F const& f) {
  host_memory<E> memory(call.ws);
  workspace::frame device(call.ws);
  workspace::frame host(memory.get());
  needs const what = requirement_of(rule);
  point_table<T> const p = make_points(call.ex, call.rows, call.previous, what, device, host);
  geometry_sums const sums = take_sums(what, p.points, host);
  if (given == nullptr) {
    measure(call.ex, rule, what, p, sums, host, call.ws);
  } else {
    for (std::int64_t e = 0; e < sums.distance.rows() * sums.distance.cols(); ++e) sums.distance.data()[e] = given->distance.data()[e];
    for (std::int64_t e = 0; e < sums.product.rows() * sums.product.cols(); ++e) sums.product.data()[e] = given->product.data()[e];
  }
  auto const is_finite = [&](std::int64_t i) {
    if (given != nullptr) return false;
    double square[1];
    host_gram(call.ex, dot_products{}, rows_view<T const>(p.address + i, 1, p.d), rows_view<T const>(p.address + i, 1, p.d), true,
              matrix_view<double>(square, 1, 1), call.ws);
    return square[0] - square[0] == 0;
  };
  row_geometry g = start_geometry(what, single_column(rule, what, p), p.n, p.origin, p.previous, sums, host, is_finite);
  check_argument(call.policy != nonfinite::propagate, "robust", "nonfinite policy", static_cast<int>(call.policy), "as_pos_inf or reject for rules on distances");
  if (call.policy == nonfinite::reject) check_argument(g.finite_rows() == p.n, "robust", "number of finite rows", g.finite_rows(), "all under nonfinite::reject");
  if (given == nullptr)
    if (std::int64_t const centre = wanted_centre(rule, g, memory.get()); centre >= 0) {
      g.product = take_matrix(host, p.points, p.points);
      g.centre = centre;
      host_gram(call.ex, centred_products{centre}, p.all(), p.all(), true, g.product, call.ws);
      settle(g);
    }
  descend(rule, g, {}, memory.get(), [&](auto const& last, row_geometry const& inner, matrix_view<double const> mixture) {
    f(last, inner, mixture, p, memory.get());
  });
}

template <executor E, class R, class T, class Out>
void run_robust(robust_call<E, T> const& call, R const& rule, geometry_sums const* given, view<Out> out) {
  with_geometry(call, rule, given, [&](auto const& last, row_geometry const& g, matrix_view<double const> mixture, point_table<T> const& p, workspace& host_ws) {
    answer(call, last, p, g, mixture, out, host_ws);
  });
}

template <class T>
void check_robust(rows_view<T const> const& rows, view<T const> previous) {
  check_argument(rows.rows() >= 1, "robust", "number of rows", rows.rows(), "1 or more");
  check_argument(previous.data() == nullptr || previous.size() == rows.cols(), "robust", "size of the previous output", previous.size(), "the length of the rows");
  fanfold::detail::check_rows("robust", "data of a row", rows);
}
template <class T, class Out>
void check_robust(rows_view<T const> const& rows, view<Out> out, view<T const> previous) {
  check_robust(rows, previous);
  check_argument(out.size() == rows.cols(), "robust", "size of out", out.size(), "the length of the rows");
  check_argument(out.data() != nullptr || out.empty(), "robust", "out.data()", out.data(), "not null");
}

}  // namespace detail

/// One row from n rows of which some may be arbitrary: `robust(ex, krum{.f = 2}, updates, out, ws)`.
///
/// `rule`: a coordinate rule (coordinate_median, trimmed_mean, mean_around_median), sign_vote, a rule on distances (krum, multi_krum,
/// bulyan, minimum_diameter_average, smallest_eigen_average, nearest_to_trusted, geometric_median, centered_clipping, covariance_filter,
/// flag_aggregate, average), or `compose(pre-aggregation, rule)` with nearest_neighbour_mixing, bucketing, norm_clip or adaptive_robust_clip.
/// `rows`: n rows of d elements (float, double, float16, bfloat16); `out`: d elements, may be one of the rows. Options: `nonfinite`
/// policy, `previous_output{m}`, a workspace.
///
/// Rules on distances take one sweep over the data for a matrix of n x n numbers, work on these in double, and one sweep for the weighted
/// sum; a row with NaN, infinities or a squared distance beyond the range of the arithmetic type is at distance +inf from all others and
/// gets weight 0. On a device the n x n matrix is fetched (one wait a call) and the rule runs on the host.
/// \throws argument_error for shapes, for an f that n rows do not allow, and for fewer than n - f finite rows; nothing is written then.
/// \par Determinism  that of coordinate_fold, gram and map_fold: the same bits for every executor and thread count.
template <executor E, class R, rows_viewable X, viewable Out, detail::robust_option... Options>
  requires detail::robust_rule<R>
void robust(E const& ex, R const& rule, X const& rows, Out&& out, Options&&... options) {
  auto const from = as_const(as_rows_view(rows));
  auto const to = as_view(out);
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  view<T const> const previous = detail::uses_previous<R>() ? detail::find_previous<T>(std::as_const(options)...) : view<T const>();
  detail::check_robust(from, to, previous);
  detail::check_rule(rule, from.rows());
  fanfold::detail::call_workspace ws(ex, options...);
  detail::robust_call<E, T> const call{ex, from, previous, fanfold::detail::find_nonfinite(nonfinite::as_pos_inf, options...), ws.get()};
  if constexpr (detail::direct_rule<R>)
    detail::run_direct(call, rule, from, to);
  else
    detail::run_robust(call, rule, nullptr, to);
}

/// The same on the calling thread.
template <class R, rows_viewable X, viewable Out, detail::robust_option... Options>
  requires detail::robust_rule<R>
void robust(R const& rule, X const& rows, Out&& out, Options&&... options) {
  robust(serial, rule, rows, out, options...);
}

/// Sums over the coordinates that a rule works on. Those of shards of the coordinates add up: every process computes its part, the parts
/// are added in a fixed order (an all-gather of about n^2 doubles), and each process finishes its own shard.
struct distance_sums {
  std::vector<double> distance, product;

  distance_sums& operator+=(distance_sums const& other) {
    check_argument(other.distance.size() == distance.size() && other.product.size() == product.size(), "distance_sums", "number of entries",
                   other.distance.size(), "that of the other part");
    for (std::size_t i = 0; i < distance.size(); ++i) distance[i] += other.distance[i];
    for (std::size_t i = 0; i < product.size(); ++i) product[i] += other.product[i];
    return *this;
  }
};

/// A shard's part of the sums that `rule` needs. Rules that fold single coordinates need none.
template <executor E, class R, rows_viewable X, detail::robust_option... Options>
  requires(detail::robust_rule<R> && !detail::direct_rule<R>)
distance_sums partial_distances(E const& ex, R const& rule, X const& rows, Options&&... options) {
  auto const from = as_const(as_rows_view(rows));
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  view<T const> const previous = detail::uses_previous<R>() ? detail::find_previous<T>(std::as_const(options)...) : view<T const>();
  detail::check_robust(from, previous);
  detail::check_rule(rule, from.rows());
  fanfold::detail::call_workspace ws(ex, options...);
  detail::host_memory<E> memory(ws.get());
  workspace::frame device(ws.get());
  workspace::frame host(memory.get());
  needs const what = detail::requirement_of(rule);
  auto const p = detail::make_points(ex, from, previous, what, device, host);
  detail::geometry_sums const sums = detail::take_sums(what, p.points, host);
  detail::measure(ex, rule, what, p, sums, host, ws.get());
  auto const entries = [](matrix_view<double const> m) { return std::vector<double>(m.data(), m.data() + m.rows() * m.cols()); };
  return {entries(sums.distance), entries(sums.product)};
}

/// What `robust` would write to this shard, given the sums over all shards. (geometric_median then keeps to distances, which loses digits
/// where finite rows lie beyond 2^20 times the typical distance.)
template <executor E, class R, rows_viewable X, viewable Out, detail::robust_option... Options>
  requires(detail::robust_rule<R> && !detail::direct_rule<R>)
void from_distances(E const& ex, R const& rule, distance_sums sums, X const& rows, Out&& out, Options&&... options) {
  auto const from = as_const(as_rows_view(rows));
  auto const to = as_view(out);
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  view<T const> const previous = detail::uses_previous<R>() ? detail::find_previous<T>(std::as_const(options)...) : view<T const>();
  detail::check_robust(from, to, previous);
  detail::check_rule(rule, from.rows());
  needs const what = detail::requirement_of(rule);
  std::int64_t const points = from.rows() + (includes(what, needs::norms) ? 1 : 0) + (previous.data() != nullptr ? 1 : 0);
  auto const wanted = static_cast<std::size_t>(points * points);
  bool const products = includes(what, needs::products);
  bool const distances = includes(what, needs::distances | needs::one_distance) || (includes(what, needs::norms) && !products);
  check_argument(sums.distance.size() == (distances ? wanted : 0), "from_distances", "number of distances", sums.distance.size(), "that of partial_distances");
  check_argument(sums.product.size() == (products ? wanted : 0), "from_distances", "number of products", sums.product.size(), "that of partial_distances");
  fanfold::detail::call_workspace ws(ex, options...);
  detail::geometry_sums const given{{sums.distance.data(), distances ? points : 0, points}, {sums.product.data(), products ? points : 0, points}};
  detail::run_robust(detail::robust_call<E, T>{ex, from, previous, fanfold::detail::find_nonfinite(nonfinite::as_pos_inf, options...), ws.get()}, rule, &given, to);
}

/// The rows that a pre-aggregation makes: `out` has `rule.rows_after(n)` rows. For looking at them; `compose` does not need them.
template <executor E, mixing_rule R, rows_viewable X, rows_viewable Out, detail::robust_option... Options>
void mix_rows(E const& ex, R const& rule, X const& rows, Out const& out, Options&&... options) {
  auto const from = as_const(as_rows_view(rows));
  auto const to = as_rows_view(out);
  using T = std::remove_const_t<typename decltype(from)::element_type>;
  rule.check(from.rows());
  check_argument(from.rows() >= 1, "mix_rows", "number of rows", from.rows(), "1 or more");
  check_argument(to.rows() == rule.rows_after(from.rows()), "mix_rows", "rows of out", to.rows(), "rule.rows_after(n)");
  check_argument(to.cols() == from.cols(), "mix_rows", "columns of out", to.cols(), "those of the rows");
  fanfold::detail::call_workspace ws(ex, options...);
  detail::host_memory<E> memory(ws.get());
  workspace::frame device(ws.get());
  workspace::frame host(memory.get());
  needs const what = rule.requirement();
  auto const p = detail::make_points(ex, from, view<T const>(), what, device, host);
  detail::geometry_sums const sums = detail::take_sums(what, p.points, host);
  detail::measure(ex, rule, what, p, sums, host, ws.get());
  row_geometry const g = detail::start_geometry(what, detail::single_column(rule, what, p), p.n, p.origin, p.previous, sums, host, [](std::int64_t) { return true; });
  matrix_view<double> const m = detail::take_matrix(host, to.rows(), p.points);
  detail::set(m, 0);
  rule.mix(g, m, memory.get());
  detail::mixed_rows<E, T>(ex, p, m, {}, host, device).write(ex, 0, p.d, to, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
