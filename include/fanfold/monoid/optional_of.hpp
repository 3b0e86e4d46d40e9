#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// An associative operation that need not have a neutral element.
template <class M>
concept semigroup = requires(M const m, typename M::state const& a, typename M::state const& b) {
  typename M::state;
  { m.combine(a, b) } -> std::same_as<typename M::state>;
  { M::laws } -> std::convertible_to<law>;
};

namespace detail {

template <class A>
struct item_of {
  using type = typename A::state;
};
template <class A>
  requires requires { typename A::input; }
struct item_of<A> {
  using type = typename A::input;
};
template <class A>
struct present_answer {
  using type = typename A::state;
};
template <class A>
  requires requires { typename A::output; }
struct present_answer<A> {
  using type = typename A::output;
};

}  // namespace detail

/// Gives a semigroup a neutral element, "absent", so that the answer of no items is an absent value instead of some number.
/// Also makes an aggregator of a semigroup without lift and lower: items and answers are states then.
template <semigroup A>
struct optional_of {
  using input = typename detail::item_of<A>::type;
  using state = maybe<typename A::state>;
  using output = maybe<typename detail::present_answer<A>::type>;
  static constexpr law laws = A::laws & (law::associative | law::commutative | law::idempotent | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<A>;

  A semigroup{};

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    if constexpr (requires { semigroup.lift(x); })
      return {semigroup.lift(x), true};
    else
      return {x, true};
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    if (!b.present) return a;
    if (!a.present) return b;
    return {semigroup.combine(a.value, b.value), true};
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    if (!s.present) return {};
    if constexpr (requires { semigroup.lower(s.value); })
      return {semigroup.lower(s.value), true};
    else
      return {s.value, true};
  }
};
template <class A>
optional_of(A) -> optional_of<A>;

}  // namespace fanfold::inline FANFOLD_ABI
