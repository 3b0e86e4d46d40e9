#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/detail/row_dot.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// What `run_loop` runs for `fold_combine_vjp`.
template <class M, class Action, class Order>
struct combine_vjp_loop {
  M monoid{};
  Action action{};
  Order order{};
};

namespace detail {

// Through the action: gradients of z and, before the sum over columns, of w.
template <class A>
FANFOLD_HD constexpr A row_gradient(scale, A w, A, A g) {
  return w * g;
}
template <class A>
FANFOLD_HD constexpr A weight_gradient(scale, A, A z, A g) {
  return z * g;
}
template <class A>
FANFOLD_HD constexpr A row_gradient(ignore_weight, A, A, A g) {
  return g;
}
template <class A>
FANFOLD_HD constexpr A weight_gradient(ignore_weight, A, A, A) {
  return A(0);
}
template <class Action, class A>
  requires requires(Action const& a, A x) { a.row_gradient(x, x, x); }
FANFOLD_HD constexpr A row_gradient(Action const& action, A w, A z, A g) {
  return action.row_gradient(w, z, g);
}
template <class Action, class A>
  requires requires(Action const& a, A x) { a.weight_gradient(x, x, x); }
FANFOLD_HD constexpr A weight_gradient(Action const& action, A w, A z, A g) {
  return action.weight_gradient(w, z, g);
}

template <class P>
inline constexpr bool is_constant_pullback = false;
template <class G>
inline constexpr bool is_constant_pullback<constant_pullback<G>> = true;

template <class M, class G>
concept has_pullback = requires(M const& m, typename M::state const& s, G const& g) { m.fold_vjp(s, g)(m.lift(typename M::input{})); } ||
                       requires(M const& m, typename M::state const& s, G const& g) { m.fold_vjp(s, g)(typename M::input{}); };

/// Whether an item alone equals the whole fold: the rule of selecting monoids.
template <class S>
FANFOLD_HD constexpr bool attains(S const& item, S const& whole) {
  return item == whole || (item != item && whole != whole);
}

/// The gradient of an item, where `state` is the whole fold (read by monoids of `needs_state` only) and `taken` whether an earlier item of the
/// fold has attained it.
template <class M, class A>
FANFOLD_HD A item_gradient(M const& m, typename M::state const* state, bool& taken, typename M::input const& item, A g) {
  if constexpr (has_law(M::laws, law::idempotent)) {
    bool const mine = !taken && attains(m.lift(item), *state);
    taken = taken || mine;
    return mine ? g : A(0);
  } else if constexpr (is_constant_pullback<decltype(m.fold_vjp(m.identity(), g))>) {
    return g;
  } else {
    return static_cast<A>(m.fold_vjp(*state, g)(item));
  }
}
template <class M, class A, class Row, class G>
void item_gradients(M const& m, typename M::state const* state, bool* taken, Row const& row, G const* dy, A* out, std::int64_t cols) {
  for (std::int64_t c = 0; c < cols; ++c)
    out[c] = item_gradient(m, state + c, taken[c], fanfold::detail::load_item<typename M::input>(row[c]), static_cast<A>(to_arithmetic(dy[c])));
}

template <class M, class A>
struct combine_vjp_scratch {
  combine_scratch<columnwise<M>, A> kept;
  A* gradient;
  A* product;
  typename M::state* state;
  bool* taken;

  static constexpr std::size_t up(std::size_t n) { return (n + 63) / 64 * 64; }
  static std::size_t bytes(std::int64_t slots, std::int64_t cols) {
    auto const n = static_cast<std::size_t>(cols);
    return up(combine_scratch<columnwise<M>, A>::bytes(slots)) + 2 * up(n * sizeof(A)) + up(n * sizeof(typename M::state)) + n;
  }
  combine_vjp_scratch(void* memory, std::int64_t slots, std::int64_t cols) : kept(memory, slots) {
    auto* p = static_cast<std::byte*>(memory) + up(combine_scratch<columnwise<M>, A>::bytes(slots));
    auto const next = [&](std::size_t size) {
      void* const at = p;
      p += up(size * static_cast<std::size_t>(cols));
      return at;
    };
    gradient = static_cast<A*>(next(sizeof(A)));
    product = static_cast<A*>(next(sizeof(A)));
    state = static_cast<typename M::state*>(next(sizeof(typename M::state)));
    taken = static_cast<bool*>(next(1));
  }
};

// The state of the fold in every column of a token.
template <class M, class RowAt, class Initial>
FANFOLD_NOINLINE void combine_states(columnwise<M> const& r, RowAt const& row_at, kept_rows const& kept, Initial const* init, std::int64_t cols,
                                     typename M::state* state) {
  constexpr int width = 16;
  for (std::int64_t c = 0; c < cols; c += width) {
    int const n = cols - c < width ? static_cast<int>(cols - c) : width;
    fanfold::detail::row_state<columnwise<M>, width> s;
    combine_row_state<width>(r, row_at, kept, init, c, n, s);
    for (int j = 0; j < n; ++j) state[c + j] = s.column[j];
  }
}

template <class M>
inline constexpr bool needs_state = true;
template <class T, class A>
inline constexpr bool needs_state<plus<T, A>> = false;

template <class A>
FANFOLD_NOINLINE A stream_sum(A const* x, std::int64_t n) {
  return n == 0 ? A(0) : fanfold::detail::fold_tiles(plus<A>{}, x, 0, n);
}

}  // namespace detail

