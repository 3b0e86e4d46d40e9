#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Bit set of what a carrier as implemented satisfies. `bitwise` says that all the stated laws hold bit for bit, not only up to rounding.
enum class law : unsigned { none = 0, associative = 1, commutative = 2, idempotent = 4, invertible = 8, bitwise = 16 };

FANFOLD_HD constexpr law operator|(law a, law b) { return static_cast<law>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
FANFOLD_HD constexpr law operator&(law a, law b) { return static_cast<law>(static_cast<unsigned>(a) & static_cast<unsigned>(b)); }

/// Whether `set` states every law of `wanted`.
FANFOLD_HD constexpr bool has_law(law set, law wanted) { return (set & wanted) == wanted; }

/// An associative operation with a neutral element: state type, `identity()`, `combine(earlier, later)` and the declared `laws`.
template <class M>
concept monoid = requires(M const m, typename M::state const& a, typename M::state const& b) {
  typename M::state;
  { m.identity() } -> std::same_as<typename M::state>;
  { m.combine(a, b) } -> std::same_as<typename M::state>;
  { M::laws } -> std::convertible_to<law>;
};

/// A monoid with a way in and out: `lift(item) -> state`, `lower(state) -> answer`. Optional members: `empty()`, the answer of a fold of
/// nothing; `absorb(state&, item)`, a faster `combine(state, lift(item))` with the same bits; `lane_block<L>`, see monoid/lane_block.hpp.
template <class A>
concept aggregator = monoid<A> && requires(A const m, typename A::input const& x, typename A::state const& s) {
  typename A::input;
  typename A::output;
  { m.lift(x) } -> std::same_as<typename A::state>;
  { m.lower(s) } -> std::same_as<typename A::output>;
};

template <class M>
concept commutative_monoid = monoid<M> && has_law(M::laws, law::commutative);

/// How many items one state may stand for: `A::max_items` where the carrier declares it (a sum whose integers could overflow), else as many
/// as there are. Loops refuse more.
template <class A>
inline constexpr std::uint64_t item_limit = ~std::uint64_t{0};
template <class A>
  requires requires { A::max_items; }
inline constexpr std::uint64_t item_limit<A> = A::max_items;

/// The answer of a fold of no items: `a.empty()` where the aggregator has it, else `lower(identity())`.
template <aggregator A>
FANFOLD_HD constexpr typename A::output empty_answer(A const& a) {
  if constexpr (requires { a.empty(); })
    return a.empty();
  else
    return a.lower(a.identity());
}

/// state := combine(state, lift(x)), by `absorb` where the aggregator has it.
template <aggregator A>
FANFOLD_HD constexpr void absorb_item(A const& a, typename A::state& s, typename A::input const& x) {
  if constexpr (requires { a.absorb(s, x); })
    a.absorb(s, x);
  else
    s = a.combine(s, a.lift(x));
}

}  // namespace fanfold::inline FANFOLD_ABI
