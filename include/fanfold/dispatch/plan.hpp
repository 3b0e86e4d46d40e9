#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/detail/key_sort.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/noise.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

// The order in which assignments take their ranks inside an expert's bin.

/// Token by token, its slots in turn.
struct token_major {};
/// All first choices before any second choice (`choice_major` of routers).
struct slot_major {};
/// Slot by slot, tokens by descending priority, ties by lower token. Without priorities: the weights of slot 0.
template <class W = float>
struct priority {
  view<W const> priorities{};
};
template <viewable P>
priority(P const&) -> priority<std::remove_cv_t<std::remove_pointer_t<decltype(as_view(std::declval<P const&>()).data())>>>;

// Which assignments survive where an expert gets more than its limit: `limit`, or `limits[e]` where given.

/// All.
struct dropless {
  FANFOLD_HD constexpr std::int64_t limit_of(std::int64_t) const { return most_rows; }
};
/// The first ones in the plan's order.
struct by_rank {
  std::int64_t limit = most_rows;
  view<std::int32_t const> limits{};
  FANFOLD_HD constexpr std::int64_t limit_of(std::int64_t e) const { return limits.data() == nullptr ? limit : limits[e]; }
};
/// The ones of largest weight, ties by lower assignment; survivors take ranks token by token.
struct by_score {
  std::int64_t limit = most_rows;
  view<std::int32_t const> limits{};
  FANFOLD_HD constexpr std::int64_t limit_of(std::int64_t e) const { return limits.data() == nullptr ? limit : limits[e]; }
};

/// The first ones slot by slot, tokens by ascending random word of the row (random token selection, `route::random_order`); survivors take
/// ranks token by token.
struct at_random {
  std::int64_t limit = most_rows;
  view<std::int32_t const> limits{};
  route::row_noise noise{};
  FANFOLD_HD constexpr std::int64_t limit_of(std::int64_t e) const { return limits.data() == nullptr ? limit : limits[e]; }
};

// What becomes of slots whose weight is exactly 0.

/// They are carried as any others.
struct keep_zero {};
/// They count as unused, so their experts do not run and nothing is folded for them. Opt-in, as 0 * infinity is then not seen and such weights
/// get no gradient. Absent weights mean 1.
struct skip_zero {};

/// How a plan is made: layout of the rows, order of the ranks, drops, weights of 0.
template <plan_layout Layout = packed, class Order = token_major, class Drop = dropless, class Zeros = keep_zero>
struct plan_policy {
  Layout layout{};
  Order order{};
  Drop drop{};
  Zeros zeros{};
};
template <plan_layout L>
plan_policy(L) -> plan_policy<L>;
template <plan_layout L, class O>
plan_policy(L, O) -> plan_policy<L, O>;
template <plan_layout L, class O, class D>
plan_policy(L, O, D) -> plan_policy<L, O, D>;
template <plan_layout L, class O, class D, class Z>
plan_policy(L, O, D, Z) -> plan_policy<L, O, D, Z>;