/// Host form.
template <host_executor E, class M, class Action, class Order, class T, class W, class Initial, class G, class DT, class DW, class DI>
void run_loop(E const& ex, combine_vjp_loop<M, Action, Order> const& loop, plan_view const& plan, matrix_view<T const> rows,
              matrix_view<W const> weight, matrix_view<Initial const> init, matrix_view<G const> dy, matrix_view<DT> drows, matrix_view<DW> dweight,
              matrix_view<DI> dinit, workspace& ws) {
  using A = arithmetic_t<T>;
  using scratch_type = detail::combine_vjp_scratch<M, A>;
  std::int64_t const cols = dy.cols(), step = detail::tokens_a_task(cols * (plan.slots + 1), sizeof(T));
  for_each_task(ex, fanfold::detail::divide_up(plan.tokens, step), scratch_type::bytes(plan.slots, cols), ws, [&](std::int64_t task, void* memory) {
    scratch_type scratch(memory, plan.slots, cols);
    auto& kept = scratch.kept.kept;
    std::int64_t const end = (task + 1) * step < plan.tokens ? (task + 1) * step : plan.tokens;
    for (std::int64_t t = task * step; t < end; ++t) {
      kept.collect(plan, t);
      kept.arrange(plan, loop.order);
      for (std::int64_t i = 0; i < kept.count; ++i)
        scratch.kept.weight[i] = weight.data() == nullptr ? A(1) : static_cast<A>(to_arithmetic(weight.data()[t * weight.stride() + kept.slot[i]]));
      detail::slot_row_at<T, Action, A> const row_at{rows, loop.action, kept.row, scratch.kept.weight};
      Initial const* const initial = init.data() == nullptr ? nullptr : init.data() + t * init.stride();
      G const* const g = dy.data() + t * dy.stride();
      for (std::int64_t c = 0; c < cols; ++c) scratch.taken[c] = false;
      if (detail::needs_state<M> && (kept.count > 0 || initial != nullptr))
        detail::combine_states(columnwise<M>{loop.monoid}, row_at, kept, initial, cols, scratch.state);
      if (dweight.data() != nullptr)
        for (std::int64_t s = 0; s < plan.slots; ++s) dweight(t, s) = from_arithmetic<DW>(arithmetic_t<DW>(0));
      if (initial != nullptr) {
        detail::item_gradients(loop.monoid, scratch.state, scratch.taken, fanfold::detail::plain_row<Initial>{initial}, g, scratch.gradient, cols);
        if (dinit.data() != nullptr) detail::copy_row(scratch.gradient, dinit.data() + t * dinit.stride(), cols);
      }
      for (std::int64_t i = 0; i < kept.count; ++i) {
        detail::item_gradients(loop.monoid, scratch.state, scratch.taken, row_at(i), g, scratch.gradient, cols);
        T const* const z = rows.data() + kept.row[i] * rows.stride();
        A const w = scratch.kept.weight[i];
        DT* const dz = drows.data() + kept.row[i] * drows.stride();
        for (std::int64_t c = 0; c < cols; ++c) scratch.product[c] = detail::weight_gradient(loop.action, w, static_cast<A>(to_arithmetic(z[c])), scratch.gradient[c]);
        for (std::int64_t c = 0; c < cols; ++c)
          dz[c] = from_arithmetic<DT>(static_cast<arithmetic_t<DT>>(detail::row_gradient(loop.action, w, static_cast<A>(to_arithmetic(z[c])), scratch.gradient[c])));
        if (dweight.data() != nullptr)
          dweight(t, kept.slot[i]) = from_arithmetic<DW>(static_cast<arithmetic_t<DW>>(detail::stream_sum(scratch.product, cols)));
      }
    }
  });
  if (plan.leaves_padding) return;
  for_each_task(ex, plan.experts(), [&](std::int64_t e) {
    for (std::int64_t r = plan.offsets[e] + plan.kept[e]; r < plan.offsets[e + 1]; ++r) detail::zero_row(drows.data() + r * drows.stride(), cols);
  });
}

