#pragma once

#include <concepts>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// An aggregator that folds L lanes side by side, its state kept as arrays of members: `lane_block<L>` with `start(m, x)` (lane l becomes
/// lift(x[l])), `absorb(m, x)` (lane l becomes combine(lane l, lift(x[l])), the same bits) and `lane(m, l)` (the state of a lane).
/// Every lane holds equally many items. A carrier whose states vectorise as they are (scalars) needs none.
template <class M, int L>
concept has_lane_block = aggregator<M> && requires(typename M::template lane_block<L> block, typename M::template lane_block<L> const done,
                                                   M const& m, typename M::input const* x) {
  requires std::is_trivially_copyable_v<typename M::template lane_block<L>>;
  requires std::is_trivially_default_constructible_v<typename M::template lane_block<L>>;
  { block.start(m, x) } -> std::same_as<void>;
  { block.absorb(m, x) } -> std::same_as<void>;
  { done.lane(m, 0) } -> std::same_as<typename M::state>;
};

/// A bitwise associative and commutative aggregator that folds a block of items (one or more, in any order it likes) at once.
template <class M>
concept has_block_fold = aggregator<M> && has_law(M::laws, law::associative | law::commutative | law::bitwise) &&
                         requires(M const& m, view<typename M::input const> x) {
                           { m.fold_block(x) } -> std::same_as<typename M::state>;
                         };

}  // namespace fanfold::inline FANFOLD_ABI
