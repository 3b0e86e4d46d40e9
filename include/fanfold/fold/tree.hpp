#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Sizes of the canonical trees (part of the contract): items of a tile and its interleaved lanes; items of a run.
inline constexpr std::int64_t tile_items = 2048;
inline constexpr std::int64_t tile_lanes = 64;
inline constexpr std::int64_t run_items = 32;

namespace detail {

FANFOLD_HD constexpr std::int64_t divide_up(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// An item as the aggregator's input, converted from its storage type.
template <class Input, class T>
FANFOLD_HD constexpr Input load_item(T const& x) {
  if constexpr (std::is_same_v<Input, T>)
    return x;
  else
    return static_cast<Input>(to_arithmetic(x));
}

/// Items as states: lifted where `M` is an aggregator, taken as they are where it is a plain monoid.
template <monoid M, class T>
FANFOLD_HD constexpr typename M::state lift_item(M const& m, T const& x) {
  if constexpr (aggregator<M>)
    return m.lift(load_item<typename M::input>(x));
  else
    return x;
}

template <monoid M>
FANFOLD_HD constexpr auto lower_state(M const& m, typename M::state const& s) {
  if constexpr (aggregator<M>)
    return m.lower(s);
  else
    return s;
}

}  // namespace detail

/// The adjacent-pair tree over a sequence of states that comes one by one: combine (0,1), (2,3), ..., an unpaired last one moves up
/// unchanged, until one is left. Keeps one state a level, like the digits of a binary counter.
template <class State, int Levels = 48>
class pair_tree {
 public:
  template <monoid M>
  void push(M const& m, State s) {
    int level = 0;
    for (std::uint64_t n = count_; n & 1; n >>= 1, ++level) s = m.combine(level_[level], s);
    level_[level] = s;
    ++count_;
  }

  /// The root over everything pushed; at least one state must have been.
  template <monoid M>
  State root(M const& m) const {
    if (count_ == 0 || count_ >> (Levels - 1) > 1) __builtin_unreachable();  // else g++ sees reads of levels never set
    int level = 0;
    std::uint64_t n = count_;
    for (; !(n & 1); n >>= 1) ++level;
    State s = level_[level];
    for (n >>= 1, ++level; n != 0; n >>= 1, ++level)
      if (n & 1) s = m.combine(level_[level], s);
    return s;
  }

  std::uint64_t count() const { return count_; }

 private:
  State level_[std::size_t{Levels}];
  std::uint64_t count_ = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI
