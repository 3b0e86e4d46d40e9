#pragma once

#include <cstdint>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `M` with its operands swapped: what a reverse scan runs over the reversed sequence. Lift and lower stay where M has them.
template <monoid M>
struct opposite {
  using state = typename M::state;
  static constexpr law laws = M::laws & (law::associative | law::commutative | law::idempotent | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<M>;

  M monoid{};

  FANFOLD_HD constexpr state identity() const { return monoid.identity(); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return monoid.combine(b, a); }
};
template <aggregator M>
struct opposite<M> {
  using input = typename M::input;
  using state = typename M::state;
  using output = typename M::output;
  static constexpr law laws = M::laws & (law::associative | law::commutative | law::idempotent | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<M>;

  M monoid{};

  FANFOLD_HD constexpr state identity() const { return monoid.identity(); }
  FANFOLD_HD constexpr state lift(input const& x) const { return monoid.lift(x); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return monoid.combine(b, a); }
  FANFOLD_HD constexpr output lower(state const& s) const { return monoid.lower(s); }
  FANFOLD_HD constexpr output empty() const { return empty_answer(monoid); }
};
template <class M>
opposite(M) -> opposite<M>;

}  // namespace fanfold::inline FANFOLD_ABI
