#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/entropy_select.hpp"
#include "fanfold/route/ragged_select.hpp"
#include "fanfold/testing/router_workloads.hpp"

/// \file
/// What every row router promises, as checks that return texts: no dependence on a test framework. An empty list is a pass.

namespace fanfold::inline FANFOLD_ABI::testing {

/// A router's answer with its memory.
template <class W>
struct routed_rows {
  std::int64_t rows, slots;
  std::vector<std::int32_t> id;
  std::vector<W> weight;
  route::routing_stats stats;

  routed_rows(std::int64_t t, std::int64_t k, std::int64_t experts)
      : rows(t), slots(k), id(static_cast<std::size_t>(t * k), -7), weight(static_cast<std::size_t>(t * k)), stats(experts) {}
  route::assignment<W> out() { return {{id.data(), rows, slots}, {weight.data(), rows, slots}}; }
};

namespace detail {

using failure_list = std::vector<std::string>;

template <class T>
bool same_bits(T const& a, T const& b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a || b != b) return a != a && b != b;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

/// Index of the first of `count` elements that differs; -1: none.
template <class T>
std::int64_t first_difference(T const* a, T const* b, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    if (!same_bits(a[i], b[i])) return i;
  return -1;
}

template <class A, class B>
std::int64_t first_difference(A const& a, B const& b) {
  return first_difference(a.data(), b.data(), static_cast<std::int64_t>(a.size()));
}

inline void report(std::string const& what, char const* part, std::int64_t at, failure_list& failures) {
  if (at >= 0) failures.push_back(what + ": " + part + " differ at element " + std::to_string(at));
}

template <class W>
void compare(std::string const& what, routed_rows<W>& want, routed_rows<W>& got, failure_list& failures) {
  report(what, "ids", first_difference(want.id, got.id), failures);
  report(what, "weights", first_difference(want.weight, got.weight), failures);
  report(what, "integer statistics", first_difference(want.stats.view().integers, got.stats.view().integers), failures);
  report(what, "real statistics", first_difference(want.stats.view().reals, got.stats.view().reals), failures);
}

/// The policies alone, row by row on one lane: what every other way of running a router is held against.
template <class Router, class L, class W>
void route_plainly(Router const& router, router_workload<L> const& load, routed_rows<W>& result) {
  using R = arithmetic_t<L>;
  std::int64_t const n = load.experts;
  std::vector<R> numbers(static_cast<std::size_t>(Router::scratch_rows * n + result.slots));
  std::vector<std::int32_t> id(static_cast<std::size_t>(result.slots));
  auto a = Router::arrays(numbers.data(), n);
  a.slots = result.slots;
  a.weight = numbers.data() + Router::scratch_rows * n;
  a.id = id.data();
  std::int64_t const size = route::routing_stats_view::real_size(n);
  std::vector<double> runs(static_cast<std::size_t>((load.rows / run_items + 1) * size));
  for (std::int64_t t = 0; t < load.rows; ++t) {
    a.row = t;
    route::detail::load_logits(host_lane{}, load.view().row(t).data(), a.logit, n);
    auto const summary = router.forward(host_lane{}, a, true);
    route::detail::count_row(a, summary, result.stats.view().integers.data(), runs.data() + t / run_items * size);
    route::detail::store_row(host_lane{}, a, result.out().id.row(t).data(), result.out().weight.row(t).data());
  }
  route::detail::add_adjacent_pairs(runs.data(), (load.rows + run_items - 1) / run_items, size);
  for (std::int64_t i = 0; i < size; ++i) result.stats.view().reals[i] = runs[static_cast<std::size_t>(i)];
}

/// Routers whose chosen ids are the head of the total order of the logits, as far as the type tells.
template <class Router>
inline constexpr bool takes_best_logits = false;
template <class S, class Q, class N, class A>
inline constexpr bool takes_best_logits<route::token_choice<S, Q, N, A>> =
    route::token_choice<S, Q, N, A>::keys_are_logits && !A::changes_logits &&
    (std::is_same_v<Q, route::top_k> || std::is_same_v<Q, route::all_experts> || std::is_same_v<Q, route::top_p> ||
     std::is_same_v<Q, route::entropy_hybrid>);

/// Experts of row t by (logit descending, index ascending); NaN counts as -infinity.
template <class L>
std::vector<std::int32_t> total_order(router_workload<L> const& load, std::int64_t t) {
  using R = arithmetic_t<L>;
  std::vector<R> key;
  std::vector<std::int32_t> order;
  for (std::int64_t e = 0; e < load.experts; ++e) {
    R const l = to_arithmetic(load.view()(t, e));
    key.push_back(l == l ? l : -math::infinity<R>());
    order.push_back(static_cast<std::int32_t>(e));
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return key[static_cast<std::size_t>(a)] > key[static_cast<std::size_t>(b)]; });
  return order;
}

template <class Router, class L, class W>
void check_rows(Router const& router, router_workload<L> const& load, routed_rows<W> const& r, std::string const& what, failure_list& failures) {
  auto const fail = [&](std::int64_t t, char const* text) { failures.push_back(what + ", row " + std::to_string(t) + ": " + text); };
  std::int64_t choices = 0;
  for (std::int64_t t = 0; t < r.rows; ++t) {
    bool usable = false;
    for (std::int64_t e = 0; e < load.experts; ++e) usable = usable || to_arithmetic(load.view()(t, e)) > -math::infinity<arithmetic_t<L>>();
    std::vector<std::int32_t> order;
    if constexpr (takes_best_logits<Router>) order = total_order(load, t);
    std::vector<bool> seen(static_cast<std::size_t>(load.experts));
    for (std::int64_t j = 0; j < r.slots; ++j) {
      auto const id = r.id[static_cast<std::size_t>(t * r.slots + j)];
      auto const w = to_arithmetic(r.weight[static_cast<std::size_t>(t * r.slots + j)]);
      if (id < -1 || id >= load.experts) {
        fail(t, "an id is out of range");
        continue;
      }
      if (w != w) fail(t, "a weight is NaN");
      if ((id == -1 || !usable) && !(w == 0)) fail(t, "an empty slot or a degenerate row has a weight");
      if (id == -1) continue;
      ++choices;
      if (!usable && router.on_degenerate == route::degenerate::no_experts) fail(t, "a degenerate row takes an expert");
      if (seen[static_cast<std::size_t>(id)]) fail(t, "an id appears twice");
      seen[static_cast<std::size_t>(id)] = true;
      if (!order.empty() && order[static_cast<std::size_t>(j)] != id) fail(t, "ids do not follow (logit descending, index ascending)");
    }
  }
  route::routing_stats const& s = r.stats;
  std::int64_t counted = 0;
  for (std::int64_t c : s.count()) counted += c;
  if (s.choices() != choices || counted != choices) failures.push_back(what + ": choices do not add up");
  if (s.tokens() != r.rows) failures.push_back(what + ": tokens do not add up");
}

/// The first rows alone: as many as fill no vector, and one.
template <class Router, class L, class W>
void check_fewer_rows(Router const& router, router_workload<L> const& load, routed_rows<W> const& whole, std::string const& what,
                      failure_list& failures) {
  for (std::int64_t rows : {std::int64_t{1}, load.rows / 2}) {
    routed_rows<W> few(rows, whole.slots, load.experts);
    route::assign(serial, router, load.view().sub_rows(0, rows), few.out());
    report(what + ", first rows alone", "ids", first_difference(few.id, whole.id), failures);
    report(what + ", first rows alone", "weights", first_difference(few.weight, whole.weight), failures);
  }
}

/// The recorded ids taken back give the same weights and statistics.
template <class S, class Q, class N, class A, class L, class W>
void check_replay(route::token_choice<S, Q, N, A> const& r, router_workload<L> const& load, routed_rows<W>& first, std::string const& what,
                  failure_list& failures) {
  route::token_choice<S, route::replay, N, A> const again{r.score, {as_const(first.out().id)}, r.weight, r.adjust, r.nan, r.on_degenerate};
  routed_rows<W> replayed(load.rows, first.slots, load.experts);
  route::assign(serial, again, load.view(), replayed.out(), replayed.stats.view());
  compare(what + ", replayed", first, replayed, failures);
}
template <class Router, class L, class W>
void check_replay(Router const&, router_workload<L> const&, routed_rows<W>&, std::string const&, failure_list&) {}

/// Rows between padding are routed as without it, padding rows get nothing and count nowhere.
template <class E, class Router, class L, class W>
void check_mask(E const& ex, Router const& router, router_workload<L> const& load, routed_rows<W> const& whole, std::string const& what,
                failure_list& failures) {
  std::vector<std::uint8_t> real;
  std::int64_t kept = 0;
  for (std::int64_t t = 0; t < load.rows; ++t) real.push_back(t % 3 == 1 ? 0 : 1), kept += real.back();
  routed_rows<W> masked(load.rows, whole.slots, load.experts);
  route::assign(ex, router, load.view(), masked.out(), masked.stats.view(), route::row_mask{real});
  for (std::size_t i = 0; i < masked.id.size(); ++i) {
    bool const pad = real[i / static_cast<std::size_t>(whole.slots)] == 0;
    bool const good = pad ? masked.id[i] == -1 && to_arithmetic(masked.weight[i]) == 0
                          : masked.id[i] == whole.id[i] && same_bits(masked.weight[i], whole.weight[i]);
    if (!good) return failures.push_back(what + ", some rows masked: element " + std::to_string(i) + " is wrong");
  }
  if (masked.stats.tokens() != kept) failures.push_back(what + ", some rows masked: padding counts as tokens");
}

/// Logits of two bytes choose what the same numbers choose in float.
template <class W, class Router, class L>
void check_widened(Router const& router, router_workload<L> const& load, routed_rows<W> const& first, std::string const& what,
                   failure_list& failures) {
  router_workload<float> wide{load.name, load.rows, load.experts, {}};
  for (L l : load.logits) wide.logits.push_back(to_arithmetic(l));
  routed_rows<W> other(load.rows, first.slots, load.experts);
  route::assign(serial, router, wide.view(), other.out());
  report(what + ", widened to float", "ids", first_difference(first.id, other.id), failures);
  report(what + ", widened to float", "weights", first_difference(first.weight, other.weight), failures);
}

template <class L>
std::string describe(router_workload<L> const& load) {
  return load.name + ", " + std::to_string(load.rows) + " x " + std::to_string(load.experts);
}

}  // namespace detail

