#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A value and the number of items behind it.
template <class T>
struct with_count {
  std::uint64_t count = 0;
  T value{};

  template <class Same>
  constexpr bool matches(with_count const& other, Same const& same) const {
    return count == other.count && same(value, other.value);
  }
};

/// `A` together with the number of items.
template <aggregator A>
struct counted {
  using input = typename A::input;
  using state = with_count<typename A::state>;
  using output = with_count<typename A::output>;
  static constexpr law laws = A::laws & (law::associative | law::commutative | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<A>;

  A aggregator{};

  FANFOLD_HD constexpr state identity() const { return {0, aggregator.identity()}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {1, aggregator.lift(x)}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    return {a.count + b.count, aggregator.combine(a.value, b.value)};
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const {
    absorb_item(aggregator, s.value, x);
    ++s.count;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return {s.count, s.count == 0 ? empty_answer(aggregator) : aggregator.lower(s.value)}; }
};
template <class A>
counted(A) -> counted<A>;

}  // namespace fanfold::inline FANFOLD_ABI
