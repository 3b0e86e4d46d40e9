#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/dispatch/detail/micro_kernel.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch::detail {

/// A row of the left operand: its elements and a factor for them.
template <class T>
struct scaled_source {
  T const* data;
  arithmetic_t<T> factor;
  bool scaled;
};

/// Element i of a row, scaled and rounded as its factor says.
template <class A, class T>
A element_of(scaled_source<T> const& row, std::int64_t i) {
  if (!row.scaled) return static_cast<A>(to_arithmetic(row.data[i]));
  return static_cast<A>(to_arithmetic(from_arithmetic<T>(row.factor * to_arithmetic(row.data[i]))));
}

/// Memory of one task and how many rows it takes at once: the copied rows stay within half of a second-level cache, unless each task has to
/// bring the right operand into order, which is then shared by more rows.
template <class A>
struct gemm_scratch {
  using shape = gemm_shape<A>;
  std::int64_t blocks, rows, panels;
  bool convert;

  gemm_scratch(std::int64_t terms, std::int64_t panel_count, bool convert_blocks)
      : blocks((terms + shape::block - 1) / shape::block), rows(rows_for(blocks, convert_blocks)), panels(panel_count), convert(convert_blocks) {}

  static constexpr std::int64_t rows_for(std::int64_t blocks, bool convert) {
    std::int64_t const row = (blocks < 1 ? 1 : blocks) * shape::stride * static_cast<std::int64_t>(sizeof(A));
    std::int64_t const n = (std::int64_t{1} << 20) / row / shape::height * shape::height;
    std::int64_t const least = (convert ? 24 : 6) * shape::height, most = (convert ? 48 : 24) * shape::height;
    return n < least ? least : n > most ? most : n;
  }
  std::int64_t left_size() const { return blocks * rows * shape::stride; }
  std::int64_t sums_size() const { return panels * rows * shape::panel; }
  std::size_t bytes() const {
    return static_cast<std::size_t>(left_size() + sums_size() + (convert ? shape::block * shape::panel : 0)) * sizeof(A);
  }
  A* left(void* memory) const { return static_cast<A*>(memory); }
  A* sums(void* memory) const { return left(memory) + left_size(); }
  A* block(void* memory) const { return sums(memory) + sums_size(); }
};

/// `rows` rows of the left operand against units [unit, unit_end) of columns, a unit being `Store::panels` interleaved panels.
/// The left operand is copied once; each panel streams through in storage order while all rows pass.
template <class A, class Left, class Blocks, class Store>
FANFOLD_NOINLINE void gemm_task(Left const& left, std::int64_t rows, Blocks const& blocks, std::int64_t terms, std::int64_t columns, std::int64_t unit,
                                std::int64_t unit_end, Store const& store, gemm_scratch<A> const& scratch, void* memory) {
  using shape = gemm_shape<A>;
  A* const a = scratch.left(memory);
  A* const sums = scratch.sums(memory);
  auto const terms_of = [&](std::int64_t b) { return terms - b * shape::block < shape::block ? terms - b * shape::block : shape::block; };
  for (std::int64_t b = 0; b < scratch.blocks; ++b) left.fill(rows, b * shape::block, terms_of(b), a + b * scratch.rows * shape::stride);
  for (std::int64_t u = unit; u < unit_end; ++u) {
    int const vectors = shape::vectors_of(columns, u);
    for (int p = 0; p < Store::panels; ++p) {
      A* const c = sums + p * scratch.rows * shape::panel;
      std::int64_t const panel = u * Store::panels + p;
      if (terms == 0)
        for (std::int64_t i = 0; i < rows * shape::panel; ++i) c[i] = A(0);
      for (std::int64_t b = 0; b < scratch.blocks; ++b) {
        A const* const rows_of_block = a + b * scratch.rows * shape::stride;
        std::int64_t const first = b * shape::block, n = terms_of(b);
        if constexpr (Blocks::widens) {
          if (rows < 12) {  // beyond, widening a block once for all row tiles is cheaper
            multiply_panel<Left::by_term>(rows_of_block, rows, blocks.stored_block(panel, first), vectors, n, c, b > 0, blocks.ahead(panel, first, n));
            continue;
          }
        }
        A const* const w = blocks.template block<A>(panel, first, n, scratch.block(memory));
        multiply_panel<Left::by_term>(rows_of_block, rows, w, vectors, n, c, b > 0, blocks.ahead(panel, first, n));
      }
    }
    std::int64_t const column = u * shape::panel, n = columns - column < shape::panel ? columns - column : shape::panel;
    for (std::int64_t r = 0; r < rows; ++r) {
      A const* row[Store::panels];
      for (int p = 0; p < Store::panels; ++p) row[p] = sums + (p * scratch.rows + r) * shape::panel;
      store(r, column, n, static_cast<A const* const*>(row));
    }
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
