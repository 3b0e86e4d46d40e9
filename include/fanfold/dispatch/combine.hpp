#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

// What a weight does to a row: `row(z, w)` gives an object whose `[column]` is the item that is folded.

/// w * z, rounded before it is folded.
struct scale {
  template <class T, class A>
  FANFOLD_HD constexpr fanfold::detail::scaled_row<T, A> row(T const* z, A w) const {
    return {z, w};
  }
};
/// z as it is; weights are not read.
struct ignore_weight {
  template <class T, class A>
  FANFOLD_HD constexpr fanfold::detail::plain_row<T> row(T const* z, A) const {
    return {z};
  }
};

// The bracket of a token's fold.

/// Slots ascending.
struct by_slot {};
/// Experts ascending, slots of one expert ascending.
struct by_expert {};
/// Experts grouped by the rank that owns them, `owner[id]` or else `id / experts_a_rank`: each rank folds its slots ascending, then the
/// ranks' partial results are folded in ascending rank. One process then gives the bits of an expert-parallel run.
struct by_rank_then_slot {
  std::int64_t experts_a_rank = 1;
  view<std::int32_t const> owner{};
};

/// How results are folded back: any commutative monoid (scalar aggregator or row monoid), an action of the weight, a bracket.
template <class Monoid = plus<float>, class Action = scale, class Order = by_slot>
struct combine_policy {
  Monoid monoid{};
  Action action{};
  Order order{};
};
template <class M>
combine_policy(M) -> combine_policy<M>;
template <class M, class A>
combine_policy(M, A) -> combine_policy<M, A>;
template <class M, class A, class O>
combine_policy(M, A, O) -> combine_policy<M, A, O>;

/// The usual sum of w * z, in the arithmetic type of the rows.
template <class Order = by_slot>
struct weighted_sum {
  Order order{};
};
weighted_sum() -> weighted_sum<>;

/// What `run_loop` runs for `fold_combine` (engine loop E7).
template <class R, class Action, class Order>
struct combine_loop {
  R monoid{};
  Action action{};
  Order order{};
};

namespace detail {

template <class T, class M, class A, class O>
combine_policy<M, A, O> const& resolve_combine(combine_policy<M, A, O> const& p) {
  return p;
}
template <class T, class O>
combine_policy<plus<arithmetic_t<T>>, scale, O> resolve_combine(weighted_sum<O> const& p) {
  return {{}, {}, p.order};
}

/// Expert whose bin holds `row`.
FANFOLD_HD inline std::int64_t expert_of_row(plan_view const& plan, std::int64_t row) {
  std::int64_t low = 0, high = plan.experts();
  while (high - low > 1) {
    std::int64_t const middle = low + (high - low) / 2;
    if (plan.offsets.data()[middle] <= row)
      low = middle;
    else
      high = middle;
  }
  return low;
}

/// The kept rows of a token in the order of its fold. `group_end[g]`: where the g-th partial fold ends.
struct kept_rows {
  std::int32_t* row;
  std::int32_t* slot;
  std::int32_t* group_end;
  std::int64_t count = 0;
  std::int64_t groups = 0;
  bool partial = false;  // groups are folded on their own first

  FANFOLD_HD void collect(plan_view const& plan, std::int64_t t) {
    count = 0;
    std::int32_t const* const row_of = plan.row_of.data() + t * plan.slots;
    for (std::int64_t s = 0; s < plan.slots; ++s) {
      if (row_of[s] < 0) continue;
      row[count] = row_of[s];
      slot[count++] = static_cast<std::int32_t>(s);
    }
    group_end[0] = static_cast<std::int32_t>(count);
    groups = count == 0 ? 0 : 1;
  }
  /// Stable insertion sort by `key(row)`.
  template <class Key>
  FANFOLD_HD void sort(Key const& key) {
    for (std::int64_t i = 1; i < count; ++i) {
      std::int32_t const r = row[i], s = slot[i];
      auto const k = key(r);
      std::int64_t j = i;
      for (; j > 0 && key(row[j - 1]) > k; --j) row[j] = row[j - 1], slot[j] = slot[j - 1];
      row[j] = r;
      slot[j] = s;
    }
  }

