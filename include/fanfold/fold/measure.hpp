#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/detail/segment_tiles.hpp"
#include "fanfold/fold/map_inputs.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/statistic.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The loop behind measure.
template <class S>
struct measure_loop {
  S statistic;
};

template <host_executor E, class S, class T, class R>
void run_loop(E const& ex, measure_loop<S> const& loop, rows_view<T const> rows, view<R const> segments, matrix_view<double> out, workspace& ws) {
  std::int64_t const ranges = segments.size();
  workspace::frame frame(ws);
  auto const start = frame.take<std::int64_t>(ranges + 1);
  detail::number_tiles(segments, start);
  std::int64_t const tiles = start[ranges];
  auto const sums = frame.take<double>(rows.rows() * tiles * S::fields);
  for_each_task(ex, rows.rows() * tiles, 0, ws, [&](std::int64_t task, void*) {
    std::int64_t const s = detail::segment_of_tile(start, task % tiles);
    T const* const segment = rows.row_data(task / tiles) + segments[s].offset;
    std::int64_t const before = (task % tiles - start[s]) * tile_items;
    std::int64_t const rest = static_cast<std::int64_t>(segments[s].count) - before;
    detail::measure_tile(loop.statistic, segment + before, to_arithmetic(segment[0]), rest < tile_items ? rest : tile_items, sums.data() + task * S::fields);
  });
  detail::for_each_small_task(ex, rows.rows() * ranges, 0, ws, [&](std::int64_t i, void*) {
    std::int64_t const s = i % ranges, row = i / ranges;
    double const pivot = segments[s].count == 0 ? 0.0 : static_cast<double>(to_arithmetic(rows.row_data(row)[segments[s].offset]));
    detail::finish_statistic(loop.statistic, sums.data() + (row * tiles + start[s]) * S::fields, S::fields, segments[s].count, pivot,
                             &out(i, 0));
  });
}

/// A statistic of every segment of every row: `out` has one row a pair (row, segment), segments fastest, and `S::fields` columns.
/// The same values, bit for bit, as map_fold measures. An empty segment gives zeros.
template <executor E, element_statistic S, rows_viewable X, viewable Segments, detail::call_option... Options>
void measure(E const& ex, S const& statistic, X const& rows, Segments const& segments, matrix_view<double> out, Options&&... options) {
  auto const in = as_const(as_rows_view(rows));
  auto const ranges = as_const(as_view(segments));
  detail::check_segments("measure", ranges, in.cols());
  check_argument(out.rows() == in.rows() * ranges.size(), "measure", "rows of the output", out.rows(), "rows times segments");
  check_argument(out.cols() == S::fields, "measure", "columns of the output", out.cols(), "the fields of the statistic");
  detail::call_workspace ws(ex, options...);
  measure_loop<S> const loop{statistic};
  static_assert(requires { run_loop(ex, loop, in, ranges, out, ws.get()); },
                "no backend of measure for this executor: include <fanfold/kernel/map_fold.hpp> for device executors");
  run_loop(ex, loop, in, ranges, out, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI
