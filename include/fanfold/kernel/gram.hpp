#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/pair_form.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/row_table.hpp"
#include "fanfold/kernel/fold_tile.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <pair_form P>
struct gram_loop;

namespace detail {

/// How the work of a device gram is cut: tasks of a power of two of tiles, of which a warp takes one block of pairs.
struct gram_grid {
  std::int64_t n, m, d, step, tasks;

  static constexpr int most_levels = 13;

  static gram_grid of(std::int64_t n, std::int64_t m, std::int64_t d) {
    std::int64_t const tiles = divide_up(d, tile_items);
    std::int64_t most = (std::int64_t{1} << 22) / (n * m);
    most = most < 4 ? 4 : most > 1024 ? 1024 : most;
    std::int64_t step = 1;
    while (step * most < tiles && step < (std::int64_t{1} << (most_levels - 1))) step *= 2;
    return {n, m, d, step, divide_up(tiles, step)};
  }
};

/// A warp sums Rows x Columns pairs over the tiles of a task: a thread holds lanes 2 t and 2 t + 1 of every pair; the tree over tiles of pair p lives
/// in the registers of thread p.
template <class P, class T>
struct gram_tiles_body {
  using A = arithmetic_t<T>;
  static constexpr int Rows = 4, Columns = sizeof(A) == 8 ? 2 : 4;
  static constexpr unsigned max_threads = 128;  // sums, tree and addresses want more registers than larger blocks leave

  P form;
  device_rows<T const> x, y;
  gram_grid grid;
  bool symmetric, packs;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<double> sums) const {
    std::int64_t const down = divide_up(grid.n, Rows), across = divide_up(grid.m, Columns), blocks = down * across;
    for (std::int64_t w = grid_warp(b); w < grid.tasks * blocks; w += grid_warps(b)) {
      std::int64_t const task = w / blocks, first_i = w % blocks / across * Rows, first_j = w % blocks % across * Columns;
      if (symmetric && first_j + Columns <= first_i) continue;  // uniform in the warp
      double const total = sum_tiles(b, task, first_i, first_j);
      std::int64_t const pair = lane_of(b), i = first_i + pair / Columns, j = first_j + pair % Columns;
      if (pair < Rows * Columns && i < grid.n && j < grid.m) sums[(task * grid.n + i) * grid.m + j] = total;
    }
  }

 private:
  template <class B>
  FANFOLD_HD double sum_tiles(B& b, std::int64_t task, std::int64_t first_i, std::int64_t first_j) const {
    T const *u[std::size_t{Rows}], *v[std::size_t{Columns}];
    for (int i = 0; i < Rows; ++i) u[i] = x.row_data(first_i + i < grid.n ? first_i + i : grid.n - 1);
    for (int j = 0; j < Columns; ++j) v[j] = y.row_data(first_j + j < grid.m ? first_j + j : grid.m - 1);
    double level[std::size_t{gram_grid::most_levels}]{};
    std::int64_t const begin = task * grid.step * tile_items;
    std::int64_t const end = begin + grid.step * tile_items < grid.d ? begin + grid.step * tile_items : grid.d;
    unsigned count = 0;
    for (std::int64_t at = begin; at < end; at += tile_items, ++count) {
      double s = sum_tile(b, u, v, at, end - at < tile_items ? end - at : tile_items);
      bool carry = true;
      for (int l = 0; l < gram_grid::most_levels; ++l) {
        if (!carry) continue;
        if ((count >> l & 1) != 0) {
          s = level[l] + s;
        } else {
          level[l] = s;
          carry = false;
        }
      }
    }
    bool started = false;
    double total = 0;
    for (int l = 0; l < gram_grid::most_levels; ++l) {
      if ((count >> l & 1) == 0) continue;
      total = started ? level[l] + total : level[l];
      started = true;
    }
    return total;
  }

