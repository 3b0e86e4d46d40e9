#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// L numbers in vector registers of the target's width (host). `lanes` says the same by loops over arrays, which compilers turn into vectors
/// from 32 lanes on; loops of 16 steps and fewer they unroll first and then leave scalar.
template <class T, int L>
struct vector_lanes {
  static constexpr int width = L * static_cast<int>(sizeof(T)) < FANFOLD_VECTOR_BYTES ? L : FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(T));
  static constexpr int pieces = L / width;
  static_assert(L % width == 0 && (width & (width - 1)) == 0);
  typedef T piece __attribute__((vector_size(std::size_t{width} * sizeof(T))));

  piece v[std::size_t{pieces}];

  /// Piece p of the numbers at x, which need no alignment.
  static piece load(void const* x, int p) {
    piece r;
    __builtin_memcpy(&r, static_cast<char const*>(x) + p * static_cast<int>(sizeof(piece)), sizeof(piece));
    return r;
  }
  static piece filled(T x) { return piece{} + x; }

  T lane(int l) const {
    T r;
    __builtin_memcpy(&r, reinterpret_cast<char const*>(v) + static_cast<std::size_t>(l) * sizeof(T), sizeof(T));
    return r;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