/// Runs `router` over `load` on the serial executor and on each one that `for_each_executor(f)` hands to f(name, executor) (a device whose
/// memory the host cannot read is not for this check; emulated ones are), and returns what is wrong: ids out of range, twice in a row or,
/// where the type tells that the best logits are taken, out of the total order; weights of empty slots, NaN weights, counts that do not add
/// up; results that differ from the policies run row by row, between executors, with and without statistics, under a mask, for the first
/// rows alone, when the ids are replayed, or when two-byte logits are widened.
template <class W = float, class Router, class L, class ForEach>
std::vector<std::string> check_router(Router const& router, router_workload<L> const& load, ForEach const& for_each_executor) {
  std::vector<std::string> failures;
  std::int64_t const slots = router.slots(load.experts);
  routed_rows<W> first(load.rows, slots, load.experts), plain(load.rows, slots, load.experts);
  route::assign(serial, router, load.view(), first.out(), first.stats.view());
  std::string const what = detail::describe(load);
  detail::check_rows(router, load, first, what, failures);
  detail::route_plainly(router, load, plain);
  detail::compare(what + ", policies row by row", plain, first, failures);
  detail::check_fewer_rows(router, load, first, what, failures);
  detail::check_replay(router, load, first, what, failures);
  if constexpr (sizeof(L) == 2) detail::check_widened(router, load, first, what, failures);
  for_each_executor([&](char const* name, auto const& ex) {
    std::string const here = what + ", " + name;
    routed_rows<W> other(load.rows, slots, load.experts), bare(load.rows, slots, load.experts);
    route::assign(ex, router, load.view(), other.out(), other.stats.view());
    detail::compare(here, first, other, failures);
    bare.stats = first.stats;
    route::assign(ex, router, load.view(), bare.out());
    detail::compare(here + ", no statistics", first, bare, failures);
    detail::check_mask(ex, router, load, first, here, failures);
  });
  return failures;
}

