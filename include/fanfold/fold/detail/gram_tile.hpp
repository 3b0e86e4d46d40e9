#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/fold/detail/row_source.hpp"
#include "fanfold/fold/lane_vector.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::detail {

/// The rows of a Gram matrix: n of x, m of y, d coordinates; `reference` is null but for centred forms.
template <class T>
struct gram_source {
  T const* const* x;
  T const* const* y;
  T const* reference;
  std::int64_t n, m, d;
};

/// The sum of the lanes by halving.
template <class V>
FANFOLD_INLINE typename V::scalar halve(V const& v) {
  using scalar = typename V::scalar;
  constexpr int half = V::lanes / 2;
  scalar item[std::size_t{V::lanes}];
  v.store(item);
  if constexpr (half == 1) {
    return item[0] + item[1];
  } else {
    using lower = lane_array<scalar, half>;
    scalar upper[std::size_t{half}];
    for (int l = 0; l < half; ++l) upper[l] = item[l] + item[l + half];
    return halve(lower::load(upper));
  }
}

/// Coordinates [begin, begin + length) of M rows of x against Columns rows of y. Four (float, 64-byte registers) passes over the tile, each for as
/// many of the 64 lanes as a register holds, so that the M * Columns sums stay in registers.
template <int M, int Columns, class V, class P, class T>
FANFOLD_NOINLINE void gram_block(P const& form, T const* const* a, T const* const* b, T const* reference, std::int64_t begin, std::int64_t length,
                                 double (*out)[4]) {
  using A = typename V::scalar;
  constexpr int L = static_cast<int>(tile_lanes), W = V::lanes, passes = L / W;
  T const *x[std::size_t{M}], *y[std::size_t{Columns}];
  for (int i = 0; i < M; ++i) x[i] = a[i] + begin;
  for (int j = 0; j < Columns; ++j) y[j] = b[j] + begin;
  T const* const r = P::centred ? reference + begin : nullptr;
  std::int64_t const full = length / L, rest = length % L;

  V lanes[std::size_t{passes}][std::size_t{M}][std::size_t{Columns}];
  for (int p = 0; p < passes && full > 0; ++p) {
    V left[std::size_t{M}], right[std::size_t{Columns}], sum[std::size_t{M}][std::size_t{Columns}];
    auto const load = [&](std::int64_t row) __attribute__((always_inline)) {
      std::int64_t const c = row * L + p * W;
      for (int i = 0; i < M; ++i) left[i] = load_lanes<V>(x[i] + c);
      for (int j = 0; j < Columns; ++j) right[j] = load_lanes<V>(y[j] + c);
      if constexpr (P::centred) {
        V const middle = load_lanes<V>(r + c);
        for (int i = 0; i < M; ++i) left[i] = left[i] - middle;
        for (int j = 0; j < Columns; ++j) right[j] = right[j] - middle;
      }
    };
    load(0);
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < Columns; ++j) sum[i][j] = form.term(left[i], right[j]);
    for (std::int64_t row = 1; row < full; ++row) {
      load(row);
      for (int i = 0; i < M; ++i)
        for (int j = 0; j < Columns; ++j) sum[i][j] = sum[i][j] + form.term(left[i], right[j]);
    }
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < Columns; ++j) lanes[p][i][j] = sum[i][j];
  }

  if (rest == 0) {
    for (int i = 0; i < M; ++i)
      for (int j = 0; j < Columns; ++j) {
        for (int q = passes / 2; q > 0; q /= 2)
          for (int p = 0; p < q; ++p) lanes[p][i][j] = lanes[p][i][j] + lanes[p + q][i][j];
        out[i][j] = static_cast<double>(halve(lanes[0][i][j]));
      }
    return;
  }
  for (int i = 0; i < M; ++i)
    for (int j = 0; j < Columns; ++j) {
      A lane[std::size_t{L}];
      for (int p = 0; p < passes && full > 0; ++p) lanes[p][i][j].store(lane + p * W);
      for (std::int64_t l = 0; l < rest; ++l) {
        std::int64_t const c = full * L + l;
        A u = to_arithmetic(x[i][c]), v = to_arithmetic(y[j][c]);
        if constexpr (P::centred) {
          u = u - to_arithmetic(r[c]);
          v = v - to_arithmetic(r[c]);
        }
        A const term = form.term(u, v);
        lane[l] = full > 0 ? lane[l] + term : term;
      }
      std::int64_t present = full > 0 ? L : rest;
      for (std::int64_t w = L / 2; w > 0; w /= 2) {
        for (std::int64_t l = 0; l + w < present; ++l) lane[l] = lane[l] + lane[l + w];
        present = present < w ? present : w;
      }
      out[i][j] = static_cast<double>(lane[0]);
    }
}

/// Rows and columns of a block: 16 sums and their operands need 32 registers, which only the widest targets have.
inline constexpr int gram_rows = 4;
inline constexpr int gram_columns = FANFOLD_VECTOR_BYTES == 64 ? 4 : 2;

template <int M, class V, class P, class T>
FANFOLD_INLINE void gram_columns_of(P const& form, T const* const* a, T const* const* b, int columns, T const* reference, std::int64_t begin,
                                    std::int64_t length, double (*out)[4]) {
  if (columns == 1)
    gram_block<M, 1, V>(form, a, b, reference, begin, length, out);
  else if (columns == 2)
    gram_block<M, 2, V>(form, a, b, reference, begin, length, out);
  else
    gram_block<M, gram_columns, V>(form, a, b, reference, begin, length, out);
}

/// One tile of all pairs; `out` is n x m (of a symmetric matrix the upper triangle, the rest unspecified).
template <class V, class P, class T>
void gram_tile(gram_source<T> const& from, P const& form, std::int64_t begin, std::int64_t length, bool symmetric, double* out) {
  for (std::int64_t i = 0; i < from.n; i += gram_rows) {
    int const rows = static_cast<int>(from.n - i < gram_rows ? from.n - i : gram_rows);
    for (std::int64_t j = symmetric ? i : 0; j < from.m; j += gram_columns) {
      int const columns = static_cast<int>(from.m - j < gram_columns ? from.m - j : gram_columns);
      T const *a[gram_rows], *b[gram_columns];  // rows past the end repeat the last one
      for (int k = 0; k < gram_rows; ++k) a[k] = from.x[i + (k < rows ? k : rows - 1)];
      for (int k = 0; k < gram_columns; ++k) b[k] = from.y[j + (k < columns ? k : columns - 1)];
      double block[gram_rows][4];
      if (rows == 1)
        gram_columns_of<1, V>(form, a, b, columns, from.reference, begin, length, block);
      else if (rows == 2)
        gram_columns_of<2, V>(form, a, b, columns, from.reference, begin, length, block);
      else
        gram_columns_of<4, V>(form, a, b, columns, from.reference, begin, length, block);
      for (int k = 0; k < rows; ++k)
        for (int l = 0; l < columns; ++l) out[(i + k) * from.m + j + l] = block[k][l];
    }
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
