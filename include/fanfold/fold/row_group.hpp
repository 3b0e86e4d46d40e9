#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// The adjacent-pair tree in registers: a fixed number of levels, so that an optimiser sees no run-time index. Enough for 2^8 - 1 states.
template <class State>
class register_pair_tree {
 public:
  template <monoid M>
  FANFOLD_HD void push(M const& m, State s) {
    bool carry = true;
    for (int l = 0; l < levels; ++l) {
      bool const full = (count_ >> l & 1U) != 0;
      if (carry && full) s = m.combine(level_[l], s);
      if (carry && !full) {
        level_[l] = s;
        carry = false;
      }
    }
    ++count_;
  }

  template <monoid M>
  FANFOLD_HD State root(M const& m) const {
    State s{};
    bool any = false;
    for (int l = 0; l < levels; ++l) {
      if ((count_ >> l & 1U) == 0) continue;
      s = any ? m.combine(level_[l], s) : level_[l];
      any = true;
    }
    return s;
  }

 private:
  static constexpr int levels = 8;
  State level_[levels]{};
  unsigned count_ = 0;
};

}  // namespace detail

/// The lanes that work on one row together: one host lane, or the 32 lanes of a warp. `fold(m, n, f)` combines the states f(0) ... f(n-1)
/// of a commutative monoid in the interleaved canonical tree and gives every lane the result (`identity()` where n is 0). `size()` is a
/// constant. `sync()` makes what any lane wrote visible to the others. Every lane must reach every call.
template <class G>
concept row_group = requires(G const& g) {
  { g.size() } -> std::convertible_to<int>;
  { g.rank() } -> std::convertible_to<int>;
  { g.sync() } -> std::same_as<void>;
};

/// A row group of one lane: plain code on the host.
struct host_lane {
  FANFOLD_HD static constexpr int size() { return 1; }
  FANFOLD_HD static constexpr int rank() { return 0; }
  FANFOLD_HD static constexpr void sync() {}

  template <commutative_monoid M, class F>
  FANFOLD_HD typename M::state fold(M const& m, std::int64_t n, F const& f) const {
    if (n == 0) return m.identity();
    if (n <= tile_items) return fold_tile(m, 0, n, f);
    detail::register_pair_tree<typename M::state> tree;
    for (std::int64_t first = 0; first < n; first += tile_items)
      tree.push(m, fold_tile(m, first, n - first < tile_items ? n - first : tile_items, f));
    return tree.root(m);
  }

 private:
  template <class M, class F>
  FANFOLD_HD static typename M::state fold_tile(M const& m, std::int64_t first, std::int64_t n, F const& f) {
    typename M::state lane[tile_lanes];
    if (n == 8) {  // the usual number of slots
      for (std::int64_t l = 0; l < 8; ++l) lane[l] = f(first + l);
      halve<4>(m, lane);
      return lane[0];
    }
    if (n < tile_lanes) {
      for (std::int64_t l = 0; l < n; ++l) lane[l] = f(first + l);
      std::int64_t w = 1;
      while (2 * w < n) w *= 2;
      for (; w >= 1; w /= 2)
        for (std::int64_t l = 0; l + w < n && l < w; ++l) lane[l] = m.combine(lane[l], lane[l + w]);
      return lane[0];
    }
    for (std::int64_t l = 0; l < tile_lanes; ++l) lane[l] = f(first + l);
    std::int64_t i = tile_lanes;
    for (; i + tile_lanes <= n; i += tile_lanes)
      for (std::int64_t l = 0; l < tile_lanes; ++l) lane[l] = m.combine(lane[l], f(first + i + l));
    for (std::int64_t l = 0; i + l < n; ++l) lane[l] = m.combine(lane[l], f(first + i + l));
    halve<tile_lanes / 2>(m, lane);
    return lane[0];
  }

  // By constant widths, which compilers turn into vector code.
  template <std::int64_t Width, class M>
  FANFOLD_HD static void halve(M const& m, typename M::state* lane) {
    for (std::int64_t l = 0; l < Width; ++l) lane[l] = m.combine(lane[l], lane[l + Width]);
    if constexpr (Width > 1) halve<Width / 2>(m, lane);
  }
};

