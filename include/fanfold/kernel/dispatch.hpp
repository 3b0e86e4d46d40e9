#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/segmented_fold.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

/// A thread writes V columns of a row; rows pull from their tokens.
template <int V, class Scale>
struct gather_body {
  Scale scale;
  plan_view plan;

  template <block B, class T, class U>
  FANFOLD_HD void operator()(B& b, matrix_view<T const> x, matrix_view<U> rows) const {
    std::int64_t const groups = x.cols() / V, used = plan.offsets.data()[plan.experts()] * groups;
    for (std::int64_t i = grid_thread(b); i < used; i += grid_threads(b)) {
      std::int64_t const row = i / groups, first = (i - row * groups) * V, a = plan.src_of.data()[row];
      if (a < 0 && plan.leaves_padding) continue;
      U* const to = rows.data() + row * rows.stride() + first;
      if (a < 0) {
        for (int c = 0; c < V; ++c) to[c] = from_arithmetic<U>(arithmetic_t<U>(0));
        continue;
      }
      std::int64_t const t = a / plan.slots;
      T const* const from = x.data() + t * x.stride() + first;
      if constexpr (V > 1)
        store_pack<V>(to, load_pack<V>(from));
      else
        *to = item(*from, t, a - t * plan.slots, static_cast<U*>(nullptr));
    }
  }

 private:
  template <class T, class U>
  FANFOLD_HD U item(T const& x, std::int64_t t, std::int64_t s, U*) const {
    if constexpr (!std::is_same_v<Scale, unscaled>)
      return from_arithmetic<U>(static_cast<arithmetic_t<U>>(static_cast<arithmetic_t<T>>(to_arithmetic(scale.weight.data()[t * scale.weight.stride() + s])) * to_arithmetic(x)));
    else if constexpr (std::is_same_v<T, U>)
      return x;
    else
      return from_arithmetic<U>(static_cast<arithmetic_t<U>>(to_arithmetic(x)));
  }
};

/// Walks the kept slots of a token in fold order without a list: `key` of a slot is what the order sorts by, ties by slot.
template <class Order>
struct slot_walk {
  plan_view const& plan;
  Order const& order;
  std::int64_t token;
  std::int64_t slot = -1;
  std::int64_t key = -1;

  FANFOLD_HD std::int64_t row_of(std::int64_t s) const { return plan.row_of.data()[token * plan.slots + s]; }
  FANFOLD_HD std::int64_t key_of(std::int64_t row) const {
    if constexpr (std::is_same_v<Order, by_expert>) {
      return row;
    } else if constexpr (std::is_same_v<Order, by_rank_then_slot>) {
      std::int64_t const e = expert_of_row(plan, row);
      return order.owner.data() != nullptr ? static_cast<std::int64_t>(order.owner.data()[e]) : e / order.experts_a_rank;
    } else {
      return 0;
    }
  }
  /// Moves to the next slot; false at the end.
  FANFOLD_HD bool next() {
    std::int64_t best = -1, best_key = 0;
    for (std::int64_t s = 0; s < plan.slots; ++s) {
      std::int64_t const row = row_of(s);
      if (row < 0) continue;
      std::int64_t const k = key_of(row);
      bool const later = k > key || (k == key && s > slot);
      if (later && (best < 0 || k < best_key)) best = s, best_key = k;
      if (std::is_same_v<Order, by_slot> && best >= 0) break;
    }
    if (best < 0) return false;
    slot = best;
    key = best_key;
    return true;
  }
};

/// The ordered tree over rows that come one by one: up to 32 of them, or with `Deep` up to 2,048.
template <class R, int V, bool Deep>
struct row_accumulator {
  fanfold::detail::row_state<R, V> state{};
  bool started = false;

  template <class Row>
  FANFOLD_HD void add(R const& r, Row const& row, bool) {
    if (started)
      state.absorb(r, row, 0, V);
    else
      state.start(r, row, 0, V);
    started = true;
  }
  FANFOLD_HD void finish(R const&) {}
};
template <class R, int V>
struct row_accumulator<R, V, true> {
  row_accumulator<R, V, false> run{};
  fanfold::detail::row_state<R, V> state{};
  fanfold::detail::register_row_tree<R, V> tree;
  unsigned runs = 0;
  std::int64_t in_run = 0;