  /// Two neighbouring elements of a row; where an element is past the end, 0.
  FANFOLD_HD void load(T const* row, std::int64_t c, std::int64_t present, A& even, A& odd) const {
    if (packs && present >= 2) {
      pack<T, 2> const both = load_pack<2>(row + c);
      even = to_arithmetic(both.item[0]);
      odd = to_arithmetic(both.item[1]);
    } else {
      even = present >= 1 ? to_arithmetic(row[c]) : A(0);
      odd = present >= 2 ? to_arithmetic(row[c + 1]) : A(0);
    }
  }

  /// The sum of pair p over one tile, in thread p.
  template <class B>
  FANFOLD_HD double sum_tile(B& b, T const* const (&u)[std::size_t{Rows}], T const* const (&v)[std::size_t{Columns}], std::int64_t at,
                             std::int64_t length) const {
    lane_pair<plus<A>> sum[std::size_t{Rows} * Columns];
    std::int64_t const lane = 2 * static_cast<std::int64_t>(lane_of(b));
    for (int p = 0; p < Rows * Columns; ++p) sum[p] = {A(0), A(0)};
#if FANFOLD_ON_DEVICE
#pragma unroll 1
#endif
    for (std::int64_t c = lane; c < length; c += tile_lanes) {
      std::int64_t const present = length - c;
      bool const first = c < tile_lanes;
      A left[std::size_t{Rows}][2], right[std::size_t{Columns}][2];
      for (int i = 0; i < Rows; ++i) load(u[i], at + c, present, left[i][0], left[i][1]);
      for (int j = 0; j < Columns; ++j) load(v[j], at + c, present, right[j][0], right[j][1]);
      if constexpr (P::centred) {
        A even, odd;
        load(x.row_data(form.reference), at + c, present, even, odd);
        for (int i = 0; i < Rows; ++i) left[i][0] = left[i][0] - even, left[i][1] = left[i][1] - odd;
        for (int j = 0; j < Columns; ++j) right[j][0] = right[j][0] - even, right[j][1] = right[j][1] - odd;
      }
      for (int i = 0; i < Rows; ++i)
        for (int j = 0; j < Columns; ++j) {
          lane_pair<plus<A>>& s = sum[i * Columns + j];
          A const even = form.term(left[i][0], right[j][0]), odd = form.term(left[i][1], right[j][1]);
          s.even = first ? even : s.even + even;
          if (present >= 2) s.odd = first ? odd : s.odd + odd;
        }
    }
    double mine = 0;
    for (int p = 0; p < Rows * Columns; ++p) {
      A const total = b.shuffle(halve_lanes(b, plus<A>{}, sum[p], length), 0);
      if (lane_of(b) == static_cast<unsigned>(p)) mine = static_cast<double>(total);
    }
    return mine;
  }
};

/// The adjacent-pair tree over task results, 32 to one; a thread an entry.
struct gram_pairs_body {
  static constexpr std::int64_t fan_in = 32;
  static constexpr unsigned max_threads = 128;  // all 32 values are in flight at once

  template <block B>
  FANFOLD_HD void operator()(B& b, view<double const> from, view<double> to, std::int64_t entries, std::int64_t tasks) const {
    for (std::int64_t k = grid_thread(b); k < divide_up(tasks, fan_in) * entries; k += grid_threads(b)) {
      std::int64_t const first = k / entries * fan_in, e = k % entries;
      double s[std::size_t{fan_in}];
      for (int t = 0; t < fan_in; ++t) s[t] = first + t < tasks ? from[(first + t) * entries + e] : 0.0;
      for (int w = 1; w < fan_in; w *= 2)
        for (int t = 0; t + w < fan_in; t += 2 * w)
          if (first + t + w < tasks) s[t] = s[t] + s[t + w];
      to[k] = s[0];
    }
  }
};

struct finish_gram_body {
  bool symmetric, zero_diagonal, accumulate;

