#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// N values side by side, for host and device; an aggregate without constructors.
template <class T, int N>
struct small_array {
  static_assert(N > 0);
  using value_type = T;
  T value[std::size_t{N}];

  FANFOLD_HD static constexpr int size() { return N; }
  template <class Index>
  FANFOLD_HD constexpr T& operator[](Index i) {
    return value[i];
  }
  template <class Index>
  FANFOLD_HD constexpr T const& operator[](Index i) const {
    return value[i];
  }
  FANFOLD_HD constexpr T* begin() { return value; }
  FANFOLD_HD constexpr T* end() { return value + N; }
  FANFOLD_HD constexpr T const* begin() const { return value; }
  FANFOLD_HD constexpr T const* end() const { return value + N; }

  FANFOLD_HD static constexpr small_array filled(T x) {
    small_array a{};
    for (int i = 0; i < N; ++i) a.value[i] = x;
    return a;
  }

  template <class Same>
  constexpr bool matches(small_array const& other, Same const& same) const {
    for (int i = 0; i < N; ++i)
      if (!same(value[i], other.value[i])) return false;
    return true;
  }
};

/// A value that may be absent, for host and device.
template <class T>
struct maybe {
  T value{};
  bool present = false;

  FANFOLD_HD constexpr bool has_value() const { return present; }
  FANFOLD_HD constexpr explicit operator bool() const { return present; }
  FANFOLD_HD constexpr T const& operator*() const { return value; }
  FANFOLD_HD constexpr T value_or(T other) const { return present ? value : other; }

  template <class Same>
  constexpr bool matches(maybe const& other, Same const& same) const {
    return present == other.present && (!present || same(value, other.value));
  }
};

/// A value and the position that it came from; index -1 = none.
template <class T, class Index = std::int64_t>
struct indexed {
  T value{};
  Index index = -1;

  FANFOLD_HD constexpr bool has_value() const { return index >= 0; }
  FANFOLD_HD constexpr explicit operator bool() const { return index >= 0; }

  template <class Same>
  constexpr bool matches(indexed const& other, Same const& same) const {
    return index == other.index && same(value, other.value);
  }
};

/// A value with a weight.
template <class T, class W = T>
struct weighted {
  T value{};
  W weight{};
};

}  // namespace fanfold::inline FANFOLD_ABI