  FANFOLD_HD void arrange(plan_view const&, by_slot const&) {}
  FANFOLD_HD void arrange(plan_view const&, by_expert const&) {
    sort([](std::int32_t r) { return r; });  // rows rise with experts, and with slots inside one
  }
  FANFOLD_HD void arrange(plan_view const& plan, by_rank_then_slot const& order) {
    auto const rank = [&](std::int32_t r) {
      std::int64_t const e = expert_of_row(plan, r);
      return order.owner.data() != nullptr ? static_cast<std::int64_t>(order.owner.data()[e]) : e / order.experts_a_rank;
    };
    sort(rank);
    partial = true;
    groups = 0;
    for (std::int64_t i = 1; i <= count; ++i)
      if (i == count || rank(row[i]) != rank(row[i - 1])) group_end[groups++] = static_cast<std::int32_t>(i);
  }
};

template <class T, class Action, class A>
struct slot_row_at {
  matrix_view<T const> rows;
  Action action;
  std::int32_t const* row;
  A const* weight;
  FANFOLD_HD auto operator()(std::int64_t i) const { return action.row(rows.data() + row[i] * rows.stride(), weight[i]); }
};

/// The fold of rows [0, n) with `init` as left operand of the first run.
template <class R, int W, class RowAt, class Init>
void fold_onto(R const& r, RowAt const& row_at, std::int64_t n, Init const& init, std::int64_t first, int width, fanfold::detail::row_state<R, W>& s) {
  s.start(r, init, first, width);
  std::int64_t const head = n < run_items ? n : run_items;
  for (std::int64_t i = 0; i < head; ++i) s.absorb(r, row_at(i), first, width);
  if (n <= run_items) return;
  fanfold::detail::row_tree<R, W> tree;
  tree.push(r, s, width);
  for (std::int64_t begin = run_items; begin < n; begin += run_items) {
    fanfold::detail::fold_row_run(r, row_at, begin, begin + run_items < n ? begin + run_items : n, first, width, s);
    tree.push(r, s, width);
  }
  tree.root(r, s, width);
}

/// The folded state of columns [first, first + n) of a token; there is an item or an `init`.
template <int W, class R, class RowAt, class Initial>
void combine_row_state(R const& r, RowAt const& row_at, kept_rows const& kept, Initial const* init, std::int64_t first, int n,
                       fanfold::detail::row_state<R, W>& s) {
  fanfold::detail::plain_row<Initial> const initial{init};
  if (!kept.partial) {
    if (init != nullptr)
      fold_onto(r, row_at, kept.count, initial, first, n, s);
    else
      fanfold::detail::fold_row_range(r, row_at, 0, kept.count, first, n, s);
    return;
  }
  fanfold::detail::row_state<R, W> part;
  std::int64_t g = 0, begin = 0;
  if (init != nullptr)
    s.start(r, initial, first, n);
  else
    fanfold::detail::fold_row_range(r, row_at, 0, begin = kept.group_end[g++], first, n, s);
  for (; g < kept.groups; begin = kept.group_end[g++]) {
    fanfold::detail::fold_row_range(r, row_at, begin, kept.group_end[g], first, n, part);
    part.merge_behind(r, s, n);
    s = part;
  }
}

template <int W, bool Whole, class R, class RowAt, class Initial, class Out>
void combine_columns(R const& r, RowAt const& row_at, kept_rows const& kept, Initial const* init, std::int64_t first, int width, Out* out) {
  int const n = Whole ? W : width;
  fanfold::detail::row_state<R, W> s;
  combine_row_state<W>(r, row_at, kept, init, first, n, s);
  fanfold::detail::store_row(r, s, out + first, n);
}

template <class R, class RowAt, class Initial, class Out>
FANFOLD_NOINLINE void combine_token(R const& r, RowAt const& row_at, kept_rows const& kept, Initial const* init, Out* out, std::int64_t cols) {
  if (kept.count == 0 && init == nullptr) return fanfold::detail::store_empty_row(r, empty_policy::answer, out, cols);
  std::int64_t c = 0;
  for (; c + 128 <= cols; c += 128) combine_columns<128, true>(r, row_at, kept, init, c, 128, out);
  for (; c + 16 <= cols; c += 16) combine_columns<16, true>(r, row_at, kept, init, c, 16, out);
  if (c < cols) combine_columns<16, false>(r, row_at, kept, init, c, static_cast<int>(cols - c), out);
}

template <class R, class A>
struct combine_scratch {
  kept_rows kept;
  A* weight;

  static std::size_t bytes(std::int64_t slots) { return static_cast<std::size_t>(slots + 1) * (3 * sizeof(std::int32_t) + sizeof(A)); }
  combine_scratch(void* memory, std::int64_t slots) : kept{}, weight(static_cast<A*>(memory)) {
    auto* const ints = static_cast<std::int32_t*>(static_cast<void*>(weight + slots + 1));
    kept.row = ints, kept.slot = ints + slots + 1, kept.group_end = ints + 2 * (slots + 1);
  }
};

}  // namespace detail

