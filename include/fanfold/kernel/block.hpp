#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What a kernel body sees of the device: one thread of one block of a one-dimensional grid. `cuda::block` is the hardware,
/// `emulate::block` a checked stand-in on the CPU.
/// - `thread()` of `threads()` in the block (a multiple of 32), block `index()` of `blocks()` in the grid.
/// - `sync()` is the barrier of the block and `sync_warp()` that of the warp; both make memory writes visible to those who meet there.
/// - `shuffle(v, lane)`, `shuffle_down(v, n)`, `shuffle_up(v, n)`, `shuffle_xor(v, mask)` move any trivially copyable value between the
///   lanes of a warp; where the source lane does not exist the own value comes back. `ballot(p)`: bit l is lane l's p. They order no memory.
/// - `atomic_*` are relaxed, of device scope, and return the old value; `compare_exchange(p, expected, desired)` too.
///   Floating-point `atomic_add` depends on the order of arrival: only under `order::any`.
template <class B>
concept block = B::warp_size == 32 && requires(B& b, std::uint32_t v, unsigned u, bool p, float* x, std::uint32_t* w) {
  { b.thread() } -> std::same_as<unsigned>;
  { b.threads() } -> std::same_as<unsigned>;
  { b.index() } -> std::same_as<unsigned>;
  { b.blocks() } -> std::same_as<unsigned>;
  { b.sync() } -> std::same_as<void>;
  { b.sync_warp() } -> std::same_as<void>;
  { b.shuffle(v, u) } -> std::same_as<std::uint32_t>;
  { b.shuffle_down(v, u) } -> std::same_as<std::uint32_t>;
  { b.shuffle_up(v, u) } -> std::same_as<std::uint32_t>;
  { b.shuffle_xor(v, u) } -> std::same_as<std::uint32_t>;
  { b.ballot(p) } -> std::same_as<std::uint32_t>;
  { b.atomic_add(x, *x) } -> std::same_as<float>;
  { b.atomic_add(w, v) } -> std::same_as<std::uint32_t>;
  { b.atomic_min(w, v) } -> std::same_as<std::uint32_t>;
  { b.atomic_max(w, v) } -> std::same_as<std::uint32_t>;
  { b.atomic_or(w, v) } -> std::same_as<std::uint32_t>;
  { b.compare_exchange(w, v, v) } -> std::same_as<std::uint32_t>;
};

/// An array for the `shared` struct of a body: unset at the start whatever T's constructors are, index tested in checked builds
/// (no sanitizer sees an overflow from one member of a struct into the next).
template <class T, std::size_t N>
class checked_array {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>, "shared memory holds trivially copyable types only");

 public:
  using value_type = T;

  FANFOLD_HD static constexpr std::int64_t size() { return static_cast<std::int64_t>(N); }
  FANFOLD_HD T* data() { return reinterpret_cast<T*>(bytes_); }
  FANFOLD_HD T const* data() const { return reinterpret_cast<T const*>(bytes_); }

  template <std::integral Index>
  FANFOLD_HD T& operator[](Index i) {
    FANFOLD_ASSERT(static_cast<std::int64_t>(i) >= 0 && static_cast<std::int64_t>(i) < static_cast<std::int64_t>(N));
    return data()[i];
  }
  template <std::integral Index>
  FANFOLD_HD T const& operator[](Index i) const {
    FANFOLD_ASSERT(static_cast<std::int64_t>(i) >= 0 && static_cast<std::int64_t>(i) < static_cast<std::int64_t>(N));
    return data()[i];
  }

 private:
  alignas(T) unsigned char bytes_[sizeof(T) * N];
};

namespace detail {

/// A value as the 32-bit words that shuffles move; a last partial word is padded with zeros.
template <class T>
struct shuffle_words {
  static_assert(std::is_trivially_copyable_v<T>, "shuffles move trivially copyable types only");
  static constexpr int count = static_cast<int>((sizeof(T) + 3) / 4);

  FANFOLD_HD explicit shuffle_words(T const& value) {
    word[count - 1] = 0;
    __builtin_memcpy(word, &value, sizeof(T));
  }
  FANFOLD_HD T value(T const& like) const {
    T result = like;
    __builtin_memcpy(static_cast<void*>(&result), word, sizeof(T));
    return result;
  }

  std::uint32_t word[std::size_t{count}];
};

}  // namespace detail

/// Lane of the calling thread in its warp, its warp in the block, warps in the block.
template <block B>
FANFOLD_HD unsigned lane_of(B& b) {
  return b.thread() % 32u;
}
template <block B>
FANFOLD_HD unsigned warp_of(B& b) {
  return b.thread() / 32u;
}
template <block B>
FANFOLD_HD unsigned warps_of(B& b) {
  return b.threads() / 32u;
}

/// Number of the thread (warp) in the grid, and how many there are: start and step of grid-stride loops.
template <block B>
FANFOLD_HD std::int64_t grid_thread(B& b) {
  return static_cast<std::int64_t>(b.index()) * b.threads() + b.thread();
}
template <block B>
FANFOLD_HD std::int64_t grid_threads(B& b) {
  return static_cast<std::int64_t>(b.blocks()) * b.threads();
}
template <block B>
FANFOLD_HD std::int64_t grid_warp(B& b) {
  return static_cast<std::int64_t>(b.index()) * warps_of(b) + warp_of(b);
}
template <block B>
FANFOLD_HD std::int64_t grid_warps(B& b) {
  return static_cast<std::int64_t>(b.blocks()) * warps_of(b);
}

}  // namespace fanfold::inline FANFOLD_ABI
