#pragma once

#if !defined(__CUDACC__)
#error "fanfold/cuda is for nvcc: include it from .cu files."
#endif

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/kernel/block.hpp"

namespace fanfold::inline FANFOLD_ABI::cuda {

/// The `block` of a kernel body on the hardware. Host forms of the members exist so that bodies can be FANFOLD_HD; nothing calls them.
struct block {
  static constexpr unsigned warp_size = 32;

#if FANFOLD_ON_DEVICE
  FANFOLD_HD unsigned thread() const { return threadIdx.x; }
  FANFOLD_HD unsigned threads() const { return blockDim.x; }
  FANFOLD_HD unsigned index() const { return blockIdx.x; }
  FANFOLD_HD unsigned blocks() const { return gridDim.x; }
  FANFOLD_HD void sync() { __syncthreads(); }
  FANFOLD_HD void sync_warp() { __syncwarp(); }
  FANFOLD_HD std::uint32_t ballot(bool p) { return __ballot_sync(all_lanes, p); }
#else
  FANFOLD_HD unsigned thread() const { return 0; }
  FANFOLD_HD unsigned threads() const { return 32; }
  FANFOLD_HD unsigned index() const { return 0; }
  FANFOLD_HD unsigned blocks() const { return 1; }
  FANFOLD_HD void sync() {}
  FANFOLD_HD void sync_warp() {}
  FANFOLD_HD std::uint32_t ballot(bool p) { return p; }
#endif

  template <class T>
  FANFOLD_HD T shuffle(T const& v, [[maybe_unused]] unsigned lane) {
    return move<0>(v, lane);
  }
  template <class T>
  FANFOLD_HD T shuffle_down(T const& v, [[maybe_unused]] unsigned n) {
    return move<1>(v, n);
  }
  template <class T>
  FANFOLD_HD T shuffle_up(T const& v, [[maybe_unused]] unsigned n) {
    return move<2>(v, n);
  }
  template <class T>
  FANFOLD_HD T shuffle_xor(T const& v, [[maybe_unused]] unsigned mask) {
    return move<3>(v, mask);
  }

  template <class T>
  FANFOLD_HD T atomic_add(T* p, std::type_identity_t<T> v) {
#if FANFOLD_ON_DEVICE
    if constexpr (std::is_integral_v<T> && sizeof(T) == 8)
      return static_cast<T>(::atomicAdd(word64(p), static_cast<unsigned long long>(v)));
    else
      return ::atomicAdd(p, v);
#else
    return host_form(p, v);
#endif
  }
  template <class T>
  FANFOLD_HD T atomic_min(T* p, std::type_identity_t<T> v) {
#if FANFOLD_ON_DEVICE
    return ::atomicMin(wide(p), static_cast<wide_t<T>>(v));
#else
    return host_form(p, v);
#endif
  }
  template <class T>
  FANFOLD_HD T atomic_max(T* p, std::type_identity_t<T> v) {
#if FANFOLD_ON_DEVICE
    return ::atomicMax(wide(p), static_cast<wide_t<T>>(v));
#else
    return host_form(p, v);
#endif
  }
  template <class T>
  FANFOLD_HD T atomic_or(T* p, std::type_identity_t<T> v) {
#if FANFOLD_ON_DEVICE
    return ::atomicOr(wide(p), static_cast<wide_t<T>>(v));
#else
    return host_form(p, v);
#endif
  }
  template <class T>
  FANFOLD_HD T compare_exchange(T* p, std::type_identity_t<T> expected, [[maybe_unused]] std::type_identity_t<T> desired) {
#if FANFOLD_ON_DEVICE
    static_assert(sizeof(T) == 4 || sizeof(T) == 8);
    T result = expected;
    if constexpr (sizeof(T) == 4) {
      unsigned bits[2];
      __builtin_memcpy(bits, &expected, 4);
      __builtin_memcpy(bits + 1, &desired, 4);
      bits[0] = ::atomicCAS(reinterpret_cast<unsigned*>(p), bits[0], bits[1]);
      __builtin_memcpy(&result, bits, 4);
    } else {
      unsigned long long bits[2];
      __builtin_memcpy(bits, &expected, 8);
      __builtin_memcpy(bits + 1, &desired, 8);
      bits[0] = ::atomicCAS(word64(p), bits[0], bits[1]);
      __builtin_memcpy(&result, bits, 8);
    }
    return result;
#else
    return host_form(p, expected);
#endif
  }

 private:
  static constexpr unsigned all_lanes = 0xffffffffU;

  // std::int64_t and std::uint64_t are `long` here, the atomics know `long long`
  template <class T>
  using wide_t = std::conditional_t<sizeof(T) == 8, std::conditional_t<std::is_signed_v<T>, long long, unsigned long long>, T>;
  template <class T>
  FANFOLD_HD static wide_t<T>* wide(T* p) {
    static_assert(std::is_integral_v<T> && sizeof(T) >= 4, "atomics of order and bits are for 32- and 64-bit integers");
    return reinterpret_cast<wide_t<T>*>(p);
  }
  template <class T>
  FANFOLD_HD static unsigned long long* word64(T* p) {
    return reinterpret_cast<unsigned long long*>(p);
  }
  template <class T>
  FANFOLD_HD static T host_form(T* p, T const&) {
    return *p;
  }

  template <int Kind, class T>
  FANFOLD_HD static T move(T const& v, [[maybe_unused]] unsigned n) {
#if FANFOLD_ON_DEVICE
    fanfold::detail::shuffle_words<T> w(v);
#pragma unroll
    for (int i = 0; i < decltype(w)::count; ++i) {
      if constexpr (Kind == 0)
        w.word[i] = __shfl_sync(all_lanes, w.word[i], static_cast<int>(n));
      else if constexpr (Kind == 1)
        w.word[i] = __shfl_down_sync(all_lanes, w.word[i], n);
      else if constexpr (Kind == 2)
        w.word[i] = __shfl_up_sync(all_lanes, w.word[i], n);
      else
        w.word[i] = __shfl_xor_sync(all_lanes, w.word[i], static_cast<int>(n));
    }
    return w.value(v);
#else
    return v;
#endif
  }
};
static_assert(fanfold::block<block>);

}  // namespace fanfold::inline FANFOLD_ABI::cuda