namespace detail {

struct slot_run {
  std::int32_t const* ids;  // of slot s
  std::int64_t stride, slots, slot;
  FANFOLD_HD std::int32_t key(std::int64_t i) const { return ids[i * stride]; }
  FANFOLD_HD std::int64_t item(std::int64_t i) const { return i * slots + slot; }
};
struct slot_major_order {
  matrix_view<std::int32_t const> ids{};
  FANFOLD_HD std::int64_t runs() const { return ids.cols(); }
  FANFOLD_HD std::int64_t run_length() const { return ids.rows(); }
  FANFOLD_HD slot_run run(std::int64_t s) const { return {ids.data() + s, ids.stride(), ids.cols(), s}; }
};

struct priority_run {
  std::int32_t const* ids;
  std::int32_t const* token;
  std::int64_t stride, slots, slot;
  FANFOLD_HD std::int32_t key(std::int64_t i) const { return ids[token[i] * stride]; }
  FANFOLD_HD std::int64_t item(std::int64_t i) const { return token[i] * slots + slot; }
};
struct priority_order {
  matrix_view<std::int32_t const> ids{};
  std::int32_t const* tokens = nullptr;  // by descending priority
  FANFOLD_HD std::int64_t runs() const { return ids.cols(); }
  FANFOLD_HD std::int64_t run_length() const { return ids.rows(); }
  FANFOLD_HD priority_run run(std::int64_t s) const { return {ids.data() + s, tokens, ids.stride(), ids.cols(), s}; }
};

struct token_run {
  std::int32_t const* ids;  // of one token
  std::int64_t first;
  FANFOLD_HD std::int32_t key(std::int64_t i) const { return ids[i]; }
  FANFOLD_HD std::int64_t item(std::int64_t i) const { return first + i; }
};
/// Token by token where rows of ids are not adjacent.
struct strided_token_order {
  matrix_view<std::int32_t const> ids{};
  FANFOLD_HD std::int64_t runs() const { return ids.rows(); }
  FANFOLD_HD std::int64_t run_length() const { return ids.cols(); }
  FANFOLD_HD token_run run(std::int64_t t) const { return {ids.data() + t * ids.stride(), t * ids.cols()}; }
};

struct assignment_run {
  matrix_view<std::int32_t const> ids;
  std::int32_t const* assignment;
  FANFOLD_HD std::int32_t key(std::int64_t i) const {
    std::int64_t const a = assignment[i], t = a / ids.cols();
    return ids.data()[t * ids.stride() + (a - t * ids.cols())];
  }
  FANFOLD_HD std::int64_t item(std::int64_t i) const { return assignment[i]; }
};
/// Assignments in any order.
struct assignment_order {
  matrix_view<std::int32_t const> ids{};
  view<std::int32_t const> assignments{};
  FANFOLD_HD std::int64_t runs() const { return 1; }
  FANFOLD_HD std::int64_t run_length() const { return assignments.size(); }
  FANFOLD_HD assignment_run run(std::int64_t) const { return {ids, assignments.data()}; }
};

template <class Layout, class Drop>
struct limited_layout {
  Layout layout{};
  Drop drop{};
  FANFOLD_HD constexpr std::int64_t rows(std::int64_t kept) const { return layout.rows(kept); }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t e) const {
    std::int64_t const a = layout.limit(e), b = drop.limit_of(e);
    return a < b ? a : b;
  }
};

inline bin_view bins_of(plan_view const& plan) { return {plan.offsets, plan.counts, plan.kept, plan.row_of, plan.src_of}; }

template <class W>
using routes_view = route::assignment<W const, std::int32_t const>;

// Keys by which tokens and assignments are sorted.

template <class P>
struct falling_priority {
  view<P const> value{};
  FANFOLD_HD auto operator()(std::int64_t t) const { return descending_key(to_arithmetic(value.data()[t])); }
  FANFOLD_HD bool sound(std::int64_t t) const { return value.data()[t] == value.data()[t]; }
};
template <class W>
struct falling_weight {
  matrix_view<W const> weight{};
  std::int64_t slots = 1;  // of the sorted positions: 1 = those of slot 0 alone
  FANFOLD_HD auto value(std::int64_t i) const {
    std::int64_t const t = i / slots;
    return to_arithmetic(weight.data()[t * weight.stride() + (i - t * slots)]);
  }
  FANFOLD_HD auto operator()(std::int64_t i) const { return descending_key(value(i)); }
  FANFOLD_HD bool sound(std::int64_t i) const { return value(i) == value(i); }
};
struct random_word {
  route::row_noise noise{};
  FANFOLD_HD std::uint32_t operator()(std::int64_t t) const { return noise.order_stream().word(static_cast<std::uint64_t>(noise.row0 + t)); }
  FANFOLD_HD static bool sound(std::int64_t) { return true; }
};

template <class W>
void require_weights(routes_view<W> const& routes, char const* what_for) {
  check_argument(routes.id.rows() * routes.id.cols() == 0 || routes.weight.data() != nullptr, "make_plan", "weights of the routes", "absent", what_for);
}

