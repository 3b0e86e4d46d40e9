#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/element_policy.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/statistic.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A contiguous range of elements of aligned rows: one tensor of a flat parameter vector, or a part of one.
struct element_range {
  std::int64_t offset = 0;
  std::int64_t count = 0;
};

/// Anything with an offset and a count of elements.
template <class R>
concept element_segment = requires(R const& r) {
  { r.offset } -> std::convertible_to<std::int64_t>;
  { r.count } -> std::convertible_to<std::int64_t>;
};

/// Several output rows, each from rows of its own: output row i reads rows `ids[offsets[i] .. offsets[i+1])`, in that order.
template <class T>
struct row_lists {
  rows_view<T> rows{};
  view<std::int64_t const> offsets{};
  view<std::int32_t const> ids{};
};

/// What a map_fold measures in the same pass: a statistic of the inputs (not with row lists) and of the outputs before they are rounded
/// to the storage type. `out` has one row a pair (output row, segment), segments fastest, and `fields` columns a measured row: inputs first.
template <element_statistic S>
struct measured {
  S statistic{};
  bool inputs = true;
  bool outputs = true;
  matrix_view<double> out{};
};

/// No statistic.
struct unmeasured {};

namespace detail {

/// Plain numbers and pointers of one call, common to all backends.
template <class T>
struct map_inputs {
  rows_view<T const> rows{};
  view<std::int64_t const> offsets{};  // empty: every output takes all rows
  view<std::int32_t const> ids{};

