#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/lanes.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Most elements of T that one 16-byte access holds: 1, 2, 4, 8 or 16.
template <class T>
inline constexpr int widest_pack = sizeof(T) <= 16 && (sizeof(T) & (sizeof(T) - 1)) == 0 ? static_cast<int>(16 / sizeof(T)) : 1;

/// Whether every pack<T, N> at p, p + N, ... is aligned.
template <int N, class T>
FANFOLD_HD bool is_pack_aligned(T const* p) {
  return reinterpret_cast<std::uintptr_t>(p) % (sizeof(T) * N) == 0;
}

/// The address, known to be in device memory: of one that comes out of a table the compiler cannot tell.
template <class T>
FANFOLD_HD T* in_device_memory(T* p) {
#if FANFOLD_ON_DEVICE
  __builtin_assume(__isGlobal(p));
#endif
  return p;
}

/// The pack at p, which must be aligned. Through the read-only path of the device: nothing may write there while the kernel runs.
template <int N, class T>
FANFOLD_HD pack<T, N> load_pack(T const* p) {
  static_assert(std::is_trivially_copyable_v<T>);
  pack<T, N> result;
#if FANFOLD_ON_DEVICE
  if constexpr (sizeof(result) == 16) {
    uint4 const bits = __ldg(reinterpret_cast<uint4 const*>(p));
    __builtin_memcpy(&result, &bits, 16);
  } else if constexpr (sizeof(result) == 8) {
    uint2 const bits = __ldg(reinterpret_cast<uint2 const*>(p));
    __builtin_memcpy(&result, &bits, 8);
  } else if constexpr (sizeof(result) == 4) {
    unsigned const bits = __ldg(reinterpret_cast<unsigned const*>(p));
    __builtin_memcpy(&result, &bits, 4);
  } else {
    result = *reinterpret_cast<pack<T, N> const*>(p);
  }
#else
  for (int i = 0; i < N; ++i) result.item[i] = p[i];
#endif
  return result;
}

/// The same through the ordinary path, for memory that the kernel also writes.
template <int N, class T>
FANFOLD_HD pack<T, N> load_changing_pack(T const* p) {
#if FANFOLD_ON_DEVICE
  return *reinterpret_cast<pack<T, N> const*>(p);
#else
  pack<T, N> result;
  for (int i = 0; i < N; ++i) result.item[i] = p[i];
  return result;
#endif
}

/// Writes the pack to p, which must be aligned.
template <int N, class T>
FANFOLD_HD void store_pack(T* p, pack<T, N> const& value) {
#if FANFOLD_ON_DEVICE
  *reinterpret_cast<pack<T, N>*>(p) = value;
#else
  for (int i = 0; i < N; ++i) p[i] = value.item[i];
#endif
}

/// The same for memory of the device, not of the block: always one store, where the compiler may take that of store_pack apart.
template <int N, class T>
FANFOLD_HD void store_device_pack(T* p, pack<T, N> const& value) {
#if FANFOLD_ON_DEVICE
  if constexpr (sizeof(value) == 16) {
    uint4 bits;
    __builtin_memcpy(&bits, &value, 16);
    __stwb(reinterpret_cast<uint4*>(p), bits);
  } else {
    store_pack<N>(p, value);
  }
#else
  store_pack<N>(p, value);
#endif
}

}  // namespace fanfold::inline FANFOLD_ABI
