#pragma once

#include <cstdint>
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
  static constexpr int lanes = FANFOLD_VECTOR_BYTES / static_cast<int>(sizeof(A));
  static constexpr int vectors = FANFOLD_VECTOR_BYTES == 64 ? 3 : 2;
  static constexpr int panel = lanes * vectors;                         ///< columns of a tile and of a packed panel
  static constexpr int height = FANFOLD_VECTOR_BYTES == 64 ? 8 : 6;     ///< rows of a tile
  static constexpr std::int64_t block = 512;                            ///< terms summed between two visits of a tile
  static constexpr std::int64_t stride = block + 64 / static_cast<int>(sizeof(A));  ///< of rows in scratch; no power of two
};

/// c[m, 0:panel) (+)= sum over k of a[m, k] * b[k, 0:panel), M rows at once. Every element is one chain over k whatever M is, so a row has
/// the same bits in every tile. `Ahead`: also fetches one line a step from `ahead`, which lies `panel` elements further each time.
template <class A, int M, bool Ahead>
FANFOLD_NOINLINE FANFOLD_FMA void multiply_tile(A const* a, A const* b, std::int64_t terms, A* c, bool resume, A const* ahead) {
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
    for (int v = 0; v < V; ++v) w[v] = *static_cast<vector const*>(static_cast<void const*>(b + k * shape::panel + v * shape::lanes));
    if constexpr (Ahead) __builtin_prefetch(ahead + k * shape::panel);
    for (int m = 0; m < M; ++m) {
      vector const x = a[m * shape::stride + k] - vector{};
      for (int v = 0; v < V; ++v) sum[m][v] = sum[m][v] + x * w[v];
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) *static_cast<vector*>(static_cast<void*>(c + m * shape::panel + v * shape::lanes)) = sum[m][v];
}

template <class A>
using tile_kernel = void (*)(A const*, A const*, std::int64_t, A*, bool, A const*);

template <class A, bool Ahead, int... M>
tile_kernel<A> kernel_of(int rows, std::integer_sequence<int, M...>) {
  static constexpr tile_kernel<A> table[] = {multiply_tile<A, M + 1, Ahead>...};
  return table[rows - 1];
}

/// One panel: rows of `a` (scratch layout) against one block of `b`. The first three row tiles fetch the block at `ahead`, which comes next.
template <class A>
void multiply_panel(A const* a, std::int64_t rows, A const* b, std::int64_t terms, A* c, bool resume, A const* ahead) {
  using shape = gemm_shape<A>;
  using heights = std::make_integer_sequence<int, shape::height>;
  int line = 0;
  for (std::int64_t r = 0; r < rows; r += shape::height) {
    int const m = rows - r < shape::height ? static_cast<int>(rows - r) : shape::height;
    bool const fetch = ahead != nullptr && line < shape::panel;
    auto const kernel = fetch ? kernel_of<A, true>(m, heights{}) : kernel_of<A, false>(m, heights{});
    kernel(a + r * shape::stride, b, terms, c + r * shape::panel, resume, fetch ? ahead + line : nullptr);
    line += 64 / static_cast<int>(sizeof(A));
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
