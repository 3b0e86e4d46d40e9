#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Whether any item is true; of no items false.
struct any_true {
  using input = bool;
  using state = bool;
  using output = bool;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return false; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return a || b; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// Whether all items are true; of no items true.
struct all_true {
  using input = bool;
  using state = bool;
  using output = bool;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return true; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return a && b; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// How many items are true.
struct count_true {
  using input = bool;
  using state = std::uint64_t;
  using output = std::uint64_t;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return 0; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x ? 1u : 0u; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return a + b; }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const { return whole - part; }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// Bitwise or, and, exclusive or of unsigned words.
template <class T>
struct bit_or {
  static_assert(std::is_unsigned_v<T>);
  using input = T;
  using state = T;
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return 0; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return static_cast<T>(a | b); }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};
template <class T>
struct bit_and {
  static_assert(std::is_unsigned_v<T>);
  using input = T;
  using state = T;
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return static_cast<T>(~T(0)); }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return static_cast<T>(a & b); }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};
template <class T>
struct bit_xor {
  static_assert(std::is_unsigned_v<T>);
  using input = T;
  using state = T;
  using output = T;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return 0; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return static_cast<T>(a ^ b); }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const { return static_cast<T>(whole ^ part); }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
