#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/detail/map_tile.hpp"
#include "fanfold/fold/detail/segment_tiles.hpp"
#include "fanfold/fold/element_policy.hpp"
#include "fanfold/fold/map_inputs.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/statistic.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The loop behind map_fold.
template <class P, class M>
struct map_fold_loop {
  P policy;
  M what;
};

template <host_executor E, class P, class M, class T, class U, class R>
void run_loop(E const& ex, map_fold_loop<P, M> const& loop, detail::map_inputs<T> in, rows_view<U> out, view<R const> segments, workspace& ws) {
  using A = arithmetic_t<T>;
  constexpr std::int64_t results = detail::output_rows<P, A>();
  constexpr int fields = detail::measured_fields<M>::value;
  constexpr bool direct = std::is_same_v<U, A>;
  std::int64_t const jobs = in.jobs(), ranges = segments.size(), most = in.most();
  workspace::frame frame(ws);
  auto const start = frame.take<std::int64_t>(ranges + 1);
  detail::number_tiles(segments, start);
  std::int64_t const tiles = start[ranges];

  std::int64_t inputs_measured = 0, outputs_measured = 0;
  if constexpr (fields > 0) {
    inputs_measured = loop.what.inputs ? most : 0;
    outputs_measured = loop.what.outputs ? results : 0;
  }
  std::int64_t const columns = inputs_measured + outputs_measured;
  auto const sums = frame.take<double>(jobs * tiles * columns * fields);
  auto const pivots = frame.take<A>(jobs * ranges * columns);
  std::size_t const table_bytes = (static_cast<std::size_t>(most) * sizeof(T*) + 63) / 64 * 64;
  std::size_t const scratch = table_bytes + (direct ? 0 : static_cast<std::size_t>(results * tile_items) * sizeof(A));

  if (columns > 0)  // before any output is written: an output may be one of the inputs
    detail::for_each_small_task(ex, jobs, table_bytes, ws, [&](std::int64_t job, void* mine) {
      auto** const rows = static_cast<T const**>(mine);
      in.table(job, rows);
      for (std::int64_t s = 0; s < ranges; ++s) {
        auto const offset = static_cast<std::int64_t>(segments[s].offset);
        A* const pivot = pivots.data() + (job * ranges + s) * columns;
        if (segments[s].count == 0) continue;
        for (std::int64_t k = 0; k < inputs_measured; ++k) pivot[k] = to_arithmetic(rows[k][offset]);
        A first[std::size_t{results + 1}];
        A* to[std::size_t{results + 1}];
        for (std::int64_t r = 0; r < results; ++r) to[r] = first + r;
        detail::map_tile(detail::bind_policy(loop.policy, {job, in.first(job), s}), rows, in.count(job), offset, 1, to);
        for (std::int64_t r = 0; r < outputs_measured; ++r) pivot[inputs_measured + r] = first[r];
      }
    });

  for_each_task(ex, jobs * tiles, scratch, ws, [&](std::int64_t task, void* mine) {
    std::int64_t const job = task / tiles, tile = task % tiles;
    std::int64_t const s = detail::segment_of_tile(start, tile);
    std::int64_t const before = (tile - start[s]) * tile_items;
    std::int64_t const begin = static_cast<std::int64_t>(segments[s].offset) + before;
    std::int64_t const rest = static_cast<std::int64_t>(segments[s].count) - before;
    std::int64_t const n = rest < tile_items ? rest : tile_items;
    auto** const rows = static_cast<T const**>(mine);
    in.table(job, rows);
    A* to[std::size_t{results + 1}] = {};
    for (std::int64_t r = 0; r < results; ++r) {
      if constexpr (direct)
        to[r] = out.row_data(job * results + r) + begin;
      else
        to[r] = reinterpret_cast<A*>(static_cast<std::byte*>(mine) + table_bytes) + r * tile_items;
    }
    auto const measure_inputs = [&] {
      if constexpr (fields > 0)
        for (std::int64_t k = 0; k < inputs_measured; ++k)
          detail::measure_tile(loop.what.statistic, rows[k] + begin, pivots[(job * ranges + s) * columns + k], n, sums.data() + (task * columns + k) * fields);
    };
    // The map reads all rows side by side, which memory likes best; its inputs are then at hand, unless it writes over them.
    bool const in_place = inputs_measured > 0 && detail::writes_over_inputs(to, results, rows, in.count(job), begin);
    if (in_place) measure_inputs();
    detail::map_tile(detail::bind_policy(loop.policy, {job, in.first(job), s}), rows, in.count(job), begin, n, to);
    if (!in_place) measure_inputs();
    if constexpr (fields > 0)
      for (std::int64_t r = 0, c = inputs_measured; r < outputs_measured; ++r, ++c)
        detail::measure_tile(loop.what.statistic, static_cast<A const*>(to[r]), pivots[(job * ranges + s) * columns + c], n, sums.data() + (task * columns + c) * fields);
    if constexpr (!direct)
      for (std::int64_t r = 0; r < results; ++r) detail::store_tile(to[r], n, out.row_data(job * results + r) + begin);
  });

  if constexpr (fields > 0)
    detail::for_each_small_task(ex, jobs * ranges * columns, 0, ws, [&](std::int64_t i, void*) {
      std::int64_t const column = i % columns, s = i / columns % ranges, job = i / columns / ranges;
      double* const first = sums.data() + ((job * tiles + start[s]) * columns + column) * fields;
      double const pivot = static_cast<double>(segments[s].count > 0 ? pivots[(job * ranges + s) * columns + column] : A(0));
      detail::finish_statistic(loop.what.statistic, first, columns * fields, segments[s].count, pivot, &loop.what.out(job * ranges + s, column * fields));
    });
}