// Binning in each order: f(order object) with whatever that order needs alive around it.
template <class E, class W, class F>
void in_order(E const&, token_major, routes_view<W> const& routes, workspace&, F&& f) {
  if (routes.id.stride() == routes.id.cols() || routes.id.rows() <= 1)
    f(key_sequence{{routes.id.data(), routes.id.rows() * routes.id.cols()}});
  else
    f(strided_token_order{routes.id});
}
template <class E, class W, class F>
void in_order(E const&, slot_major, routes_view<W> const& routes, workspace&, F&& f) {
  f(slot_major_order{routes.id});
}
template <class E, class P, class W, class F>
void in_order(E const& ex, priority<P> const& order, routes_view<W> const& routes, workspace& ws, F&& f) {
  std::int64_t const tokens = routes.id.cols() == 0 ? 0 : routes.id.rows();
  workspace::frame frame(ws);
  auto const rank = frame.take<std::int32_t>(tokens);
  if (order.priorities.data() != nullptr) {
    check_argument(order.priorities.size() == routes.id.rows(), "make_plan", "number of priorities", order.priorities.size(), "the number of tokens");
    run_loop(ex, key_sort_loop<falling_priority<P>>{{order.priorities}, "a priority"}, rank, ws);
  } else {
    require_weights(routes, "given where they are the priorities");
    run_loop(ex, key_sort_loop<falling_weight<W>>{{routes.weight}, "a priority"}, rank, ws);
  }
  f(priority_order{routes.id, rank.data()});
}
template <class E, class W, class F>
void in_order(E const& ex, at_random const& drop, routes_view<W> const& routes, workspace& ws, F&& f) {
  workspace::frame frame(ws);
  auto const rank = frame.take<std::int32_t>(routes.id.rows());
  run_loop(ex, key_sort_loop<random_word>{{drop.noise}, "a word"}, rank, ws);
  f(priority_order{routes.id, rank.data()});
}
template <class E, class W, class F>
void in_order(E const& ex, by_score const&, routes_view<W> const& routes, workspace& ws, F&& f) {
  require_weights(routes, "given to drop by score");
  workspace::frame frame(ws);
  auto const rank = frame.take<std::int32_t>(routes.id.rows() * routes.id.cols());
  run_loop(ex, key_sort_loop<falling_weight<W>>{{routes.weight, routes.id.cols() < 1 ? 1 : routes.id.cols()}, "a weight"}, rank, ws);
  f(assignment_order{routes.id, rank});
}

template <class E, class Layout, class Order, class Drop, class W>
void plan_bins(E const& ex, Layout const& layout, Order const& order, Drop const& drop, routes_view<W> const& routes, bin_view const& out,
               workspace& ws) {
  in_order(ex, order, routes, ws, [&](auto const& visit) {
    if constexpr (std::is_same_v<Drop, dropless>)
      bin(ex, layout, visit, out, ws);
    else
      bin(ex, limited_layout<Layout, Drop>{layout, drop}, visit, out, ws);
  });
}

/// Rows of survivors: as many as the drop policy and the layout allow, without padding.
template <class Drop>
struct survivor_rows {
  Drop drop{};
  std::int64_t most = most_rows;
  FANFOLD_HD constexpr std::int64_t rows(std::int64_t kept) const { return kept; }
  FANFOLD_HD constexpr std::int64_t limit(std::int64_t e) const { return drop.limit_of(e) < most ? drop.limit_of(e) : most; }
};

struct mark_survivor {
  matrix_view<std::int32_t const> id{};
  view<std::int32_t const> row_of{};
  view<std::int32_t> out{};
  FANFOLD_HD void operator()(std::int64_t a) const {
    std::int64_t const t = a / id.cols();
    out.data()[a] = row_of.data()[a] < 0 ? -1 : id.data()[t * id.stride() + (a - t * id.cols())];
  }
};
struct copy_count {
  view<std::int32_t const> from{};
  view<std::int32_t> to{};
  FANFOLD_HD void operator()(std::int64_t e) const { to.data()[e] = from.data()[e]; }
};

