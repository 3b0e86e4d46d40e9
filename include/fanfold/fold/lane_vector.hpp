#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

#if !defined(__CUDACC__)
/// The answer of a comparison of lane vectors: all ones or all zeros a lane.
template <class T, int N>
struct lane_mask {
  using integer = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;
  typedef integer storage __attribute__((vector_size(std::size_t{N} * sizeof(integer))));
  storage v;

  friend lane_mask operator&(lane_mask a, lane_mask b) { return {a.v & b.v}; }
  friend lane_mask operator|(lane_mask a, lane_mask b) { return {a.v | b.v}; }
};

/// N numbers in one vector register: the arithmetic of a number, lane by lane, so that a template over "number" serves both a device thread
/// (one float) and a host loop (a register of them). Comparisons give masks, `choose(mask, a, b)` uses them.
template <class T, int N = FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(T))>
struct lane_vector {
  using scalar = T;
  typedef T storage __attribute__((vector_size(std::size_t{N} * sizeof(T))));
  static constexpr int lanes = N;
  template <class U>
  using of = lane_vector<U, N>;
  storage v;

  lane_vector() = default;
  /// The same number in every lane.
  lane_vector(T x) : v(x - storage{}) {}

  template <class S>
  static lane_vector from(S const& register_value) {
    lane_vector r;
    r.v = register_value;
    return r;
  }
  static lane_vector load(T const* from) {
    lane_vector r;
    __builtin_memcpy(&r.v, from, sizeof(storage));
    return r;
  }
  void store(T* to) const { __builtin_memcpy(to, &v, sizeof(storage)); }

  friend lane_vector operator+(lane_vector a, lane_vector b) { return from(a.v + b.v); }
  friend lane_vector operator-(lane_vector a, lane_vector b) { return from(a.v - b.v); }
  friend lane_vector operator*(lane_vector a, lane_vector b) { return from(a.v * b.v); }
  friend lane_vector operator/(lane_vector a, lane_vector b) { return from(a.v / b.v); }
  friend lane_mask<T, N> operator<(lane_vector a, lane_vector b) { return {a.v < b.v}; }
  friend lane_mask<T, N> operator<=(lane_vector a, lane_vector b) { return {a.v <= b.v}; }
  friend lane_mask<T, N> operator>(lane_vector a, lane_vector b) { return {a.v > b.v}; }
  friend lane_mask<T, N> operator>=(lane_vector a, lane_vector b) { return {a.v >= b.v}; }
  friend lane_mask<T, N> operator==(lane_vector a, lane_vector b) { return {a.v == b.v}; }
  friend lane_mask<T, N> operator!=(lane_vector a, lane_vector b) { return {a.v != b.v}; }
};

/// `condition ? a : b`, lane by lane.
template <class T, int N>
lane_vector<T, N> choose(lane_mask<T, N> condition, lane_vector<T, N> a, lane_vector<T, N> b) {
  return lane_vector<T, N>::from(condition.v ? a.v : b.v);
}
#endif

/// The same as plain arrays, for the host side of device compilers, which know no vector registers in functions that both sides share.
template <class T, int N>
struct lane_array_mask {
  bool v[std::size_t{N}];

  FANFOLD_HD friend lane_array_mask operator&(lane_array_mask const& a, lane_array_mask const& b) {
    lane_array_mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] && b.v[l];
    return r;
  }
  FANFOLD_HD friend lane_array_mask operator|(lane_array_mask const& a, lane_array_mask const& b) {
    lane_array_mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] || b.v[l];
    return r;
  }
};

template <class T, int N = FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(T))>
struct alignas(FANFOLD_VECTOR_BYTES) lane_array {
  using scalar = T;
  using mask = lane_array_mask<T, N>;
  static constexpr int lanes = N;
  template <class U>
  using of = lane_array<U, N>;
  T v[std::size_t{N}];

  lane_array() = default;
  FANFOLD_HD lane_array(T x) {
    for (int l = 0; l < N; ++l) v[l] = x;
  }
  FANFOLD_HD static lane_array load(T const* from) {
    lane_array r;
    for (int l = 0; l < N; ++l) r.v[l] = from[l];
    return r;
  }
  FANFOLD_HD void store(T* to) const {
    for (int l = 0; l < N; ++l) to[l] = v[l];
  }

  FANFOLD_HD friend lane_array operator+(lane_array a, lane_array const& b) {
    for (int l = 0; l < N; ++l) a.v[l] = a.v[l] + b.v[l];
    return a;
  }
  FANFOLD_HD friend lane_array operator-(lane_array a, lane_array const& b) {
    for (int l = 0; l < N; ++l) a.v[l] = a.v[l] - b.v[l];
    return a;
  }
  FANFOLD_HD friend lane_array operator*(lane_array a, lane_array const& b) {
    for (int l = 0; l < N; ++l) a.v[l] = a.v[l] * b.v[l];
    return a;
  }
  FANFOLD_HD friend lane_array operator/(lane_array a, lane_array const& b) {
    for (int l = 0; l < N; ++l) a.v[l] = a.v[l] / b.v[l];
    return a;
  }
  FANFOLD_HD friend mask operator<(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] < b.v[l];
    return r;
  }
  FANFOLD_HD friend mask operator<=(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] <= b.v[l];
    return r;
  }
  FANFOLD_HD friend mask operator>(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] > b.v[l];
    return r;
  }
  FANFOLD_HD friend mask operator>=(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] >= b.v[l];
    return r;
  }
  FANFOLD_HD friend mask operator==(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] == b.v[l];
    return r;
  }
  FANFOLD_HD friend mask operator!=(lane_array const& a, lane_array const& b) {
    mask r;
    for (int l = 0; l < N; ++l) r.v[l] = a.v[l] != b.v[l];
    return r;
  }
};

template <class T, int N>
FANFOLD_HD lane_array<T, N> choose(lane_array_mask<T, N> const& condition, lane_array<T, N> a, lane_array<T, N> const& b) {
  for (int l = 0; l < N; ++l) a.v[l] = condition.v[l] ? a.v[l] : b.v[l];
  return a;
}

/// As many numbers of type T as fill a vector register of the target.
#if defined(__CUDACC__)
template <class T>
using native_lanes = lane_array<T>;
#else
template <class T>
using native_lanes = lane_vector<T>;
#endif

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
#if !defined(__CUDACC__)
template <class T, int N>
struct lanes_of<lane_vector<T, N>> {
  static constexpr int value = N;
  using scalar = T;
};
#endif
template <class T, int N>
struct lanes_of<lane_array<T, N>> {
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
FANFOLD_HD FANFOLD_INLINE void exchange(lane_array<T, N>& a, lane_array<T, N>& b) {
  for (int l = 0; l < N; ++l) exchange(a.v[l], b.v[l]);
}
#if !defined(__CUDACC__)
template <class T, int N>
FANFOLD_INLINE void exchange(lane_vector<T, N>& a, lane_vector<T, N>& b) {
  auto const low = a.v < b.v ? a.v : b.v;
#if defined(__AVX512F__)
  if constexpr (std::is_integral_v<T>)
    b.v ^= a.v ^ low;  // wide minima and maxima share one port: this takes the other
  else
#endif
    b.v = a.v > b.v ? a.v : b.v;  // a comparison of its own, so that it becomes one maximum instruction
  a.v = low;
}
#endif

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
