#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The answer of a comparison of lane vectors: all ones or all zeros a lane.
template <class T, int N>
struct lane_mask {
  using integer = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  typedef integer storage __attribute__((vector_size(std::size_t{N} * sizeof(integer))));
  storage v;

  FANFOLD_HD friend lane_mask operator&(lane_mask a, lane_mask b) { return {a.v & b.v}; }
  FANFOLD_HD friend lane_mask operator|(lane_mask a, lane_mask b) { return {a.v | b.v}; }
};

/// N numbers in one vector register: the arithmetic of a number, lane by lane, so that a template over "number" serves both a device thread
/// (one float) and a host loop (a register of them). Comparisons give masks, `choose(mask, a, b)` uses them.
template <class T, int N = FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(T))>
struct lane_vector {
  using scalar = T;
  typedef T storage __attribute__((vector_size(std::size_t{N} * sizeof(T))));
  static constexpr int lanes = N;
  storage v;

  lane_vector() = default;
  /// The same number in every lane.
  FANFOLD_HD lane_vector(T x) : v(x - storage{}) {}

  template <class S>
  FANFOLD_HD static lane_vector from(S const& register_value) {
    lane_vector r;
    r.v = register_value;
    return r;
  }
  FANFOLD_HD static lane_vector load(T const* from) {
    lane_vector r;
    __builtin_memcpy(&r.v, from, sizeof(storage));
    return r;
  }
  FANFOLD_HD void store(T* to) const { __builtin_memcpy(to, &v, sizeof(storage)); }

  FANFOLD_HD friend lane_vector operator+(lane_vector a, lane_vector b) { return from(a.v + b.v); }
  FANFOLD_HD friend lane_vector operator-(lane_vector a, lane_vector b) { return from(a.v - b.v); }
  FANFOLD_HD friend lane_vector operator*(lane_vector a, lane_vector b) { return from(a.v * b.v); }
  FANFOLD_HD friend lane_vector operator/(lane_vector a, lane_vector b) { return from(a.v / b.v); }
  FANFOLD_HD friend lane_mask<T, N> operator<(lane_vector a, lane_vector b) { return {a.v < b.v}; }
  FANFOLD_HD friend lane_mask<T, N> operator<=(lane_vector a, lane_vector b) { return {a.v <= b.v}; }
  FANFOLD_HD friend lane_mask<T, N> operator>(lane_vector a, lane_vector b) { return {a.v > b.v}; }
  FANFOLD_HD friend lane_mask<T, N> operator>=(lane_vector a, lane_vector b) { return {a.v >= b.v}; }
  FANFOLD_HD friend lane_mask<T, N> operator==(lane_vector a, lane_vector b) { return {a.v == b.v}; }
  FANFOLD_HD friend lane_mask<T, N> operator!=(lane_vector a, lane_vector b) { return {a.v != b.v}; }
};

/// `condition ? a : b`, lane by lane.
template <class T, int N>
FANFOLD_HD lane_vector<T, N> choose(lane_mask<T, N> condition, lane_vector<T, N> a, lane_vector<T, N> b) {
  return lane_vector<T, N>::from(condition.v ? a.v : b.v);
}
template <class T>
  requires std::is_arithmetic_v<T>
FANFOLD_HD constexpr T choose(bool condition, T a, T b) {
  return condition ? a : b;
}

namespace detail {

template <class V>
struct lanes_of {
  static constexpr int value = 1;
  using scalar = V;
};
template <class T, int N>
struct lanes_of<lane_vector<T, N>> {
  static constexpr int value = N;
  using scalar = T;
};

/// The smaller of two in `a`, the larger in `b`.
template <class T>
  requires std::is_arithmetic_v<T>
FANFOLD_HD FANFOLD_INLINE void exchange(T& a, T& b) {
  T const low = b < a ? b : a;
  b = b < a ? a : b;
  a = low;
}
template <class T, int N>
FANFOLD_HD FANFOLD_INLINE void exchange(lane_vector<T, N>& a, lane_vector<T, N>& b) {
  auto const low = a.v < b.v ? a.v : b.v;
#if defined(__AVX512F__)
  if constexpr (std::is_integral_v<T>)
    b.v ^= a.v ^ low;  // wide minima and maxima share one port: this takes the other
  else
#endif
    b.v = a.v > b.v ? a.v : b.v;  // a comparison of its own, so that it becomes one maximum instruction
  a.v = low;
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
