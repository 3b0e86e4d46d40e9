#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// N elements that move as one piece, up to the 16 bytes that a device loads or stores at a time. Memory must be aligned as the pack is.
template <class T, int N>
struct alignas(sizeof(T) * static_cast<std::size_t>(N) <= 16 ? sizeof(T) * static_cast<std::size_t>(N) : 16) pack {
  static_assert(N > 0 && (N & (N - 1)) == 0 && (sizeof(T) & (sizeof(T) - 1)) == 0, "a pack has a power of two of bytes");
  T item[std::size_t{N}];

  FANFOLD_HD constexpr T& operator[](int i) { return item[i]; }
  FANFOLD_HD constexpr T const& operator[](int i) const { return item[i]; }
};

/// Elements of T in one device access of 16 bytes.
template <class T>
inline constexpr int pack_size = sizeof(T) < 16 ? 16 / static_cast<int>(sizeof(T)) : 1;

/// N accumulators in registers: plain loops with constant bounds, which g++ and clang turn into vector code of whatever width the target
/// has.
template <class T, int N>
struct alignas(sizeof(T) * static_cast<std::size_t>(N) % 64 == 0 ? 64 : alignof(T)) lanes {
  static_assert(N > 0);
  T item[std::size_t{N}];

  FANFOLD_HD constexpr T& operator[](int i) { return item[i]; }
  FANFOLD_HD constexpr T const& operator[](int i) const { return item[i]; }

  FANFOLD_HD static constexpr lanes filled(T value) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = value;
    return r;
  }
  /// N consecutive elements; no alignment asked.
  FANFOLD_HD static constexpr lanes load(T const* FANFOLD_RESTRICT from) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = from[i];
    return r;
  }
  FANFOLD_HD constexpr void store(T* FANFOLD_RESTRICT to) const {
    for (int i = 0; i < N; ++i) to[i] = item[i];
  }

  FANFOLD_HD friend constexpr lanes operator+(lanes const& a, lanes const& b) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = a.item[i] + b.item[i];
    return r;
  }
  FANFOLD_HD friend constexpr lanes operator-(lanes const& a, lanes const& b) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = a.item[i] - b.item[i];
    return r;
  }
  FANFOLD_HD friend constexpr lanes operator*(lanes const& a, lanes const& b) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = a.item[i] * b.item[i];
    return r;
  }
  FANFOLD_HD friend constexpr lanes (min)(lanes const& a, lanes const& b) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = (math::min)(a.item[i], b.item[i]);
    return r;
  }
  FANFOLD_HD friend constexpr lanes (max)(lanes const& a, lanes const& b) {
    lanes r;
    for (int i = 0; i < N; ++i) r.item[i] = (math::max)(a.item[i], b.item[i]);
    return r;
  }
};

/// Applies a callable to every lane.
template <class T, int N, class F>
FANFOLD_HD constexpr auto map_lanes(lanes<T, N> const& a, F const& f) {
  lanes<std::remove_cvref_t<decltype(f(a[0]))>, N> r;
  for (int i = 0; i < N; ++i) r.item[i] = f(a.item[i]);
  return r;
}

/// Lane 0 of the halving tree: lane i takes in lane i + n/2, then n/2 lanes remain. N is a power of two.
template <class T, int N, class F>
FANFOLD_HD constexpr T halve_lanes(lanes<T, N> a, F const& combine) {
  static_assert((N & (N - 1)) == 0);
  for (int n = N / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) a.item[i] = combine(a.item[i], a.item[i + n]);
  return a.item[0];
}

}  // namespace fanfold::inline FANFOLD_ABI