/// Gradients of `fold_combine` for `dy` = dL/dy: `drows` (rows of the plan), `dweight` (T x K, may be absent) and, with `init`, `dinit`
/// (may be absent). For the sum: drows[r, :] = w dy[t, :], dweight = <rows[r, :], dy[t, :]>, dinit = dy. Selecting monoids (maximum,
/// minimum) give the gradient to the first item in fold order that attains the result, `init` first; others by their `fold_vjp`.
/// Dropped and unused slots get 0 weight gradient, padding rows 0 (masked: untouched). Selections are constants.
/// A user's action needs `row_gradient(w, z, g)` and `weight_gradient(w, z, g)`.
/// \par Determinism  dots over columns use the stream tree.
template <executor E, class Policy, matrix_viewable Rows, matrix_viewable W, matrix_viewable Init, matrix_viewable G, matrix_viewable DRows,
          matrix_viewable DW, matrix_viewable DInit, fanfold::detail::call_option... Options>
void fold_combine_vjp(E const& ex, Policy const& policy, plan_view const& plan, Rows const& rows, W const& weight, Init const& init, G const& dy,
                      DRows&& drows, DW&& dweight, DInit&& dinit, Options&&... options) {
  auto const z = as_const(as_matrix_view(rows));
  auto const w = as_const(as_matrix_view(weight));
  auto const start = as_const(as_matrix_view(init));
  auto const g = as_const(as_matrix_view(dy));
  auto const dz = as_matrix_view(drows);
  auto const dw = as_matrix_view(dweight);
  auto const dstart = as_matrix_view(dinit);
  detail::check_plan_shape("fold_combine_vjp", plan);
  detail::check_tokens("fold_combine_vjp", "dy", plan, g, g.cols());
  detail::check_rows("fold_combine_vjp", "rows", ex, plan, z, g.cols());
  detail::check_rows("fold_combine_vjp", "drows", ex, plan, dz, g.cols());
  detail::check_tokens("fold_combine_vjp", "weight", plan, w, plan.slots, true);
  detail::check_tokens("fold_combine_vjp", "dweight", plan, dw, plan.slots, true);
  detail::check_tokens("fold_combine_vjp", "init", plan, start, g.cols(), true);
  detail::check_tokens("fold_combine_vjp", "dinit", plan, dstart, g.cols(), true);
  detail::check_apart("fold_combine_vjp", "dy and drows", g, dz);
  using element = typename std::remove_cv_t<decltype(z)>::value_type;
  auto const resolved = detail::resolve_combine<element>(policy);
  using M = std::remove_cvref_t<decltype(resolved.monoid)>;
  static_assert(aggregator<M>, "fold_combine_vjp needs a scalar aggregator");
  static_assert(has_law(M::laws, law::idempotent) || detail::has_pullback<M, arithmetic_t<element>>,
                "fold_combine_vjp needs a monoid that selects an item (law::idempotent) or has fold_vjp(state, gradient)");
  fanfold::detail::call_workspace ws(ex, options...);
  combine_vjp_loop<M, std::remove_cvref_t<decltype(resolved.action)>, std::remove_cvref_t<decltype(resolved.order)>> const loop{
      resolved.monoid, resolved.action, resolved.order};
  run_loop(ex, loop, plan, z, w, start, g, dz, dw, dstart, ws.get());
}

/// Without `init`.
template <executor E, class Policy, matrix_viewable Rows, matrix_viewable W, matrix_viewable G, matrix_viewable DRows, matrix_viewable DW,
          fanfold::detail::call_option... Options>
void fold_combine_vjp(E const& ex, Policy const& policy, plan_view const& plan, Rows const& rows, W const& weight, G const& dy, DRows&& drows,
                      DW&& dweight, Options&&... options) {
  using element = typename std::remove_cvref_t<decltype(as_matrix_view(dy))>::value_type;
  fold_combine_vjp(ex, policy, plan, rows, weight, matrix_view<element const>(), dy, drows, dweight, matrix_view<element>(), options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