/// Elementwise map over aligned rows, segment by segment, with statistics in the same pass.
///
/// `inputs` is rows_viewable (every output takes all rows) or row_lists. `outputs` has, an output row of the policy, one row (with row lists: one for
/// each list). Elements outside all segments stay untouched. `what` is `measured{...}` or `unmeasured{}`. The policy sees float (double for
/// double); outputs are rounded once to their storage type. An output may be exactly one of its inputs if no other output
/// reads that row. Segments ascend and do not overlap; with a device executor they are in host memory, all else is in the device's.
/// \throws argument_error for shapes that do not fit or segments out of order.
/// \par Determinism Rows join by the ordered tree (a left fold up to 32 rows); statistics are the interleaved tree in double over the
/// segment's own elements. The bits are the same for every executor and thread count.
template <executor E, class P, class X, rows_viewable Y, viewable Segments, class M, detail::call_option... Options>
  requires(!detail::call_option<M>)
void map_fold(E const& ex, P const& policy, X const& inputs, Y const& outputs, Segments const& segments, M const& what, Options&&... options) {
  auto const in = detail::as_map_inputs(inputs);
  auto const out = as_rows_view(outputs);
  auto const ranges = as_const(as_view(segments));
  using A = arithmetic_t<std::remove_cvref_t<decltype(*in.rows.row_data(0))>>;
  using U = std::remove_cvref_t<decltype(*out.row_data(0))>;
  static_assert(element_policy<P, A>, "map_fold needs a policy that is a row_reduction or an element_map for the arithmetic type of the rows");
  static_assert(std::is_same_v<arithmetic_t<U>, A>, "the outputs of map_fold must compute in the type that the inputs compute in");
  constexpr std::int64_t results = detail::output_rows<P, A>();
  check_argument(!in.listed() || in.offsets.size() >= 1, "map_fold", "size of the list offsets", in.offsets.size(), "1 or more");
  if constexpr (element_map<detail::bound_policy_t<P>, A> && host_executor<E>)
    for (std::int64_t j = 0; j < in.jobs(); ++j)
      check_argument(in.count(j) == detail::bound_policy_t<P>::inputs, "map_fold", "number of input rows", in.count(j), "what the policy reads");
  check_argument(out.rows() == in.jobs() * results, "map_fold", "number of output rows", out.rows(), "what the policy writes");
  if (out.rows() > 0 && in.rows.rows() > 0)
    check_argument(out.cols() == in.rows.cols(), "map_fold", "length of the output rows", out.cols(), "the length of the input rows");
  detail::check_segments("map_fold", ranges, out.rows() > 0 ? out.cols() : in.rows.cols());
  if constexpr (detail::measured_fields<M>::value > 0) {
    check_argument(!(what.inputs && in.listed()), "map_fold", "measured.inputs", what.inputs, "false with row lists");
    std::int64_t const columns = (what.inputs ? in.rows.rows() : 0) + (what.outputs ? results : 0);
    check_argument(what.out.rows() == in.jobs() * ranges.size(), "map_fold", "rows of measured.out", what.out.rows(), "output rows times segments");
    check_argument(what.out.cols() == columns * detail::measured_fields<M>::value, "map_fold", "columns of measured.out", what.out.cols(),
                   "fields of the statistic times measured rows");
  }
  detail::call_workspace ws(ex, options...);
  map_fold_loop<P, M> const loop{policy, what};
  static_assert(requires { run_loop(ex, loop, in, out, ranges, ws.get()); },
                "no backend of map_fold for this executor: include <fanfold/kernel/map_fold.hpp> for device executors");
  run_loop(ex, loop, in, out, ranges, ws.get());
}

/// The same without statistics.
template <executor E, class P, class X, rows_viewable Y, viewable Segments, detail::call_option... Options>
void map_fold(E const& ex, P const& policy, X const& inputs, Y const& outputs, Segments const& segments, Options&&... options) {
  map_fold(ex, policy, inputs, outputs, segments, unmeasured{}, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