  bool listed() const { return offsets.data() != nullptr; }
  std::int64_t jobs() const { return listed() ? offsets.size() - 1 : 1; }
  std::int64_t first(std::int64_t job) const { return listed() ? offsets[job] : 0; }
  std::int64_t count(std::int64_t job) const { return listed() ? offsets[job + 1] - offsets[job] : rows.rows(); }
  std::int64_t most() const {
    std::int64_t most = 0;
    for (std::int64_t j = 0; j < jobs(); ++j) most = most < count(j) ? count(j) : most;
    return most;
  }
  void table(std::int64_t job, T const** to) const {
    std::int64_t const n = count(job), begin = first(job);
    for (std::int64_t k = 0; k < n; ++k) to[k] = rows.row_data(listed() ? ids[begin + k] : k);
  }
};

template <class>
inline constexpr bool is_row_lists = false;
template <class T>
inline constexpr bool is_row_lists<row_lists<T>> = true;

template <class X>
constexpr auto as_map_inputs(X const& x) {
  if constexpr (is_row_lists<X>) {
    using element = std::remove_const_t<typename decltype(x.rows)::element_type>;
    return map_inputs<element>{as_const(x.rows), x.offsets, x.ids};
  } else {
    auto const rows = as_const(as_rows_view(x));
    return map_inputs<std::remove_const_t<typename decltype(rows)::element_type>>{rows, {}, {}};
  }
}

inline constexpr std::int64_t map_lanes = 64;  // elements that a leaf loop holds in registers or the nearest cache

// The left fold of rows [first, last) into `acc`, for up to map_lanes elements; `Full` makes the trip count a constant.
template <bool Full, class F, class T, class S>
FANFOLD_INLINE void reduce_run(F const& f, T const* const* rows, std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t n,
                               S* FANFOLD_RESTRICT acc) {
  std::int64_t const lanes = Full ? map_lanes : n;
  T const* row = rows[first] + begin;
  for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.lift(first, to_arithmetic(row[j]), begin + j);
  for (std::int64_t k = first + 1; k < last; ++k) {
    row = rows[k] + begin;
    for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.combine(acc[j], f.lift(k, to_arithmetic(row[j]), begin + j));
  }
}

// More than one run: the adjacent-pair tree over the runs, one partial result a level.
template <bool Full, class F, class T, class S>
FANFOLD_INLINE void reduce_tree(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, S* FANFOLD_RESTRICT acc) {
  std::int64_t const lanes = Full ? map_lanes : n;
  S level[27][map_lanes];  // 2^31 rows
  std::int64_t const runs = divide_up(count, run_items);
  auto const join = [&](int l) {
    for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.combine(level[l][j], acc[j]);
  };
  for (std::int64_t r = 0; r < runs; ++r) {
    std::int64_t const last = (r + 1) * run_items;
    reduce_run<Full>(f, rows, r * run_items, last < count ? last : count, begin, n, acc);
    int l = 0;
    for (std::int64_t m = r; m & 1; m >>= 1) join(l++);
    if (r + 1 < runs)
      for (std::int64_t j = 0; j < lanes; ++j) level[l][j] = acc[j];
    else
      for (std::int64_t m = r >> (l++); (m >>= 1) != 0; ++l)
        if (m & 1) join(l);
  }
}

template <bool Full, class F, class T, class A>
FANFOLD_INLINE void reduce_lanes(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, A* to) {
  typename F::state acc[map_lanes];
  if (count <= run_items)
    reduce_run<Full>(f, rows, 0, count, begin, n, acc);
  else
    reduce_tree<Full>(f, rows, count, begin, n, acc);
  for (std::int64_t j = 0; j < (Full ? map_lanes : n); ++j) to[j] = f.lower(acc[j]);
}

template <bool Full, class F, class T, class A>
FANFOLD_INLINE void map_lanes_of(F const& f, T const* const* rows, std::int64_t begin, std::int64_t n, std::int64_t at, A* const* to) {
  constexpr int inputs = F::inputs, outputs = F::outputs;
  std::int64_t const lanes = Full ? map_lanes : n;
  A x[std::size_t{inputs + 1}][map_lanes], y[std::size_t{outputs + 1}][map_lanes];  // all is read before anything is written: a row may be updated in place
  for (int k = 0; k < inputs; ++k)
    for (std::int64_t j = 0; j < lanes; ++j) x[k][j] = to_arithmetic(rows[k][begin + j]);
  for (std::int64_t j = 0; j < lanes; ++j) {
    A in[std::size_t{inputs + 1}], out[std::size_t{outputs + 1}];
    for (int k = 0; k < inputs; ++k) in[k] = x[k][j];
    f(begin + j, in, out);
    for (int r = 0; r < outputs; ++r) y[r][j] = out[r];
  }
  for (int r = 0; r < outputs; ++r)
    for (std::int64_t j = 0; j < lanes; ++j) to[r][at + j] = y[r][j];
}

/// Leaf: elements [begin, begin + n) of every output row, before rounding to the storage type.
template <class F, class T, class A>
FANFOLD_NOINLINE void map_tile(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, A* const* to) {
  std::int64_t i = 0;
  if constexpr (element_map<F, A>) {
    for (; i + map_lanes <= n; i += map_lanes) map_lanes_of<true>(f, rows, begin + i, map_lanes, i, to);
    if (i < n) map_lanes_of<false>(f, rows, begin + i, n - i, i, to);
  } else if (count == 0) {
    for (; i < n; ++i) to[0][i] = A(0);
  } else {
    for (; i + map_lanes <= n; i += map_lanes) reduce_lanes<true>(f, rows, count, begin + i, map_lanes, to[0] + i);
    if (i < n) reduce_lanes<false>(f, rows, count, begin + i, n - i, to[0] + i);
  }
}

template <class A, class T>
bool writes_over_inputs(A* const* to, std::int64_t outputs, T const* const* rows, std::int64_t count, std::int64_t begin) {
  for (std::int64_t r = 0; r < outputs; ++r)
    for (std::int64_t k = 0; k < count; ++k)
      if (static_cast<void const*>(to[r]) == static_cast<void const*>(rows[k] + begin)) return true;
  return false;
}

template <class A, class U>
FANFOLD_NOINLINE void store_tile(A const* FANFOLD_RESTRICT from, std::int64_t n, U* FANFOLD_RESTRICT to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = from_arithmetic<U>(from[i]);
}

/// Tiles of all segments, numbered through: tile t belongs to the last segment s with start[s] <= t.
template <class R>
void number_tiles(view<R const> segments, view<std::int64_t> start) {
  start[0] = 0;
  for (std::int64_t s = 0; s < segments.size(); ++s) start[s + 1] = start[s] + divide_up(static_cast<std::int64_t>(segments[s].count), tile_items);
}
inline std::int64_t segment_of_tile(view<std::int64_t const> start, std::int64_t tile) {
  std::int64_t low = 0, high = start.size() - 1;
  while (high - low > 1) {
    std::int64_t const middle = low + (high - low) / 2;
    (start[middle] <= tile ? low : high) = middle;
  }
  return low;
}

template <class R>
void check_segments(char const* function, view<R const> segments, std::int64_t elements) {
  std::int64_t end = 0;
  for (std::int64_t s = 0; s < segments.size(); ++s) {
    auto const offset = static_cast<std::int64_t>(segments[s].offset), count = static_cast<std::int64_t>(segments[s].count);
    check_argument(offset >= end, function, "offset of a segment", offset, "at or after the end of the segment before it");
    check_argument(count >= 0 && count <= elements - offset, function, "count of a segment", count, "0 or more and within the rows");
    end = offset + count;
  }
}

// Tasks of less than a microsecond or so: a few are not worth a parallel region.
template <host_executor E, class F>
void for_each_small_task(E const& ex, std::int64_t tasks, std::size_t scratch_bytes, workspace& ws, F&& f) {
  if (tasks < 64)
    for_each_task(serial, tasks, scratch_bytes, ws, f);
  else
    for_each_task(ex, tasks, scratch_bytes, ws, f);
}

template <class M>
struct measured_fields {
  static constexpr int value = 0;
};
template <class S>
struct measured_fields<measured<S>> {
  static constexpr int value = S::fields;
};

}  // namespace detail

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
  run_loop(ex, map_fold_loop<P, M>{policy, what}, in, out, ranges, ws.get());
}

/// The same without statistics.
template <executor E, class P, class X, rows_viewable Y, viewable Segments, detail::call_option... Options>
void map_fold(E const& ex, P const& policy, X const& inputs, Y const& outputs, Segments const& segments, Options&&... options) {
  map_fold(ex, policy, inputs, outputs, segments, unmeasured{}, options...);
}

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
  run_loop(ex, measure_loop<S>{statistic}, in, ranges, out, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI
