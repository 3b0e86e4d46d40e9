#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// Items are their own states and answers.
template <class T>
struct plain_carrier {
  using input = T;
  using state = T;
  using output = T;
  FANFOLD_HD constexpr T lift(T const& x) const { return x; }
  FANFOLD_HD constexpr T lower(T const& s) const { return s; }
};

}  // namespace detail

/// Whether any item is true; of no items false.
struct any_true : detail::plain_carrier<bool> {
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr bool identity() const { return false; }
  FANFOLD_HD constexpr bool combine(bool const& a, bool const& b) const { return a || b; }
};

/// Whether all items are true; of no items true.
struct all_true : detail::plain_carrier<bool> {
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr bool identity() const { return true; }
  FANFOLD_HD constexpr bool combine(bool const& a, bool const& b) const { return a && b; }
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

/// Bitwise or of unsigned words.
template <class T>
struct bit_or : detail::plain_carrier<T> {
  static_assert(std::is_unsigned_v<T>);
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr T identity() const { return 0; }
  FANFOLD_HD constexpr T combine(T const& a, T const& b) const { return static_cast<T>(a | b); }
};

/// Bitwise and of unsigned words; of none all ones.
template <class T>
struct bit_and : detail::plain_carrier<T> {
  static_assert(std::is_unsigned_v<T>);
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr T identity() const { return static_cast<T>(~T(0)); }
  FANFOLD_HD constexpr T combine(T const& a, T const& b) const { return static_cast<T>(a & b); }
};

/// Bitwise exclusive or of unsigned words.
template <class T>
struct bit_xor : detail::plain_carrier<T> {
  static_assert(std::is_unsigned_v<T>);
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;
  FANFOLD_HD constexpr T identity() const { return 0; }
  FANFOLD_HD constexpr T combine(T const& a, T const& b) const { return static_cast<T>(a ^ b); }
  FANFOLD_HD constexpr T subtract(T const& whole, T const& part) const { return static_cast<T>(whole ^ part); }
};

}  // namespace fanfold::inline FANFOLD_ABI
