#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/lane_block.hpp"

// The ordered tree over single items: one column of E2 on the host. A left fold waits for each combine, so long segments fold several
// runs side by side: as lanes of the carrier where combining is dear, else as independent chains.
namespace fanfold::inline FANFOLD_ABI::detail {

template <class A, class ItemAt>
FANFOLD_INLINE typename A::state fold_item_run(A const& a, ItemAt const& item_at, std::int64_t begin, std::int64_t end) {
  typename A::state s = a.lift(item_at(begin));
  for (std::int64_t i = begin + 1; i < end; ++i) absorb_item(a, s, item_at(i));
  return s;
}

/// Combining is one operation of the machine: chains of it beat moving items into lanes.
template <class A>
inline constexpr bool combines_cheaply = std::is_arithmetic_v<typename A::state> && !has_law(A::laws, law::idempotent);

/// The N whole runs from `begin` on.
template <int N, class A, class ItemAt, class Tree>
FANFOLD_INLINE void push_run_chains(A const& a, ItemAt const& item_at, std::int64_t begin, Tree& tree) {
  typename A::state s[std::size_t{N}];
  for (int r = 0; r < N; ++r) s[r] = a.lift(item_at(begin + r * run_items));
  for (std::int64_t i = begin + 1; i < begin + run_items; ++i)
    for (int r = 0; r < N; ++r) absorb_item(a, s[r], item_at(i + r * run_items));
  for (int r = 0; r < N; ++r) tree.push(a, s[r]);
}
template <int N, class A, class ItemAt, class Tree>
FANFOLD_NOINLINE void push_run_lanes(A const& a, ItemAt const& item_at, std::int64_t begin, Tree& tree) {
  typename A::input item[run_items][std::size_t{N}];  // run r of the stream is column r
  for (int r = 0; r < N; ++r)
    for (int i = 0; i < static_cast<int>(run_items); ++i) item[i][r] = item_at(begin + r * run_items + i);
  typename A::template lane_block<N> lanes;
  lanes.start(a, item[0]);
  for (int i = 1; i < static_cast<int>(run_items); ++i) lanes.absorb(a, item[i]);
  for (int r = 0; r < N; ++r) tree.push(a, lanes.lane(a, r));
}

/// Items [begin, end), not empty, by the ordered tree.
template <class A, class ItemAt>
FANFOLD_INLINE typename A::state fold_item_range(A const& a, ItemAt const& item_at, std::int64_t begin, std::int64_t end) {
  if (end - begin <= run_items) return fold_item_run(a, item_at, begin, end);
  pair_tree<typename A::state> tree;
  if constexpr (std::is_trivially_default_constructible_v<typename A::state>) {
    if constexpr (!combines_cheaply<A> && has_lane_block<A, 16>)
      for (; end - begin >= 16 * run_items; begin += 16 * run_items) push_run_lanes<16>(a, item_at, begin, tree);
    else
      for (; end - begin >= 8 * run_items; begin += 8 * run_items) push_run_chains<8>(a, item_at, begin, tree);
    for (; end - begin >= 2 * run_items; begin += 2 * run_items) push_run_chains<2>(a, item_at, begin, tree);
  }
  for (; begin < end; begin += run_items) tree.push(a, fold_item_run(a, item_at, begin, begin + run_items < end ? begin + run_items : end));
  return tree.root(a);
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