/// For a kernel of your own that claims to do what `router` does: runs `kernel(logits, out)` (host memory) over `load`, and returns what is
/// wrong: ids out of range, twice in a row or out of the total order, weights of empty slots, ids other than the router's, weights further
/// from the router's than `tolerance` times the larger one (0: other bits).
template <class W = float, class Router, class L, class Kernel>
std::vector<std::string> check_routing_kernel(Router const& router, router_workload<L> const& load, Kernel const& kernel, double tolerance = 0) {
  std::vector<std::string> failures;
  std::int64_t const slots = router.slots(load.experts);
  routed_rows<W> want(load.rows, slots, load.experts), got(load.rows, slots, load.experts);
  detail::route_plainly(router, load, want);
  kernel(load.view(), got.out());
  got.stats = want.stats;
  std::string const what = detail::describe(load);
  detail::check_rows(router, load, got, what, failures);
  detail::report(what, "ids", detail::first_difference(want.id, got.id), failures);
  for (std::size_t i = 0; i < want.weight.size(); ++i) {
    auto const a = static_cast<double>(to_arithmetic(want.weight[i])), b = static_cast<double>(to_arithmetic(got.weight[i]));
    double const larger = std::abs(a) < std::abs(b) ? std::abs(b) : std::abs(a);
    if (detail::same_bits(want.weight[i], got.weight[i]) || (tolerance > 0 && std::abs(a - b) <= tolerance * larger)) continue;
    failures.push_back(what + ": weights differ at element " + std::to_string(i));
    break;
  }
  return failures;
}

