#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/fold_tile.hpp"
#include "fanfold/kernel/warp.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <aggregator A>
struct fold_loop;

namespace detail {

/// First launch of a device fold: a warp folds a tile of 2,048 items. The only tile goes to `out`, several to `tiles`.
template <aggregator A>
struct fold_tiles_body {
  static constexpr unsigned max_threads = sizeof(typename A::state) > 64 ? 128 : 256;  // two large states a thread want its registers

  A aggregator;

  template <block B, class T, class Out>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<typename A::state> tiles, view<Out> out) const {
    if (x.empty()) {
      if (grid_thread(b) == 0) out[0] = static_cast<Out>(empty_answer(aggregator));
      return;
    }
    std::int64_t const count = divide_up(x.size(), tile_items);
    for (std::int64_t t = grid_warp(b); t < count; t += grid_warps(b)) {
      std::int64_t const begin = t * tile_items;
      std::int64_t const n = x.size() - begin < tile_items ? x.size() - begin : tile_items;
      typename A::state const s = warp_fold_tile(b, aggregator, x.data() + begin, n);
      if (lane_of(b) != 0) continue;
      if (count == 1)
        out[0] = static_cast<Out>(aggregator.lower(s));
      else
        tiles[t] = s;
    }
  }
};

/// Further launches: the adjacent-pair tree, 1,024 neighbours to one, a block each; the last result goes to `out`.
template <aggregator A>
struct fold_pairs_body {
  using state = typename A::state;
  static constexpr std::int64_t fan_in = 1024;

  struct shared {
    checked_array<state, 32> part;
  };

  A aggregator;

  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, shared& s, view<state const> from, view<state> to, view<Out> out) const {
    std::int64_t const groups = divide_up(from.size(), fan_in);
    for (std::int64_t g = b.index(); g < groups; g += b.blocks()) {
      std::int64_t const n = from.size() - g * fan_in < fan_in ? from.size() - g * fan_in : fan_in;
      auto const parts = static_cast<unsigned>(divide_up(n, 32));
      for (unsigned p = warp_of(b); p < parts; p += warps_of(b)) {
        state const folded = fold_32(b, from.data() + g * fan_in + p * 32, n - p * 32);
        if (lane_of(b) == 0) s.part[p] = folded;
      }
      b.sync();
      if (warp_of(b) == 0) {
        state const folded = fold_32(b, s.part.data(), parts);
        if (lane_of(b) == 0) {
          if (groups == 1)
            out[0] = static_cast<Out>(aggregator.lower(folded));
          else
            to[g] = folded;
        }
      }
      b.sync();
    }
  }

 private:
  template <class B>
  FANFOLD_HD state fold_32(B& b, state const* from, std::int64_t n) const {
    std::int64_t const lane = lane_of(b);
    state const mine = lane < n ? from[lane] : aggregator.identity();
    return warp_fold_pairs(b, aggregator, mine, n);
  }
};

}  // namespace detail

/// Bytes that the device form of E1 reads and writes; the least is the input and one answer.
template <aggregator A, class T>
constexpr std::int64_t fold_traffic(std::int64_t items) {
  using pairs = detail::fold_pairs_body<A>;
  std::int64_t bytes = items * static_cast<std::int64_t>(sizeof(T)) + static_cast<std::int64_t>(sizeof(typename A::output));
  for (std::int64_t n = detail::divide_up(items, tile_items); n > 1; n = detail::divide_up(n, pairs::fan_in))
    bytes += 2 * n * static_cast<std::int64_t>(sizeof(typename A::state));
  return bytes;
}

/// Device form of E1: a launch over the tiles, then one for every factor of 1,024 tiles.
template <device_executor E, aggregator A, class T, class Out, order_policy Order>
void run_loop(E const& ex, fold_loop<A> const& loop, view<T const> x, view<Out> out, Order, workspace& ws) {
  using state = typename A::state;
  using tiles_body = detail::fold_tiles_body<A>;
  using pairs_body = detail::fold_pairs_body<A>;
  static_assert(std::is_trivially_copyable_v<state>, "a fold on a device needs a trivially copyable state");
  workspace::frame frame(ws);
  std::int64_t const tiles = detail::divide_up(x.size(), tile_items);
  view<state> const results = frame.take<state>(tiles > 1 ? tiles : 0);
  unsigned const threads = threads_for<tiles_body>(ex);
  ex.launch(tiles_body{loop.aggregator}, blocks_for(ex, tiles > 0 ? tiles : 1, threads / 32, threads), threads, x, results, out);

  view<state> const spare = frame.take<state>(tiles > pairs_body::fan_in ? detail::divide_up(tiles, pairs_body::fan_in) : 0);
  unsigned const pair_threads = threads_for<pairs_body>(ex);
  view<state> from = results, to = spare;
  for (std::int64_t n = tiles; n > 1;) {
    std::int64_t const groups = detail::divide_up(n, pairs_body::fan_in);
    view<state> const target = groups > 1 ? to.subview(0, groups) : view<state>();
    ex.launch(pairs_body{loop.aggregator}, blocks_for(ex, groups, 1, pair_threads), pair_threads, as_const(from.subview(0, n)), target, out);
    view<state> const done = from;
    from = to;
    to = done;
    n = groups;
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
