#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/extrema.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Which of several equal items is reported: the smallest or the largest index.
enum class tie { first, last };

namespace detail {

/// All of g to the item that was reported.
template <class T>
struct selected_pullback {
  std::int64_t index = -1;
  T gradient{};
  FANFOLD_HD constexpr T operator()(indexed<T> const& x) const { return x.index == index ? gradient : T(0); }
};

template <class T, side Side, nan_policy Nan, tie Tie>
struct arg_extremum {
  static_assert(Nan != nan_policy::error, "arg extrema know nan_policy::propagate and nan_policy::ignore");
  using key = extremum_key<T, Side, Nan>;
  using input = indexed<T>;
  using state = indexed<T>;
  using output = indexed<T>;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {key::identity(), -1}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    if constexpr (Nan == nan_policy::ignore)
      return is_nan(x.value) ? identity() : x;
    else
      return x;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    if (b.index < 0) return a;
    if (a.index < 0) return b;
    auto const ka = key::of(a.value);
    auto const kb = key::of(b.value);
    if (ka == kb) return (Tie == tie::first) == (a.index <= b.index) ? a : b;
    return key::better(ka, kb) == ka ? a : b;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return {canonical(s.value), s.index}; }
  FANFOLD_HD constexpr selected_pullback<T> fold_vjp(state const& final, T const& g) const { return {final.index, g}; }
};

}  // namespace detail

/// The greatest item and its index (-1: there is none), items being `indexed<T>` with indices >= 0. The order is that of `maximum`
/// (-0 < +0; under propagate NaN beats everything, under ignore it is skipped); of equal items the smaller index wins, or the larger.
template <class T, nan_policy Nan = nan_policy::propagate, tie Tie = tie::first>
using arg_max = detail::arg_extremum<T, detail::side::greatest, Nan, Tie>;

/// The least item and its index, likewise.
template <class T, nan_policy Nan = nan_policy::propagate, tie Tie = tie::first>
using arg_min = detail::arg_extremum<T, detail::side::least, Nan, Tie>;

}  // namespace fanfold::inline FANFOLD_ABI
