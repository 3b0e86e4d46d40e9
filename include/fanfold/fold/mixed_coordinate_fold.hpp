#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Rows that exist as recipes: row i is the sum of weight[e] rows[id[e]] over its entries e in [offset[i], offset[i + 1]), which is what
/// `map_fold` makes of `weighted_sum` and `row_lists`. `address` names the rows in host memory; the lists are in the executor's memory.
template <class T>
struct row_mixture {
  T const* const* address = nullptr;
  std::int64_t rows = 0, cols = 0;
  view<std::int64_t const> offset{};
  view<std::int32_t const> id{};
  view<arithmetic_t<T> const> weight{};

  std::int64_t mixed() const { return offset.size() - 1; }
};

namespace detail {

inline constexpr std::int64_t mixed_tile = 256;  // coordinates of mixed rows that exist at a time: rows and mixed rows stay in L1

inline constexpr std::int64_t most_summed_rows = 2 * run_items;

/// to := the ordered tree of weight[k] rows[k] (of rows[k] where not `Weighted`) over 1 to most_summed_rows rows: one run, or two and their
/// sum. Sums are in registers: the leaf of map_fold keeps them in memory, which costs nothing while rows come from far away, but here
/// they are in L1.
template <class V, bool Weighted, class T>
FANFOLD_NOINLINE void sum_rows(T const* const* rows, typename V::scalar const* weight, std::int64_t entries, std::int64_t count, typename V::scalar* to) {
  constexpr int registers = 8;
  constexpr std::int64_t L = V::lanes;
  std::int64_t const run = entries < run_items ? entries : run_items;
  auto const value = [&](std::int64_t e, std::int64_t c) __attribute__((always_inline)) {
    if constexpr (Weighted)
      return V(weight[e]) * load_lanes<V>(rows[e] + c);
    else
      return load_lanes<V>(rows[e] + c);
  };
  std::int64_t c = 0;
  for (; c + registers * L <= count; c += registers * L) {
    V sum[std::size_t{registers}], more[std::size_t{registers}];
    for (int q = 0; q < registers; ++q) sum[q] = value(0, c + q * L);
    for (std::int64_t e = 1; e < run; ++e)
      for (int q = 0; q < registers; ++q) sum[q] = sum[q] + value(e, c + q * L);
    if (entries > run) {
      for (int q = 0; q < registers; ++q) more[q] = value(run, c + q * L);
      for (std::int64_t e = run + 1; e < entries; ++e)
        for (int q = 0; q < registers; ++q) more[q] = more[q] + value(e, c + q * L);
      for (int q = 0; q < registers; ++q) sum[q] = sum[q] + more[q];
    }
    for (int q = 0; q < registers; ++q) sum[q].store(to + c + q * L);
  }
  for (; c < count; ++c) {
    using A = typename V::scalar;
    auto const one = [&](std::int64_t e) { return Weighted ? weight[e] * to_arithmetic(rows[e][c]) : to_arithmetic(rows[e][c]); };
    auto const fold = [&](std::int64_t first, std::int64_t last) {
      A sum = one(first);
      for (std::int64_t e = first + 1; e < last; ++e) sum = sum + one(e);
      return sum;
    };
    to[c] = entries > run ? fold(0, run) + fold(run, entries) : fold(0, run);
  }
}

template <class T, class A>
FANFOLD_NOINLINE void scale_tile(T const* FANFOLD_RESTRICT from, A weight, std::int64_t count, A* FANFOLD_RESTRICT to) {
  for (std::int64_t c = 0; c < count; ++c) to[c] = weight * to_arithmetic(from[c]);
}

/// Whether all entries have one weight: then rows are multiplied by it once, which gives the same products.
template <class T>
bool same_weight(row_mixture<T> const& from) {
  for (std::int64_t e = from.offset[0]; e < from.offset[from.mixed()]; ++e)
    if (!(from.weight[e] == from.weight[from.offset[0]])) return false;
  return from.offset[from.mixed()] > from.offset[0];
}

/// Memory of one tile.
template <class T>
struct mixed_scratch {
  T const** table;                ///< the rows of a mixture
  arithmetic_t<T> const** scaled_table;
  arithmetic_t<T>* scaled;        ///< all rows times the one weight, `mixed_tile` elements each
  arithmetic_t<T>* mixed;         ///< the mixed rows
};

/// Coordinates [begin, begin + count) of the mixed rows.
template <class T>
void mix_tile(row_mixture<T> const& from, bool one_weight, std::int64_t begin, std::int64_t count, mixed_scratch<T> const& s) {
  using A = arithmetic_t<T>;
  using V = native_lanes<A>;
  if (one_weight)
    for (std::int64_t k = 0; k < from.rows; ++k)
      scale_tile(from.address[k] + begin, from.weight[from.offset[0]], count, s.scaled + k * mixed_tile);
  for (std::int64_t i = 0; i < from.mixed(); ++i) {
    std::int64_t const first = from.offset[i], entries = from.offset[i + 1] - first;
    A* const to = s.mixed + i * mixed_tile;
    if (one_weight && entries > 0 && entries <= most_summed_rows) {
      for (std::int64_t e = 0; e < entries; ++e) s.scaled_table[e] = s.scaled + from.id[first + e] * mixed_tile;
      sum_rows<V, false>(s.scaled_table, static_cast<A const*>(nullptr), entries, count, to);
      continue;
    }
    for (std::int64_t e = 0; e < entries; ++e) s.table[e] = from.address[from.id[first + e]] + begin;
    A* const row[1] = {to};
    if (entries > 0 && entries <= most_summed_rows)
      sum_rows<V, true>(s.table, from.weight.data() + first, entries, count, to);
    else
      map_tile(weighted_sum<A>{from.weight}.bind({i, first, 0}), s.table, entries, 0, count, row);
  }
}

}  // namespace detail