/// Host form of E7's second half. A token is owned by one task, so nothing depends on threads or on other tokens.
template <host_executor E, class R, class Action, class Order, class T, class W, class Initial, class Out>
void run_loop(E const& ex, combine_loop<R, Action, Order> const& loop, plan_view const& plan, matrix_view<T const> rows, matrix_view<W const> weight,
              matrix_view<Initial const> init, matrix_view<Out> y, workspace& ws) {
  using A = arithmetic_t<T>;
  using scratch_type = detail::combine_scratch<R, A>;
  std::int64_t const step = detail::tokens_a_task(y.cols() * (plan.slots + 1), sizeof(T)), tasks = fanfold::detail::divide_up(plan.tokens, step);
  for_each_task(ex, tasks, scratch_type::bytes(plan.slots), ws, [&](std::int64_t task, void* memory) {
    scratch_type scratch(memory, plan.slots);
    std::int64_t const end = (task + 1) * step < plan.tokens ? (task + 1) * step : plan.tokens;
    for (std::int64_t t = task * step; t < end; ++t) {
      scratch.kept.collect(plan, t);
      scratch.kept.arrange(plan, loop.order);
      for (std::int64_t i = 0; i < scratch.kept.count; ++i)
        scratch.weight[i] = weight.data() == nullptr ? A(1) : static_cast<A>(to_arithmetic(weight.data()[t * weight.stride() + scratch.kept.slot[i]]));
      detail::slot_row_at<T, Action, A> const row_at{rows, loop.action, scratch.kept.row, scratch.weight};
      detail::combine_token(loop.monoid, row_at, scratch.kept, init.data() == nullptr ? nullptr : init.data() + t * init.stride(),
                            y.data() + t * y.stride(), y.cols());
    }
  });
}

namespace detail {

template <class E, class Policy, class T, class W, class Initial, class Out, class... Options>
void run_combine(E const& ex, Policy const& policy, plan_view const& plan, matrix_view<T const> rows, matrix_view<W const> weight,
                 matrix_view<Initial const> init, matrix_view<Out> y, Options&... options) {
  check_plan_shape("fold_combine", plan);
  check_tokens("fold_combine", "y", plan, y, y.cols());
  check_rows("fold_combine", "rows", ex, plan, rows, y.cols());
  check_tokens("fold_combine", "weight", plan, weight, plan.slots, true);
  check_tokens("fold_combine", "init", plan, init, y.cols(), true);
  check_apart("fold_combine", "rows and y", rows, y);
  auto const resolved = resolve_combine<T>(policy);
  auto const monoid = as_row_monoid(resolved.monoid);
  using R = std::remove_cv_t<decltype(monoid)>;
  static_assert(has_law(R::laws, law::associative), "fold_combine needs a monoid whose laws include law::associative");
  if constexpr (requires { resolved.order.experts_a_rank; }) {
    check_argument(resolved.order.experts_a_rank >= 1, "fold_combine", "experts_a_rank", resolved.order.experts_a_rank, "1 or more");
    check_argument(resolved.order.owner.data() == nullptr || resolved.order.owner.size() == plan.experts(), "fold_combine", "owner.size()",
                   resolved.order.owner.size(), "the number of experts");
  }
  fanfold::detail::call_workspace ws(ex, options...);
  combine_loop<R, std::remove_cvref_t<decltype(resolved.action)>, std::remove_cvref_t<decltype(resolved.order)>> const loop{
      monoid, resolved.action, resolved.order};
  run_loop(ex, loop, plan, rows, weight, init, y, ws.get());
}

}  // namespace detail

/// Rows back to tokens: `y[t, :] = lower(init[t, :] (+) fold over the kept slots of act(w[t, s], rows[row_of[t, s], :]))`.
///
/// `weight` is T x K; an absent one (null data) means 1. `init`, where given, is T x columns, for instance the shared experts' output, and
/// may be `y` itself. Without `init` the first item starts the fold (the identity is never mixed in); a token with no kept slot
/// gets the answer of an empty fold, with `init` that of `init` alone. Rows may be stored narrower than they are folded: one rounding.
/// \throws argument_error for shapes that do not match the plan, rows that overlap y.
/// \par Determinism  the row tree over the kept slots in the policy's order (`init` is not counted in its first run of 32): bits depend
/// neither on threads nor on the other tokens of the batch.
template <executor E, class Policy, matrix_viewable Rows, matrix_viewable W, matrix_viewable Y, fanfold::detail::call_option... Options>
void fold_combine(E const& ex, Policy const& policy, plan_view const& plan, Rows const& rows, W const& weight, Y&& y, Options&&... options) {
  auto const out = as_matrix_view(y);
  using element = typename std::remove_cv_t<decltype(out)>::value_type;
  detail::run_combine(ex, policy, plan, as_const(as_matrix_view(rows)), as_const(as_matrix_view(weight)), matrix_view<element const>(), out, options...);
}
template <executor E, class Policy, matrix_viewable Rows, matrix_viewable W, matrix_viewable Init, matrix_viewable Y,
          fanfold::detail::call_option... Options>
void fold_combine(E const& ex, Policy const& policy, plan_view const& plan, Rows const& rows, W const& weight, Init const& init, Y&& y,
                  Options&&... options) {
  detail::run_combine(ex, policy, plan, as_const(as_matrix_view(rows)), as_const(as_matrix_view(weight)), as_const(as_matrix_view(init)),
                      as_matrix_view(y), options...);
}
template <class Policy, class... Arguments>
  requires(!executor<Policy>)
void fold_combine(Policy const& policy, plan_view const& plan, Arguments&&... arguments) {
  fold_combine(serial, policy, plan, arguments...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