  template <class Row>
  FANFOLD_HD void add(R const& r, Row const& row, bool counts) {
    if (in_run == run_items) {
      tree.push(r, run.state, runs++);
      run.started = false;
      in_run = 0;
    }
    run.add(r, row, counts);
    in_run += counts ? 1 : 0;
  }
  FANFOLD_HD void finish(R const& r) {
    state = run.state;
    if (runs == 0) return;
    tree.push(r, state, runs++);
    tree.root(r, state, runs);
  }
};

/// A thread folds V columns of a token; tokens pull from their rows.
template <int V, bool Deep, class R, class Action, class Order, class T, class W, class Initial>
struct combine_body {
  using A = arithmetic_t<T>;
  using state_type = fanfold::detail::row_state<R, V>;

  combine_loop<R, Action, Order> loop;
  plan_view plan;
  matrix_view<T const> rows;
  matrix_view<W const> weight;
  matrix_view<Initial const> init;

  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, matrix_view<Out> y) const {
    std::int64_t const groups = y.cols() / V, all = plan.tokens * groups;
    for (std::int64_t i = grid_thread(b); i < all; i += grid_threads(b)) {
      std::int64_t const t = i / groups, first = (i - t * groups) * V;
      fold_token(t, first, y.data() + t * y.stride() + first);
    }
  }

  /// The folded state of V columns of token t; false where there is nothing to fold.
  FANFOLD_HD bool fold_state(std::int64_t t, std::int64_t first, state_type& state) const {
    slot_walk<Order> walk{plan, loop.order, t};
    bool more = walk.next();
    if (!more && init.data() == nullptr) return false;
    if constexpr (std::is_same_v<Order, by_rank_then_slot>) {
      bool started = init.data() != nullptr;
      if (started) state.start(loop.monoid, initial(t, first), 0, V);
      while (more) {
        std::int64_t const rank = walk.key;
        row_accumulator<R, V, Deep> part;
        for (; more && walk.key == rank; more = walk.next()) part.add(loop.monoid, row(walk, first), true);
        part.finish(loop.monoid);
        if (started) part.state.merge_behind(loop.monoid, state, V);
        state = part.state;
        started = true;
      }
    } else {
      row_accumulator<R, V, Deep> sum;
      if (init.data() != nullptr) sum.add(loop.monoid, initial(t, first), false);
      for (; more; more = walk.next()) sum.add(loop.monoid, row(walk, first), true);
      sum.finish(loop.monoid);
      state = sum.state;
    }
    return true;
  }

  FANFOLD_HD A weight_of(slot_walk<Order> const& walk) const {
    return weight.data() == nullptr ? A(1) : static_cast<A>(to_arithmetic(weight.data()[walk.token * weight.stride() + walk.slot]));
  }

 private:
  using initial_row = fanfold::detail::shifted_row<fanfold::detail::plain_row<Initial>>;

  FANFOLD_HD initial_row initial(std::int64_t t, std::int64_t first) const { return {{init.data() + t * init.stride()}, first}; }
  FANFOLD_HD auto row(slot_walk<Order> const& walk, std::int64_t first) const {
    return fanfold::detail::columns_of<V>(loop.action.row(rows.data() + walk.row_of(walk.slot) * rows.stride(), weight_of(walk)), first);
  }

  template <class Out>
  FANFOLD_HD void fold_token(std::int64_t t, std::int64_t first, Out* to) const {
    state_type state{};
    if (fold_state(t, first, state))
      fanfold::detail::store_row(loop.monoid, state, to, V);
    else
      fanfold::detail::store_empty_row(loop.monoid, empty_policy::answer_t{}, to, V);
  }
};

template <int V, class T>
bool packs_fit(matrix_view<T> m) {
  return is_pack_aligned<V>(m.data()) && m.stride() % V == 0 && m.cols() % V == 0;
}

template <int V, bool Deep, class E, class R, class Action, class Order, class T, class W, class Initial, class Out>
void launch_combine(E const& ex, combine_loop<R, Action, Order> const& loop, plan_view const& plan, matrix_view<T const> rows,
                    matrix_view<W const> weight, matrix_view<Initial const> init, matrix_view<Out> y) {
  using body = combine_body<V, Deep, R, Action, Order, T, W, Initial>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop, plan, rows, weight, init}, blocks_for(ex, plan.tokens * (y.cols() / V), threads, threads), threads, y);
}

template <class R>
inline constexpr bool is_columnwise = false;
template <class A>
inline constexpr bool is_columnwise<columnwise<A>> = true;

}  // namespace detail