/// coordinate_fold over mixed rows, of which only a few coordinates exist at a time: the bits of `map_fold` followed by `coordinate_fold`.
template <host_executor E, coordinate_rule R, class T, class Out>
void mixed_coordinate_fold(E const& ex, R const& rule, row_mixture<T> const& from, view<Out> out, nonfinite policy, workspace& ws) {
  using A = arithmetic_t<T>;
  std::int64_t const n = from.mixed(), d = from.cols;
  if constexpr (requires { rule.check(n); }) rule.check(n);
  if (n == 0 || d == 0) return;
  coordinate_loop<R> const loop{rule, policy};
  bool const one_weight = detail::same_weight(from);
  auto const aligned = [](std::int64_t bytes) { return (bytes + 63) / 64 * 64; };
  std::int64_t const tile = detail::mixed_tile * std::int64_t{sizeof(A)};
  std::int64_t const table = aligned(from.rows * std::int64_t{sizeof(T*)}), row_at = 2 * table, scaled_at = row_at + aligned(n * std::int64_t{sizeof(A*)});
  std::int64_t const mixed_at = scaled_at + (one_weight ? from.rows * tile : 0), keys_at = mixed_at + n * tile;
  std::int64_t const scratch = keys_at + padded_rows(n) * FANFOLD_VECTOR_BYTES;
  std::int64_t const step = 16 * detail::mixed_tile;  // enough work that threads meet rarely
  for_each_task(ex, detail::divide_up(d, step), static_cast<std::size_t>(scratch), ws, [&](std::int64_t task, void* mine) {
    auto* const memory = static_cast<std::byte*>(mine);
    detail::mixed_scratch<T> const s{reinterpret_cast<T const**>(memory), reinterpret_cast<A const**>(memory + table),
                                     reinterpret_cast<A*>(memory + scaled_at), reinterpret_cast<A*>(memory + mixed_at)};
    auto** const row = reinterpret_cast<A const**>(memory + row_at);
    for (std::int64_t i = 0; i < n; ++i) row[i] = s.mixed + i * detail::mixed_tile;
    std::int64_t const last = (task + 1) * step < d ? (task + 1) * step : d;
    for (std::int64_t begin = task * step; begin < last; begin += detail::mixed_tile) {
      std::int64_t const count = last - begin < detail::mixed_tile ? last - begin : detail::mixed_tile;
      detail::mix_tile(from, one_weight, begin, count, s);
      Out* const to[1] = {out.data() + begin};
      detail::fold_coordinates<native_lanes<A>>(loop, row, n, 0, count, to, memory + keys_at);
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI
