#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/lane_block.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `fold` (engine loop E1).
template <aggregator A>
struct fold_loop {
  A aggregator{};
};

namespace detail {

/// Tiles of one task: a power of two, so that a task's result is a node of the tree over tiles.
inline constexpr std::int64_t fold_task_tiles = 32;

// The first `rows` full rows of 64 items, folded into 64 lanes.
template <class A, class T>
void fold_rows(A const& a, T const* x, std::int64_t rows, typename A::state* lane) {
  using input = typename A::input;
  constexpr int L = static_cast<int>(tile_lanes);
  if constexpr (has_lane_block<A, L>) {
    typename A::template lane_block<L> block;
    input row[L];
    auto const load = [&](std::int64_t r) -> input const* {
      T const* const source = x + r * L;
      if constexpr (std::is_same_v<T, input>) {
        return source;
      } else {
        for (int l = 0; l < L; ++l) row[l] = load_item<input>(source[l]);
        return row;
      }
    };
    block.start(a, load(0));
    for (std::int64_t r = 1; r < rows; ++r) {
      // heavy carriers let compute and memory alternate: a tile ahead keeps both busy
      if constexpr (!std::is_arithmetic_v<typename A::state>)
        for (int line = 0; line < L; line += 64 / static_cast<int>(sizeof(T)))
          __builtin_prefetch(x + (r + 32) * L + line);
      block.absorb(a, load(r));
    }
    for (int l = 0; l < L; ++l) lane[l] = block.lane(a, l);
  } else {
    for (int l = 0; l < L; ++l) lane[l] = a.lift(load_item<input>(x[l]));
    for (std::int64_t r = 1; r < rows; ++r)
      for (int l = 0; l < L; ++l) absorb_item(a, lane[l], load_item<input>(x[r * L + l]));
  }
}

/// One tile (1 to 2,048 items) by the interleaved tree of 64 lanes.
template <class A, class T>
FANFOLD_NOINLINE typename A::state fold_tile_interleaved(A const& a, T const* x, std::int64_t n) {
  using input = typename A::input;
  typename A::state lane[tile_lanes];
  std::int64_t const rows = n / tile_lanes;
  if (rows > 0) fold_rows(a, x, rows, lane);
  for (std::int64_t i = rows * tile_lanes; i < n; ++i) {
    input const item = load_item<input>(x[i]);
    if (rows == 0)
      lane[i] = a.lift(item);
    else
      absorb_item(a, lane[i - rows * tile_lanes], item);
  }
  std::int64_t present = n < tile_lanes ? n : tile_lanes;
  for (std::int64_t w = tile_lanes / 2; w > 0; w /= 2) {
    for (std::int64_t l = 0; l + w < present; ++l) lane[l] = a.combine(lane[l], lane[l + w]);
    present = present < w ? present : w;
  }
  return lane[0];
}

/// One tile by the ordered tree: runs of 32 folded left, then adjacent pairs. Complete tiles are nodes of the tree over all runs.
template <class A, class T>
FANFOLD_NOINLINE typename A::state fold_tile_ordered(A const& a, T const* x, std::int64_t n) {
  using input = typename A::input;
  pair_tree<typename A::state, 7> runs;
  for (std::int64_t begin = 0; begin < n; begin += run_items) {
    std::int64_t const end = begin + run_items < n ? begin + run_items : n;
    typename A::state s = a.lift(load_item<input>(x[begin]));
    for (std::int64_t i = begin + 1; i < end; ++i) absorb_item(a, s, load_item<input>(x[i]));
    runs.push(a, s);
  }
  return runs.root(a);
}

template <class A, class T>
typename A::state fold_tile(A const& a, T const* x, std::int64_t n) {
  if constexpr (has_block_fold<A> && std::is_same_v<T, typename A::input>)
    return a.fold_block(view<T const>(x, n));
  else if constexpr (commutative_monoid<A>)
    return fold_tile_interleaved(a, x, n);
  else
    return fold_tile_ordered(a, x, n);
}

/// Items [begin, end), begin at a tile's start: the node of the canonical tree that they form.
template <class A, class T>
FANFOLD_NOINLINE typename A::state fold_tiles(A const& a, T const* x, std::int64_t begin, std::int64_t end) {
  pair_tree<typename A::state> tiles;
  for (; begin < end; begin += tile_items) tiles.push(a, fold_tile(a, x + begin, end - begin < tile_items ? end - begin : tile_items));
  return tiles.root(a);
}

/// The state of the canonical tree over all of `x`, which is not empty.
template <class E, class A, class T>
typename A::state fold_state(E const& ex, A const& a, view<T const> x, workspace& ws) {
  using state = typename A::state;
  constexpr std::int64_t task_items = fold_task_tiles * tile_items;
  std::int64_t const tasks = divide_up(x.size(), task_items);
  if (tasks == 1 || ex.concurrency() == 1) return fold_tiles(a, x.data(), 0, x.size());
  auto const run = [&](state* result) {
    for_each_task(ex, tasks, 0, ws, [&](std::int64_t task, void*) {
      std::int64_t const begin = task * task_items;
      result[task] = fold_tiles(a, x.data(), begin, begin + task_items < x.size() ? begin + task_items : x.size());
    });
    pair_tree<state> tree;
    for (std::int64_t task = 0; task < tasks; ++task) tree.push(a, result[task]);
    return tree.root(a);
  };
  if constexpr (std::is_trivially_copyable_v<state>) {
    workspace::frame frame(ws);
    return run(frame.take<state>(tasks).data());
  } else {
    std::vector<state> results(static_cast<std::size_t>(tasks), a.identity());
    return run(results.data());
  }
}

template <class E, class Loop, class... Arguments>
concept has_backend = requires(E const& ex, Loop const& loop, Arguments... arguments) { run_loop(ex, loop, arguments...); };

}  // namespace detail