  /// `sums` is empty where there are no coordinates.
  template <block B>
  FANFOLD_HD void operator()(B& b, view<double const> sums, matrix_view<double> out) const {
    for (std::int64_t e = grid_thread(b); e < out.rows() * out.cols(); e += grid_threads(b)) {
      std::int64_t const i = e / out.cols(), j = e % out.cols();
      double value = 0;
      if (!sums.empty() && !(symmetric && zero_diagonal && i == j)) value = symmetric && j < i ? sums[j * out.cols() + i] : sums[e];
      double& to = out(i, j);
      to = accumulate ? to + value : value;
    }
  }
};

template <class T>
bool rows_are_pairs(rows_view<T> const& rows) {
  for (std::int64_t i = 0; i < rows.rows(); ++i)
    if (!is_pack_aligned<2>(rows.row_data(i))) return false;
  return true;
}

}  // namespace detail

/// Bytes that the device form of E9 reads (from memory; blocks of pairs read a tile again from the caches) and writes for the n x m entries of
/// rows of d elements. The least is the rows and the entries.
template <class T>
std::int64_t gram_traffic(std::int64_t n, std::int64_t m, std::int64_t d, bool symmetric) {
  std::int64_t const rows = symmetric ? n : n + m, entries = n * m;
  std::int64_t bytes = rows * d * static_cast<std::int64_t>(sizeof(T)) + 8 * entries;
  std::int64_t tasks = d == 0 || entries == 0 ? 0 : detail::gram_grid::of(n, m, d).tasks;
  if (tasks > 0) bytes += 16 * entries;  // one result a task is written and read
  for (; tasks > 1; tasks = detail::divide_up(tasks, detail::gram_pairs_body::fan_in))
    bytes += 8 * entries * (tasks + detail::divide_up(tasks, detail::gram_pairs_body::fan_in));
  return bytes;
}

/// Device form of E9: a launch over tasks and blocks of pairs, one for every factor of 32 tasks, and one that writes the matrix.
template <device_executor E, pair_form P, class T, class U>
  requires std::same_as<T, U>
void run_loop(E const& ex, gram_loop<P> const& loop, rows_view<T const> const& x, rows_view<U const> const& y, matrix_view<double> out,
              workspace& ws) {
  std::int64_t const entries = out.rows() * out.cols();
  if (entries == 0) return;
  workspace::frame frame(ws);
  view<double> from;
  if (x.cols() > 0) {
    auto const grid = detail::gram_grid::of(x.rows(), y.rows(), x.cols());
    from = frame.take<double>(grid.tasks * entries);
    bool const packs = detail::rows_are_pairs(x) && detail::rows_are_pairs(y);
    device_rows<T const> const left = to_device_rows(ex, x, frame), right = loop.symmetric ? left : to_device_rows(ex, y, frame);
    using body = detail::gram_tiles_body<P, T>;
    unsigned const threads = threads_for<body>(ex);
    std::int64_t const warps = grid.tasks * detail::divide_up(grid.n, body::Rows) * detail::divide_up(grid.m, body::Columns);
    ex.launch(body{loop.form, left, right, grid, loop.symmetric, packs}, blocks_for(ex, warps, threads / 32, threads), threads, from);

    view<double> to = frame.take<double>(detail::divide_up(grid.tasks, detail::gram_pairs_body::fan_in) * entries);
    unsigned const pair_threads = threads_for<detail::gram_pairs_body>(ex);
    for (std::int64_t tasks = grid.tasks; tasks > 1;) {
      std::int64_t const groups = detail::divide_up(tasks, detail::gram_pairs_body::fan_in);
      ex.launch(detail::gram_pairs_body{}, blocks_for(ex, groups * entries, pair_threads, pair_threads), pair_threads, as_const(from), to, entries,
                tasks);
      view<double> const done = from;
      from = to;
      to = done;
      tasks = groups;
    }
  }
  unsigned const threads = threads_for<detail::finish_gram_body>(ex);
  ex.launch(detail::finish_gram_body{loop.symmetric, P::zero_diagonal, loop.accumulate}, blocks_for(ex, entries, threads, threads), threads,
            as_const(from), out);
}

}  // namespace fanfold::inline FANFOLD_ABI
