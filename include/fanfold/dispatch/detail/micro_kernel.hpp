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
  /// Terms summed between two visits of a tile: such a block of a panel takes half of a first-level cache.
  static constexpr std::int64_t block = 24576 / (panel * static_cast<std::int64_t>(sizeof(A)));
  static constexpr std::int64_t ahead = 2 * 24576;  ///< bytes between what is read and what is fetched: the second-level cache has room
  static constexpr std::int64_t stride = block + 64 / static_cast<int>(sizeof(A));  ///< of rows in scratch; no power of two

  /// Vectors that panel `p` of `columns` takes: all but the last are full.
  static constexpr int vectors_of(std::int64_t columns, std::int64_t p) {
    std::int64_t const rest = columns - p * panel;
    return rest >= panel ? vectors : static_cast<int>((rest + lanes - 1) / lanes);
  }
};

/// Start of part `i` of `parts` nearly equal parts of n.
constexpr std::int64_t even_split(std::int64_t n, std::int64_t parts, std::int64_t i) {
  return n / parts * i + (i < n % parts ? i : n % parts);
}

/// Memory to be read soon.
struct memory_range {
  char const* from = nullptr;
  std::int64_t bytes = 0;
};
/// A tile's share of it: `lines` cache lines in each of the first `steps` steps.
struct fetch_ahead {
  char const* from = nullptr;
  std::int64_t steps = 0, lines = 0;
};

/// c[m, 0:V vectors) (+)= sum over k of a(m, k) * b[k, :], M rows at once. Every element is one chain over k whatever M and V are, so a row has
/// the same bits in every tile. `b` is stored as A or as bfloat16, which is widened exactly on the way. a(m, k) lies at a[m * stride + k] or,
/// `ByTerm`, at a[k * height + m].
template <class A, class T, bool ByTerm, int V, int M>
FANFOLD_NOINLINE FANFOLD_FMA void multiply_tile(A const* a, T const* b, std::int64_t terms, A* c, bool resume, fetch_ahead fetch) {
  FANFOLD_FMA_BODY
  using shape = gemm_shape<A>;
  using vector = typename shape::vector;
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
      T const* const from = b + (k * V + v) * shape::lanes;
      if constexpr (std::is_same_v<A, T>) {
        w[v] = *static_cast<vector const*>(static_cast<void const*>(from));
      } else {
        auto const wide = __builtin_convertvector(*static_cast<typename shape::half_bits const*>(static_cast<void const*>(from)), typename shape::bits) << 16;
        w[v] = (vector)wide;  // a vector cast keeps the bits
      }
    }
    if (k < fetch.steps)
      for (std::int64_t line = 0; line < fetch.lines; ++line) __builtin_prefetch(fetch.from + (k * fetch.lines + line) * 64, 0, 2);
    for (int m = 0; m < M; ++m) {
      vector const x = a[ByTerm ? k * shape::height + m : m * shape::stride + k] - vector{};
      for (int v = 0; v < V; ++v) sum[m][v] = sum[m][v] + x * w[v];
    }
  }
  for (int m = 0; m < M; ++m)
    for (int v = 0; v < V; ++v) *static_cast<vector*>(static_cast<void*>(c + m * shape::panel + v * shape::lanes)) = sum[m][v];
}

template <class A, class T>
using tile_kernel = void (*)(A const*, T const*, std::int64_t, A*, bool, fetch_ahead);

template <class A, class T, bool ByTerm, int V, int... M>
tile_kernel<A, T> kernel_of(int rows, std::integer_sequence<int, M...>) {
  static constexpr tile_kernel<A, T> table[] = {multiply_tile<A, T, ByTerm, V, M + 1>...};
  return table[rows - 1];
}
template <class A, class T, bool ByTerm>
tile_kernel<A, T> kernel_of(int rows, int vectors) {
  using heights = std::make_integer_sequence<int, gemm_shape<A>::height>;
  if constexpr (gemm_shape<A>::vectors == 3)
    if (vectors == 3) return kernel_of<A, T, ByTerm, 3>(rows, heights{});
  return vectors == 2 ? kernel_of<A, T, ByTerm, 2>(rows, heights{}) : kernel_of<A, T, ByTerm, 1>(rows, heights{});
}

/// One panel of `vectors` vectors: rows of `a` (scratch layout) against one block of `b`. The tiles share the fetching of what comes `next`
/// evenly, so that memory is busy all the time.
template <bool ByTerm, class A, class T>
void multiply_panel(A const* a, std::int64_t rows, T const* b, int vectors, std::int64_t terms, A* c, bool resume, memory_range next) {
  using shape = gemm_shape<A>;
  std::int64_t const tiles = (rows + shape::height - 1) / shape::height, lines = (next.bytes + 63) / 64, each = (lines + tiles - 1) / tiles;
  std::int64_t const rate = (each + terms - 1) / terms;
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    std::int64_t const r = even_split(rows, tiles, tile), m = even_split(rows, tiles, tile + 1) - r;
    std::int64_t const left = lines - tile * each, mine = left < 0 ? 0 : left < each ? left : each;
    A const* const from = ByTerm ? a + tile * (shape::height * shape::stride) : a + r * shape::stride;
    kernel_of<A, T, ByTerm>(static_cast<int>(m), vectors)(from, b, terms, c + r * shape::panel, resume,
                                                          {next.from + tile * each * 64, rate == 0 ? 0 : mine / rate, rate});
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
