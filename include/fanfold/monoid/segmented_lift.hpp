#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A value that starts a new segment where `head` is set.
template <class T>
struct headed {
  bool head = false;
  T value{};

  template <class Same>
  constexpr bool matches(headed const& other, Same const& same) const {
    return head == other.head && same(value, other.value);
  }
};

/// Turns any scan into a segmented one: `combine = (f1 | f2, f2 ? v2 : combine(v1, v2))`. Associative where M is, never commutative;
/// a state with a head is no identity, whatever its value. Where M is an aggregator, items are `headed<M::input>`.
template <monoid M>
struct segmented_lift {
  using state = headed<typename M::state>;
  static constexpr law laws = M::laws & (law::associative | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<M>;

  M monoid{};

  FANFOLD_HD constexpr state identity() const { return {false, monoid.identity()}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    return {a.head || b.head, b.head ? b.value : monoid.combine(a.value, b.value)};
  }
};
template <aggregator M>
struct segmented_lift<M> {
  using input = headed<typename M::input>;
  using state = headed<typename M::state>;
  using output = typename M::output;
  static constexpr law laws = M::laws & (law::associative | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<M>;

  M monoid{};

  FANFOLD_HD constexpr state identity() const { return {false, monoid.identity()}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {x.head, monoid.lift(x.value)}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    return {a.head || b.head, b.head ? b.value : monoid.combine(a.value, b.value)};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return monoid.lower(s.value); }
};
template <class M>
segmented_lift(M) -> segmented_lift<M>;

}  // namespace fanfold::inline FANFOLD_ABI
