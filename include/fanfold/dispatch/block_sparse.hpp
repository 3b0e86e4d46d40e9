#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// The hidden rows of a plan with bins padded to b rows seen as a block-sparse matrix of R x (E * width) with b x b blocks (MegaBlocks, Gale et al., 2023): the
/// row blocks of expert e have their non-zero blocks in e's columns. Compressed rows, and the order by columns for the transpose.
///
/// The values are the hidden rows themselves, R x width: block q begins at row q / (width / b) * b, column q % (width / b) * b. So the three
/// products need no kernels of their own: sampled dense x dense is `grouped_gemm` into those rows, sparse x dense `grouped_gemm` from them, and
/// transposed sparse x dense `grouped_weight_gradient`.
struct block_sparse_topology {
  std::int64_t block = 1, width = 1;
  std::vector<std::int32_t> row_ptr;   ///< [R / b + 1]
  std::vector<std::int32_t> column;    ///< [nnz] column block of each block, row by row
  std::vector<std::int32_t> t_ptr;     ///< [E width / b + 1]
  std::vector<std::int32_t> t_row;     ///< [nnz] row block of each block, column by column
  std::vector<std::int32_t> t_block;   ///< [nnz] which block of the row order that is

  std::int64_t blocks() const { return static_cast<std::int64_t>(column.size()); }
  /// First element of block q in the values; rows of a block are values.stride() apart.
  template <class T>
  T* at(matrix_view<T> values, std::int64_t q) const {
    std::int64_t const each = width / block;
    return values.data() + q / each * block * values.stride() + q % each * block;
  }
};

/// The topology of a plan whose bins are multiples of `block` rows, for hidden rows of `width` numbers. Host memory.
/// \throws argument_error where rows or width are no multiples of the block, or more than 2^31 - 1 blocks.
inline block_sparse_topology make_topology(plan_view const& plan, std::int64_t block, std::int64_t width) {
  static constexpr char function[] = "make_topology";
  check_argument(block >= 1, function, "block", block, "1 or more");
  check_argument(width >= 0 && width % block == 0, function, "width", width, "a multiple of the block");
  for (std::int64_t e = 0; e < plan.experts(); ++e)
    check_argument(plan.offsets[e + 1] % block == 0, function, "rows of a bin", plan.offsets[e + 1] - plan.offsets[e], "a multiple of the block");
  std::int64_t const row_blocks = plan.rows() / block, each = width / block;
  check_argument(row_blocks <= most_rows / (each < 1 ? 1 : each) && plan.experts() * each <= most_rows, function, "number of blocks", row_blocks, "below 2^31 in all");
  block_sparse_topology out;
  out.block = block;
  out.width = width;
  auto const narrow = [](std::int64_t i) { return static_cast<std::int32_t>(i); };
  out.row_ptr.push_back(0);
  out.t_ptr.push_back(0);
  for (std::int64_t e = 0; e < plan.experts(); ++e) {
    std::int64_t const first = plan.offsets[e] / block, last = plan.offsets[e + 1] / block;
    for (std::int64_t r = first; r < last; ++r) {
      for (std::int64_t j = 0; j < each; ++j) out.column.push_back(narrow(e * each + j));
      out.row_ptr.push_back(narrow((r + 1) * each));
    }
    for (std::int64_t j = 0; j < each; ++j) {
      for (std::int64_t r = first; r < last; ++r) out.t_row.push_back(narrow(r)), out.t_block.push_back(narrow(r * each + j));
      out.t_ptr.push_back(narrow(static_cast<std::int64_t>(out.t_row.size())));
    }
  }
  return out;
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
