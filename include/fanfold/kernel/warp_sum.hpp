#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/lanes.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class F>
struct one_term {
  F const& terms;
  FANFOLD_HD auto operator()(std::int64_t c) const { return terms.template at<1>(c).item[0]; }
};

/// A tile's sum where lane l takes items 2l and 2l + 1 of every 64: the lanes of the interleaved tree, two neighbours in a thread.
template <class A, class B, class F>
struct pair_tile {
  B& b;
  F const& terms;

  FANFOLD_HD A operator()(std::int64_t first, std::int64_t n) const {
    std::int64_t const lane = lane_of(b), mine = 2 * lane;
    A low = A(0), high = A(0);
    if (mine < n) {
      pack<A, 2> const x = terms.template at<2>(first + mine);
      low = x.item[0], high = x.item[1];
    }
    for (std::int64_t i = tile_lanes + mine; i < n; i += tile_lanes) {
      pack<A, 2> const x = terms.template at<2>(first + i);
      low = low + x.item[0], high = high + x.item[1];
    }
    for (int w = 16; w >= 1; w /= 2) {
      A const other_low = b.shuffle_down(low, static_cast<unsigned>(w)), other_high = b.shuffle_down(high, static_cast<unsigned>(w));
      if (lane < w && mine + 2 * w < n) low = low + other_low, high = high + other_high;
    }
    return b.shuffle(low + high, 0u);
  }
};

}  // namespace detail

/// The sum of n terms in the canonical tree of streams, to every lane of the warp. `terms.at<V>(c)` gives terms c ... c + V - 1 as a
/// pack<A, V> and is called once for each. V is 1, or 2 where n is even: then what the terms are made of can be loaded in pairs.
template <int V, class A, block B, class F>
FANFOLD_HD A warp_sum(B& b, std::int64_t n, F const& terms) {
  static_assert(V == 1 || V == 2);
  warp_lanes<B> const lanes(b);
  if constexpr (V == 1)
    return lanes.fold(plus<A>{}, n, detail::one_term<F>{terms});
  else
    return lanes.fold_tiles(plus<A>{}, n, detail::pair_tile<A, B, F>{b, terms});
}

}  // namespace fanfold::inline FANFOLD_ABI