/// Drops that have an order of their own: survivors are the first ones in that order, and then take ranks token by token.
template <class E, class Layout, class Drop, class W>
void plan_survivors(E const& ex, Layout const& layout, Drop const& drop, routes_view<W> const& routes, bin_view const& out, workspace& ws) {
  std::int64_t const n = routes.id.rows() * routes.id.cols(), experts = out.counts.size();
  workspace::frame frame(ws);
  bin_view const all{frame.take<std::int64_t>(experts + 1), frame.take<std::int32_t>(experts), frame.take<std::int32_t>(experts),
                     frame.take<std::int32_t>(n), frame.take<std::int32_t>(n)};
  auto const ids = frame.take<std::int32_t>(n);
  in_order(ex, drop, routes, ws, [&](auto const& visit) { bin(ex, survivor_rows<Drop>{drop, layout.limit(0)}, visit, all, ws); });
  for_each(ex, mark_survivor{routes.id, all.row_of, ids}, n);
  bin(ex, layout, key_sequence{ids}, out, ws);
  for_each(ex, copy_count{all.counts, out.counts}, experts);
}
template <class E, class Layout, class Order, class W>
void plan_bins(E const& ex, Layout const& layout, Order const&, by_score const& drop, routes_view<W> const& routes, bin_view const& out,
               workspace& ws) {
  plan_survivors(ex, layout, drop, routes, out, ws);
}
template <class E, class Layout, class Order, class W>
void plan_bins(E const& ex, Layout const& layout, Order const&, at_random const& drop, routes_view<W> const& routes, bin_view const& out,
               workspace& ws) {
  plan_survivors(ex, layout, drop, routes, out, ws);
}

/// Ids with -1 in place of the ones that weigh nothing; wrong ids stay, to be told.
template <class W>
struct skip_zero_weight {
  routes_view<W> routes{};
  std::int64_t experts = 0;
  view<std::int32_t> out{};
  FANFOLD_HD void operator()(std::int64_t a) const {
    std::int64_t const t = a / routes.id.cols(), s = a - t * routes.id.cols();
    std::int32_t const e = routes.id.data()[t * routes.id.stride() + s];
    bool const nothing = to_arithmetic(routes.weight.data()[t * routes.weight.stride() + s]) == 0;
    out.data()[a] = nothing && e >= 0 && e < experts ? -1 : e;
  }
};

template <class P>
inline constexpr bool is_plan_policy = false;
template <class L, class O, class D, class Z>
inline constexpr bool is_plan_policy<plan_policy<L, O, D, Z>> = true;

}  // namespace detail

/// Bytes of workspace that `make_plan` takes, whatever its policy.
constexpr std::size_t plan_workspace_bytes(std::int64_t tokens, std::int64_t slots, std::int64_t experts) {
  std::int64_t const n = tokens * slots;
  return bin_workspace_bytes(n, experts) + static_cast<std::size_t>(n) * 10 * sizeof(std::int32_t) +
         static_cast<std::size_t>(experts + 1) * 4 * sizeof(std::int32_t) + 16 * workspace::alignment;
}

/// Which row each assignment takes: histogram of the ids, exclusive scan, stable placement.
///
/// With rank(a) = number of earlier assignments to the same expert in the policy's order, and limits from layout and drop policy:
/// kept[e] = min(counts[e], limit[e]); offsets is the exclusive scan of the layout's rows; row_of[a] = offsets[e] + rank(a) for the kept
/// ones, else -1; src_of is the inverse, -1 for padding. Ids -1 are unused slots. O(T K + E).
/// `out` comes from a dispatch_plan or from take_plan; experts E = out.experts(). Weights are read by `priority` and `by_score` only.
/// `by_score` and `at_random` choose survivors in an order of their own, whatever the policy's.
/// \throws argument_error for an id outside [-1, E), a NaN where weights decide, sizes that do not match; nothing is written then. On a device
/// such an id counts as unused, such a weight as one of some value, and `fetch` throws.
/// \par Determinism  a function of the routes alone; the same plan for every executor and thread count.
template <executor E, class Policy, class W, class Id, fanfold::detail::call_option... Options>
  requires(plan_layout<Policy> || detail::is_plan_policy<Policy>)