/// The same for `assign_vjp`: gradients of weights and statistics are finite, 0 in rows without a finite maximum and for logits that are
/// not finite, and the same bits on every executor and for the first row alone.
template <class Router, class L, class ForEach>
std::vector<std::string> check_router_vjp(Router const& router, router_workload<L> const& load, ForEach const& for_each_executor) {
  using R = arithmetic_t<L>;
  std::vector<std::string> failures;
  std::int64_t const slots = router.slots(load.experts), n = load.experts;
  routed_rows<R> r(load.rows, slots, n);
  route::assign(serial, router, load.view(), r.out());
  std::vector<R> dweight(r.weight.size());
  for (std::size_t i = 0; i < dweight.size(); ++i) dweight[i] = static_cast<R>(i % 7) - R(3);
  std::vector<double> dscore(static_cast<std::size_t>(n), .25);
  dscore[0] = -1;
  route::routing_stats_gradient const ds{dscore, .01, -.02};
  auto const vjp = [&](auto const& ex, std::int64_t rows, bool statistics) {
    std::vector<R> dx(static_cast<std::size_t>(rows * n), R(77));
    matrix_view<R const> const dw(dweight.data(), rows, slots);
    route::assignment<R> const forward{{r.id.data(), rows, slots}, {r.weight.data(), rows, slots}};
    if (statistics)
      route::assign_vjp(ex, router, load.view().sub_rows(0, rows), forward, dw, matrix_view<R>(dx.data(), rows, n), ds);
    else
      route::assign_vjp(ex, router, load.view().sub_rows(0, rows), forward, dw, matrix_view<R>(dx.data(), rows, n));
    return dx;
  };
  std::string const what = detail::describe(load) + ", vjp";
  auto const first = vjp(serial, load.rows, true), bare = vjp(serial, load.rows, false);
  for (std::int64_t t = 0; t < load.rows; ++t) {
    R max = -math::infinity<R>();
    for (std::int64_t e = 0; e < n; ++e) max = (std::max)(max, R(to_arithmetic(load.view()(t, e))));
    for (std::int64_t e = 0; e < n; ++e) {
      R const g = first[static_cast<std::size_t>(t * n + e)];
      bool const zero = !math::isfinite(max) || !math::isfinite(R(to_arithmetic(load.view()(t, e))));
      if (!(zero ? g == R(0) : math::isfinite(g)))
        failures.push_back(what + ", row " + std::to_string(t) + ": the gradient of logit " + std::to_string(e) + " is wrong");
    }
  }
  if (load.rows > 0) detail::report(what + ", first row alone", "gradients", detail::first_difference(vjp(serial, 1, true), first), failures);
  for_each_executor([&](char const* name, auto const& ex) {
    detail::report(what + ", " + name, "gradients", detail::first_difference(vjp(ex, load.rows, true), first), failures);
    detail::report(what + ", " + name + ", of weights", "gradients", detail::first_difference(vjp(ex, load.rows, false), bare), failures);
  });
  return failures;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