/// The calling warp of a kernel block as a row group: each lane holds two of the 64 lanes of the tree.
template <class Block>
class warp_lanes {
 public:
  FANFOLD_HD explicit warp_lanes(Block& block) : block_(&block) {}

  FANFOLD_HD static constexpr int size() { return 32; }
  FANFOLD_HD int rank() const { return static_cast<int>(block_->thread() % 32U); }
  FANFOLD_HD void sync() const { block_->sync_warp(); }

  template <commutative_monoid M, class F>
  FANFOLD_HD typename M::state fold(M const& m, std::int64_t n, F const& f) const {
    return fold_tiles(m, n, generic_tile<M, F>{*this, m, f});
  }

  /// The same where `tile(first, count)` gives every lane the fold of a tile of at most 2,048 items.
  template <commutative_monoid M, class Tile>
  FANFOLD_HD typename M::state fold_tiles(M const& m, std::int64_t n, Tile const& tile) const {
    if (n == 0) return m.identity();
    // Lane t keeps the result of tile t; 32 of them meet in a subtree, which lane t / 32 keeps in turn: up to 2^21 items.
    std::int64_t const tiles = detail::divide_up(n, tile_items);
    typename M::state kept = m.identity();
    typename M::state group = kept;
    typename M::state last = kept;
    for (std::int64_t t = 0; t < tiles; ++t) {
      std::int64_t const left = n - t * tile_items;
      last = tile(t * tile_items, left < tile_items ? left : tile_items);
      if (tiles == 1) break;
      if (rank() == t % 32) kept = last;
      if (t % 32 != 31 && t + 1 < tiles) continue;
      last = fold_pairs(m, kept, t % 32 + 1);
      if (rank() == t / 32) group = last;
    }
    return tiles <= 32 ? last : fold_pairs(m, group, detail::divide_up(tiles, 32));
  }

  /// The value that lane `from` holds.
  template <class T>
  FANFOLD_HD T broadcast(T const& x, int from) const {
    return block_->shuffle(x, static_cast<unsigned>(from));
  }

 private:
  template <class M, class F>
  struct generic_tile {
    warp_lanes const& lanes;
    M const& m;
    F const& f;
    FANFOLD_HD typename M::state operator()(std::int64_t first, std::int64_t n) const { return lanes.fold_tile(m, first, n, f); }
  };

  // Adjacent pairs over the first `count` lanes, to every lane.
  template <class M>
  FANFOLD_HD typename M::state fold_pairs(M const& m, typename M::state s, std::int64_t count) const {
    for (int w = 1; w < 32; w *= 2) {
      typename M::state const other = block_->shuffle_down(s, static_cast<unsigned>(w));
      if (rank() % (2 * w) == 0 && rank() + w < count) s = m.combine(s, other);
    }
    return block_->shuffle(s, 0U);
  }

  template <class M, class F>
  FANFOLD_HD typename M::state fold_tile(M const& m, std::int64_t first, std::int64_t n, F const& f) const {
    std::int64_t const l = rank();
    typename M::state low = m.identity();
    typename M::state high = low;
    if (l < n) low = f(first + l);
    if (l + 32 < n) high = f(first + l + 32);
    for (std::int64_t i = tile_lanes; i < n; i += tile_lanes) {
      if (i + l < n) low = m.combine(low, f(first + i + l));
      if (i + l + 32 < n) high = m.combine(high, f(first + i + l + 32));
    }
    if (l + 32 < n) low = m.combine(low, high);
    for (int w = 16; w >= 1; w /= 2) {
      typename M::state const other = block_->shuffle_down(low, static_cast<unsigned>(w));
      if (l < w && l + w < n) low = m.combine(low, other);
    }
    return block_->shuffle(low, 0U);
  }

  Block* block_;
};

}  // namespace fanfold::inline FANFOLD_ABI
