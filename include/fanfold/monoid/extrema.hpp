#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/vector_lanes.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What NaN does in an extremum. propagate: any NaN wins (IEEE 754-2019 minimum, maximum). ignore: NaN is skipped; all-NaN gives the
/// identity. error: NaN is skipped and counted; lower throws argument_error on the host and gives NaN on a device.
enum class nan_policy { propagate, ignore, error };

namespace detail {

enum class side { least, greatest };

/// The total order of extrema as integers: -0 before +0, NaN by policy.
template <class T, side Side, nan_policy Nan>
struct extremum_key {
  using type = decltype(monotone_key(T{}));

  static constexpr bool greatest = Side == side::greatest;

  FANFOLD_HD static constexpr T identity() { return greatest ? below_all<T>() : above_all<T>(); }
  /// The key of NaN: wins over all, or over none.
  static constexpr type of_nan =
      Nan == nan_policy::propagate ? (greatest ? integer_max<type> : integer_min<type>) : static_cast<type>(monotone_key(identity()));
  FANFOLD_HD static constexpr type of(T x) {
    if constexpr (std::is_floating_point_v<T>) {
      type const k = monotone_key(x);
      return x != x ? of_nan : k;
    } else {
      return x;
    }
  }
  FANFOLD_HD static constexpr type better(type a, type b) {
    if constexpr (greatest)
      return a > b ? a : b;
    else
      return a < b ? a : b;
  }
};

/// Lanes as integer keys: float comparisons with these NaN and zero rules do not vectorise, integer ones do.
template <class M, class Key, class T, int L>
struct extremum_lanes {
  using number = typename Key::type;
  using registers = vector_lanes<number, L>;
  using piece = typename registers::piece;
  registers key;

  void start(M const&, T const* x) {
    for (int p = 0; p < registers::pieces; ++p) key.v[p] = key_of(registers::load(x, p));
  }
  void absorb(M const&, T const* FANFOLD_RESTRICT x) {
    for (int p = 0; p < registers::pieces; ++p) {
      piece const a = key.v[p], b = key_of(registers::load(x, p));
      if constexpr (Key::greatest)
        key.v[p] = a > b ? a : b;
      else
        key.v[p] = a < b ? a : b;
    }
  }
  T lane(M const&, int l) const { return from_monotone_key<T>(key.lane(l)); }

 private:
  static piece key_of(piece bits) {
    if constexpr (std::is_floating_point_v<T>) {
      constexpr auto magnitude = static_cast<number>(~ieee<T>::sign);
      piece const k = bits ^ ((bits >> (sizeof(T) * 8 - 1)) & magnitude);
      return (bits & magnitude) > static_cast<number>(ieee<T>::infinity) ? registers::filled(Key::of_nan) : k;
    } else {
      return bits;
    }
  }
};

/// Gradient of an extremum whose state counts the m items that reach it: g / m to each of them.
template <class T>
struct tied_pullback {
  T extreme{};
  T share{};
  FANFOLD_HD constexpr T operator()(T const& x) const { return x == extreme ? share : T(0); }
};

template <class T, side Side, nan_policy Nan>
struct extremum {
  using key = extremum_key<T, Side, Nan>;
  using input = T;
  using state = T;
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  template <int L>
  using lane_block = extremum_lanes<extremum, key, T, L>;

  FANFOLD_HD constexpr state identity() const { return key::identity(); }
  FANFOLD_HD constexpr state lift(input const& x) const { return from_monotone_key<T>(key::of(x)); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
#if !FANFOLD_ON_DEVICE
    // the branch is foreseen: only zeros of both signs and NaN need the keys
    if constexpr (std::is_floating_point_v<T>) {
      if (__builtin_islessgreater(a, b)) [[likely]] return key::greatest ? (a > b ? a : b) : (a < b ? a : b);
    }
#endif
    return from_monotone_key<T>(key::better(key::of(a), key::of(b)));
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return canonical(s); }
};

template <class T, side Side>
struct extremum<T, Side, nan_policy::error> {
  using ignoring = extremum<T, Side, nan_policy::ignore>;
  using input = T;
  struct state {
    T value;
    std::uint64_t nans;
    template <class Same>
    constexpr bool matches(state const& other, Same const& same) const {
      return same(value, other.value) && nans == other.nans;
    }
  };
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {ignoring{}.identity(), 0}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {ignoring{}.lift(x), is_nan(x) ? 1u : 0u}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    return {ignoring{}.combine(a.value, b.value), a.nans + b.nans};
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
#if !FANFOLD_ON_DEVICE
    if (s.nans != 0) check_argument(false, Side == side::greatest ? "maximum" : "minimum", "count of NaN items", s.nans, "0");
    return s.value;
#else
    if constexpr (std::is_floating_point_v<T>) return s.nans != 0 ? math::quiet_nan<T>() : s.value;
    return s.value;
#endif
  }
};

}  // namespace detail

/// Greatest item; -0 < +0, NaN by policy; of no items -infinity or the least integer.
template <class T, nan_policy Nan = nan_policy::propagate>
using maximum = detail::extremum<T, detail::side::greatest, Nan>;

/// Least item; -0 < +0, NaN by policy; of no items infinity or the greatest integer.
template <class T, nan_policy Nan = nan_policy::propagate>
using minimum = detail::extremum<T, detail::side::least, Nan>;

namespace detail {

template <class T, side Side>
struct tied_extremum {
  using plain = extremum<T, Side, nan_policy::propagate>;
  using input = T;
  struct state {
    T value;
    std::uint64_t ties;
    template <class Same>
    constexpr bool matches(state const& other, Same const& same) const {
      return same(value, other.value) && ties == other.ties;
    }
  };
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {plain{}.identity(), 0}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return {plain{}.lift(x), 1}; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    T const value = plain{}.combine(a.value, b.value);
    return {value, (reaches(a.value, value) ? a.ties : 0) + (reaches(b.value, value) ? b.ties : 0)};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return canonical(s.value); }
  /// g / m to each of the m items equal to the extremum.
  FANFOLD_HD constexpr tied_pullback<T> fold_vjp(state const& final, output const& g) const {
    return {final.value, final.ties == 0 ? T(0) : g / static_cast<T>(final.ties)};
  }

 private:
  // as numbers: both zeros are the same maximiser
  FANFOLD_HD static constexpr bool reaches(T x, T extreme) { return x == extreme || (is_nan(x) && is_nan(extreme)); }
};

}  // namespace detail

/// maximum and minimum whose state also counts the items that reach it, so that a gradient can be split among them.
template <class T>
using tied_maximum = detail::tied_extremum<T, detail::side::greatest>;
template <class T>
using tied_minimum = detail::tied_extremum<T, detail::side::least>;

}  // namespace fanfold::inline FANFOLD_ABI
