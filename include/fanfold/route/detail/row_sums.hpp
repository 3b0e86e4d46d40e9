#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/tree.hpp"

/// \file
/// Sums over rows on the host in the canonical order of row folds: runs of 32 rows, then adjacent pairs.

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// sum[i] = sum over rows of what `add(row, sums)` adds to sums[i], i < size. Each call of `add` may add to any of them.
template <host_executor E, class Add>
void sum_over_rows(E const& ex, std::int64_t rows, std::int64_t size, workspace& ws, double* sum, Add const& add) {
  constexpr std::int64_t runs_of_task = 8;
  std::int64_t const runs = fanfold::detail::divide_up(rows, run_items);
  workspace::frame frame(ws);
  double* const all = frame.take<double>(runs * size).data();
  for_each_task(ex, fanfold::detail::divide_up(runs, runs_of_task), 0, ws, [&](std::int64_t task, void*) {
    std::int64_t const last = (task + 1) * runs_of_task < runs ? (task + 1) * runs_of_task : runs;
    for (std::int64_t r = task * runs_of_task; r < last; ++r) {
      double* const mine = all + r * size;
      for (std::int64_t i = 0; i < size; ++i) mine[i] = 0;
      std::int64_t const end = (r + 1) * run_items < rows ? (r + 1) * run_items : rows;
      for (std::int64_t t = r * run_items; t < end; ++t) add(t, mine);
    }
  });
  for (std::int64_t step = 1; step < runs; step *= 2)
    for (std::int64_t r = 0; r + step < runs; r += 2 * step)
      for (std::int64_t i = 0; i < size; ++i) all[r * size + i] += all[(r + step) * size + i];
  for (std::int64_t i = 0; i < size; ++i) sum[i] = rows == 0 ? 0 : all[i];
}

/// Calls f(row, scratch) for every row, rows in tasks; `scratch` holds `numbers` of type R.
template <class R, host_executor E, class F>
void for_each_row(E const& ex, std::int64_t rows, std::int64_t numbers, workspace& ws, F const& f) {
  constexpr std::int64_t rows_of_task = 64;
  for_each_task(ex, fanfold::detail::divide_up(rows, rows_of_task), static_cast<std::size_t>(numbers) * sizeof(R), ws, [&](std::int64_t task, void* scratch) {
    std::int64_t const last = (task + 1) * rows_of_task < rows ? (task + 1) * rows_of_task : rows;
    for (std::int64_t t = task * rows_of_task; t < last; ++t) f(t, static_cast<R*>(scratch));
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