/// Host form of E1; the same for every host executor, down to the bits.
template <host_executor E, aggregator A, class T, class Out, order_policy Order>
void run_loop(E const& ex, fold_loop<A> const& loop, view<T const> x, view<Out> out, Order, workspace& ws) {
  A const& a = loop.aggregator;
  out[0] = static_cast<Out>(x.empty() ? empty_answer(a) : a.lower(detail::fold_state(ex, a, x, ws)));
}

/// `out[0] = lower(combine over i of lift(x[i]))`; of no items `a.empty()`, by default `lower(identity())`.
///
/// `x` is a stream of items in memory that `ex` can read, of the aggregator's input type or a storage type that converts to it; `out`
/// has one element. Options: an order tag (default `order::fixed`), a workspace.
/// \throws argument_error where `out` has not one element, a view is null or there are more items than the carrier's max_items.
/// \par Determinism `order::fixed`: the interleaved tree (tiles of 2,048 items, 64 lanes, halving, adjacent pairs over tiles) for
/// commutative carriers, else the ordered tree (runs of 32, adjacent pairs); a function of the items' sequence alone.
template <executor E, aggregator A, viewable X, viewable Out, detail::call_option... Options>
void fold(E const& ex, A const& a, X const& x, Out&& out, Options&&... options) {
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, A>();
  auto const items = as_const(as_view(x));
  auto const answer = as_view(out);
  check_argument(answer.size() == 1, "fold", "out.size()", answer.size(), "1");
  check_argument(answer.data() != nullptr, "fold", "out.data()", answer.data(), "not null");
  check_argument(items.empty() || items.data() != nullptr, "fold", "x.data()", items.data(), "not null");
  detail::check_item_count<A>("fold", items.size());
  detail::call_workspace ws(ex, options...);
  static_assert(detail::has_backend<E, fold_loop<A>, decltype(items), decltype(answer), order_tag, workspace&>,
                "no backend of fold for this executor: include <fanfold/kernel/fold.hpp> for device executors");
  run_loop(ex, fold_loop<A>{a}, items, answer, order_tag{}, ws.get());
}

/// The same on the calling thread.
template <aggregator A, viewable X, viewable Out, detail::call_option... Options>
void fold(A const& a, X const& x, Out&& out, Options&&... options) {
  fold(serial, a, x, out, options...);
}

/// Value form, for host executors.
template <executor E, aggregator A, viewable X, detail::call_option... Options>
typename A::output fold(E const& ex, A const& a, X const& x, Options&&... options) {
  static_assert(host_executor<E>, "the value form of fold needs a host executor: on a device pass an output view and read it by fetch(ex, out)");
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, A>();
  auto const items = as_const(as_view(x));
  check_argument(items.empty() || items.data() != nullptr, "fold", "x.data()", items.data(), "not null");
  detail::check_item_count<A>("fold", items.size());
  if (items.empty()) return empty_answer(a);
  detail::call_workspace ws(ex, options...);
  return a.lower(detail::fold_state(ex, a, items, ws.get()));
}

template <aggregator A, viewable X, detail::call_option... Options>
typename A::output fold(A const& a, X const& x, Options&&... options) {
  return fold(serial, a, x, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
