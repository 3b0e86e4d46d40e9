#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class A>
using rank_of = std::conditional_t<sizeof(A) == 8, std::uint64_t, std::uint32_t>;

template <class A>
inline constexpr rank_of<A> sign_bit = rank_of<A>{1} << (8 * sizeof(A) - 1);

/// Unsigned integers in the order of the numbers, from -inf on; never 0. -0 counts as +0.
template <class A>
FANFOLD_HD constexpr rank_of<A> ascending_rank(A x) {
  rank_of<A> const b = x == A(0) ? rank_of<A>{0} : math::bits_of(x);
  return (b & sign_bit<A>) != 0 ? static_cast<rank_of<A>>(~b) : static_cast<rank_of<A>>(b | sign_bit<A>);
}
template <class A>
FANFOLD_HD constexpr A number_of_rank(rank_of<A> r) {
  return math::from_bits((r & sign_bit<A>) != 0 ? static_cast<rank_of<A>>(r ^ sign_bit<A>) : static_cast<rank_of<A>>(~r));
}

}  // namespace detail

/// Which items of a long row `select` chooses: the `count` items of the greatest `rank(x)`, an unsigned integer of the width of the
/// arithmetic type (0 for NaN: chosen after everything else); `number(rank)` is what such an item is worth.
template <class P>
concept rank_order = std::copyable<P> && requires(P const& p, float a, double b) {
  { p.count } -> std::convertible_to<std::int64_t>;
  { p.rank(a) } -> std::same_as<std::uint32_t>;
  { p.rank(b) } -> std::same_as<std::uint64_t>;
  { p.template number<float>(std::uint32_t{}) } -> std::same_as<float>;
};

/// The `count` largest values.
struct largest {
  std::int64_t count = 1;

  template <class A>
  FANFOLD_HD constexpr detail::rank_of<A> rank(A x) const {
    return x != x ? detail::rank_of<A>{0} : detail::ascending_rank(x);
  }
  template <class A>
  FANFOLD_HD constexpr A number(detail::rank_of<A> r) const {
    return r == 0 ? math::quiet_nan<A>() : detail::number_of_rank<A>(r);
  }
};

/// The `count` smallest values.
struct smallest {
  std::int64_t count = 1;

  template <class A>
  FANFOLD_HD constexpr detail::rank_of<A> rank(A x) const {
    return x != x ? detail::rank_of<A>{0} : static_cast<detail::rank_of<A>>(~detail::ascending_rank(x));
  }
  template <class A>
  FANFOLD_HD constexpr A number(detail::rank_of<A> r) const {
    return r == 0 ? math::quiet_nan<A>() : detail::number_of_rank<A>(static_cast<detail::rank_of<A>>(~r));
  }
};

/// The `count` values of largest magnitude; numbers are magnitudes.
struct largest_magnitude {
  std::int64_t count = 1;

  template <class A>
  FANFOLD_HD constexpr detail::rank_of<A> rank(A x) const {
    return x != x ? detail::rank_of<A>{0} : static_cast<detail::rank_of<A>>((math::bits_of(x) & ~detail::sign_bit<A>) + 1);
  }
  template <class A>
  FANFOLD_HD constexpr A number(detail::rank_of<A> r) const {
    return r == 0 ? math::quiet_nan<A>() : math::from_bits(static_cast<detail::rank_of<A>>(r - 1));
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
