#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/random.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// A pre-aggregation: rows in random order (streams::bucketing of the seed) are averaged in groups of `size`, the last one over what is
/// left. Not below 1 row a group; more than n gives one bucket, the mean. The bound of the rule behind holds for ceil(n / size) rows.
/// Karimireddy et al., Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing, 2022 (arXiv 2006.09365).
struct bucketing {
  std::int64_t size = 2;
  std::uint64_t seed = 0;
  std::uint32_t round = 0;   ///< tag of the stream: another order each round
  bool shuffled = true;      ///< false: rows in the order given

  static constexpr needs requirement() { return needs::nothing; }
  std::int64_t rows_after(std::int64_t n) const { return size >= n ? 1 : (n + size - 1) / size; }
  void check(std::int64_t) const { check_argument(size >= 1, "bucketing", "size", size, "1 or more"); }
  void mix(row_geometry const& g, matrix_view<double> m, workspace& ws) const {
    workspace::frame frame(ws);
    view<std::int32_t> const order = frame.take<std::int32_t>(g.rows);
    for (std::int64_t i = 0; i < g.rows; ++i) order[i] = static_cast<std::int32_t>(i);
    if (shuffled) shuffle(random_stream{seed, streams::bucketing, round}, order);
    for (std::int64_t b = 0; b < m.rows() && b < rows_after(g.rows); ++b) {
      std::int64_t const begin = b * size, end = size < g.rows - begin ? begin + size : g.rows;
      for (std::int64_t k = begin; k < end; ++k) m(b, order[k]) = 1 / static_cast<double>(end - begin);
    }
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
