#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/config.hpp"

/// Contraction of products into sums, for the one kernel that is exempt from the determinism contract: g++ takes it as a function attribute,
/// clang as a pragma in the body.
#if defined(__clang__)
#define FANFOLD_FMA
#define FANFOLD_FMA_BODY _Pragma("clang fp contract(fast)")
#elif defined(__GNUC__)
#define FANFOLD_FMA __attribute__((optimize("fp-contract=fast")))
#define FANFOLD_FMA_BODY
#else
#define FANFOLD_FMA
#define FANFOLD_FMA_BODY
#endif

namespace fanfold::inline FANFOLD_ABI::dispatch::detail {

/// Shape of the register tile for an arithmetic type on the compile target.
template <class A>
struct gemm_shape {
  typedef A vector __attribute__((vector_size(FANFOLD_VECTOR_BYTES), may_alias));
  typedef std::uint32_t bits __attribute__((vector_size(FANFOLD_VECTOR_BYTES)));                       // where A is float
  typedef std::uint16_t half_bits __attribute__((vector_size(FANFOLD_VECTOR_BYTES / 2), may_alias));  // as many two-byte elements
  static constexpr int lanes = FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(A));
  static constexpr int vectors = FANFOLD_VECTOR_BYTES == 64 ? 3 : 2;
  static constexpr int panel = lanes * vectors;                         ///< columns of a tile and of a packed panel
  static constexpr int height = FANFOLD_VECTOR_BYTES == 64 ? 8 : 6;     ///< rows of a tile
  static constexpr std::int64_t block = 512;                            ///< terms summed between two visits of a tile
  static constexpr std::int64_t stride = block + 64 / static_cast<int>(sizeof(A));  ///< of rows in scratch; no power of two
};

/// c[m, 0:panel) (+)= sum over k of a[m, k] * b[k, 0:panel), M rows at once. Every element is one chain over k whatever M is, so a row has
/// the same bits in every tile. `b` is stored as A or as bfloat16, which is widened exactly on the way. `Lines`: how many cache lines a step
/// are fetched from `ahead`, which moves on like `b`.
template <class A, class T, int M, int Lines>
FANFOLD_NOINLINE FANFOLD_FMA void multiply_tile(A const* a, T const* b, std::int64_t terms, A* c, bool resume, T const* ahead) {
  FANFOLD_FMA_BODY
  using shape = gemm_shape<A>;
  using vector = typename shape::vector;
  constexpr int V = shape::vectors;
  vector sum[std::size_t{M}][std::size_t{V}];
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) {
      if (resume)
        sum[m][v] = *static_cast<vector const*>(static_cast<void const*>(c + m * shape::panel + v * shape::lanes));
      else
        sum[m][v] = vector{};
    }
  for (std::int64_t k = 0; k < terms; ++k) {
    vector w[std::size_t{V}];
    for (int v = 0; v < V; ++v) {
      T const* const from = b + k * shape::panel + v * shape::lanes;
      if constexpr (std::is_same_v<A, T>) {
        w[v] = *static_cast<vector const*>(static_cast<void const*>(from));
      } else {
        auto const wide = __builtin_convertvector(*static_cast<typename shape::half_bits const*>(static_cast<void const*>(from)), typename shape::bits) << 16;
        w[v] = (vector)wide;  // a vector cast keeps the bits
      }
    }
    for (int line = 0; line < Lines; ++line) __builtin_prefetch(ahead + k * shape::panel + line * (64 / static_cast<int>(sizeof(T))));
    for (int m = 0; m < M; ++m) {
      vector const x = a[m * shape::stride + k] - vector{};
      for (int v = 0; v < V; ++v) sum[m][v] = sum[m][v] + x * w[v];
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) *static_cast<vector*>(static_cast<void*>(c + m * shape::panel + v * shape::lanes)) = sum[m][v];
}

template <class A, class T>
using tile_kernel = void (*)(A const*, T const*, std::int64_t, A*, bool, T const*);

template <class A, class T, int Lines, int... M>
tile_kernel<A, T> kernel_of(int rows, std::integer_sequence<int, M...>) {
  static constexpr tile_kernel<A, T> table[] = {multiply_tile<A, T, M + 1, Lines>...};
  return table[rows - 1];
}

/// One panel: rows of `a` (scratch layout) against one block of `b`. The first row tiles fetch the block at `ahead`, which comes next: a line
/// a step each, or a single tile all of it.
template <class A, class T>
void multiply_panel(A const* a, std::int64_t rows, T const* b, std::int64_t terms, A* c, bool resume, T const* ahead) {
  using shape = gemm_shape<A>;
  using heights = std::make_integer_sequence<int, shape::height>;
  constexpr int line = 64 / static_cast<int>(sizeof(T)), lines = (shape::panel + line - 1) / line;
  if (rows <= shape::height && ahead != nullptr)
    return kernel_of<A, T, lines>(static_cast<int>(rows), heights{})(a, b, terms, c, resume, ahead);
  for (std::int64_t r = 0, fetched = 0; r < rows; r += shape::height, ++fetched) {
    int const m = rows - r < shape::height ? static_cast<int>(rows - r) : shape::height;
    bool const fetch = ahead != nullptr && fetched < lines;
    auto const kernel = fetch ? kernel_of<A, T, 1>(m, heights{}) : kernel_of<A, T, 0>(m, heights{});
    kernel(a + r * shape::stride, b, terms, c + r * shape::panel, resume, fetch ? ahead + fetched * line : nullptr);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