/// Bytes that `gather` moves on a device, with R rows in use: each row's token is read and the row written; the least, when tokens do not stay in
/// cache, is the same with each token read once.
constexpr std::int64_t gather_traffic(std::int64_t rows, std::int64_t columns, std::int64_t from_size, std::int64_t to_size) {
  return rows * columns * (from_size + to_size) + rows * 4;
}
/// Bytes that `fold_combine` moves on a device, which is also the least.
constexpr std::int64_t combine_traffic(std::int64_t tokens, std::int64_t kept, std::int64_t columns, std::int64_t row_size, std::int64_t out_size) {
  return kept * columns * row_size + tokens * columns * out_size;
}

namespace detail {

template <class F>
struct each_body {
  F f;

  template <block B>
  FANFOLD_HD void operator()(B& b, std::int64_t n) const {
    for (std::int64_t i = grid_thread(b); i < n; i += grid_threads(b)) f(i);
  }
};

/// A warp a token.
template <class F>
struct token_body {
  F f;

  template <block B>
  FANFOLD_HD void operator()(B& b, std::int64_t tokens) const {
    warp_lanes<B> const g(b);
    for (std::int64_t t = grid_warp(b); t < tokens; t += grid_warps(b)) f.token(g, t);
  }
};

}  // namespace detail

/// Device form of steps over tokens: one launch, a warp a token.
template <device_executor E, class F>
void run_loop(E const& ex, token_loop<F> const& loop, std::int64_t tokens, std::int64_t) {
  using body = detail::token_body<F>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.f}, blocks_for(ex, tokens, threads / 32, threads), threads, tokens);
}

/// Device form of the small steps: one launch, an item a thread.
template <device_executor E, class F>
void run_loop(E const& ex, each_loop<F> const& loop, std::int64_t n, std::int64_t) {
  using body = detail::each_body<F>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.f}, blocks_for(ex, n, threads, threads), threads, n);
}

/// Device form of `gather`: one launch.
template <device_executor E, class Scale, class T, class U>
void run_loop(E const& ex, gather_loop<Scale> const& loop, plan_view const& plan, matrix_view<T const> x, matrix_view<U> rows, workspace&) {
  if (plan.row_bound() == 0 || x.cols() == 0) return;
  constexpr int V = std::is_same_v<Scale, unscaled> && std::is_same_v<T, U> ? widest_pack<T> : 1;
  if constexpr (V > 1) {
    if (detail::packs_fit<V>(x) && detail::packs_fit<V>(rows)) {
      using body = detail::gather_body<V, Scale>;
      unsigned const threads = threads_for<body>(ex);
      return ex.launch(body{loop.scale, plan}, blocks_for(ex, plan.row_bound() * (x.cols() / V), threads, threads), threads, x, rows);
    }
  }
  using body = detail::gather_body<1, Scale>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.scale, plan}, blocks_for(ex, plan.row_bound() * x.cols(), threads, threads), threads, x, rows);
}

/// Device form of `fold_combine`: one launch. At most 2,048 slots.
template <device_executor E, class R, class Action, class Order, class T, class W, class Initial, class Out>
void run_loop(E const& ex, combine_loop<R, Action, Order> const& loop, plan_view const& plan, matrix_view<T const> rows, matrix_view<W const> weight,
              matrix_view<Initial const> init, matrix_view<Out> y, workspace&) {
  check_argument(plan.slots <= tile_items, "fold_combine", "slots", plan.slots, "at most 2048 on a device");
  if (y.empty()) return;
  constexpr bool simple = detail::is_columnwise<R> && (std::is_same_v<Action, scale> || std::is_same_v<Action, ignore_weight>);
  constexpr int V = simple ? widest_pack<T> : 1;
  constexpr int deep_v = V < 4 ? V : 4;  // seven levels of states in registers
  bool const packs = detail::packs_fit<V>(rows) && y.cols() % V == 0;
  if (plan.slots > run_items)
    packs ? detail::launch_combine<deep_v, true>(ex, loop, plan, rows, weight, init, y) : detail::launch_combine<1, true>(ex, loop, plan, rows, weight, init, y);
  else
    packs ? detail::launch_combine<V, false>(ex, loop, plan, rows, weight, init, y) : detail::launch_combine<1, false>(ex, loop, plan, rows, weight, init, y);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