void make_plan(E const& ex, Policy const& policy, route::assignment<W, Id> const& routes, plan_view const& out, Options&&... options) {
  static_assert(std::is_same_v<std::remove_const_t<Id>, std::int32_t>, "make_plan reads 32-bit ids");
  if constexpr (plan_layout<Policy>) {
    make_plan(ex, plan_policy<Policy>{policy, {}, {}}, routes, out, options...);
  } else {
    constexpr bool leaves = leaves_padding<std::remove_cvref_t<decltype(policy.layout)>>;
    check_argument(policy.layout.valid(), "make_plan", "layout", "invalid", "an alignment of 1 or more, or a capacity of 0 or more");
    check_argument(routes.id.rows() == out.tokens, "make_plan", "rows of the ids", routes.id.rows(), "the plan's tokens");
    check_argument(routes.id.cols() == out.slots, "make_plan", "columns of the ids", routes.id.cols(), "the plan's slots");
    check_argument(leaves == out.leaves_padding, "make_plan", "layout", leaves ? "masked" : "not masked", "of the kind that the plan was sized for");
    if (routes.weight.data() != nullptr) {
      check_argument(routes.weight.rows() == out.tokens, "make_plan", "rows of the weights", routes.weight.rows(), "the plan's tokens");
      check_argument(routes.weight.cols() == out.slots, "make_plan", "columns of the weights", routes.weight.cols(), "the plan's slots");
    }
    fanfold::detail::call_workspace ws(ex, options...);
    auto const given = route::as_const(routes);
    auto const run = [&](detail::routes_view<std::remove_const_t<W>> const& r) {
      detail::plan_bins(ex, policy.layout, policy.order, policy.drop, r, detail::bins_of(out), ws.get());
    };
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(policy.zeros)>, skip_zero>) {
      if (given.weight.data() == nullptr) return run(given);
      workspace::frame frame(ws.get());
      auto const ids = frame.template take<std::int32_t>(out.assignments());
      for_each(ex, detail::skip_zero_weight<std::remove_const_t<W>>{given, out.experts(), ids}, ids.size());
      run({matrix_view<std::int32_t const>(ids.data(), out.tokens, out.slots), given.weight});
    } else {
      run(given);
    }
  }
}

template <class Policy, class W, class Id, fanfold::detail::call_option... Options>
  requires(plan_layout<Policy> || detail::is_plan_policy<Policy>)
void make_plan(Policy const& policy, route::assignment<W, Id> const& routes, plan_view const& out, Options&&... options) {
  make_plan(serial, policy, routes, out, options...);
}

/// out(t, s) = w(t, s) / sum of the kept w(t, .), in slot order; 0 for dropped and unused slots and where that sum is 0. `out` may be `weight`.
template <class W, matrix_viewable Out>
void renormalise_kept(plan_view const& plan, matrix_view<W> weight, Out const& out) {
  check_argument(weight.rows() == plan.tokens && weight.cols() == plan.slots, "renormalise_kept", "shape of weight", "another", "tokens x slots");
  check_argument(out.rows() == plan.tokens && out.cols() == plan.slots, "renormalise_kept", "shape of out", "another", "tokens x slots");
  using value = std::remove_const_t<W>;
  for (std::int64_t t = 0; t < plan.tokens; ++t) {
    value sum = 0;
    for (std::int64_t s = 0; s < plan.slots; ++s)
      if (plan.row_of[t * plan.slots + s] >= 0) sum += weight(t, s);
    for (std::int64_t s = 0; s < plan.slots; ++s)
      out(t, s) = plan.row_of[t * plan.slots + s] >= 0 && sum != value(0) ? weight(t, s) / sum : value(0);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
