#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/element_policy.hpp"
#include "fanfold/fold/map_inputs.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/measure.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/row_table.hpp"
#include "fanfold/kernel/segment_table.hpp"
#include "fanfold/kernel/status.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <class P, class M>
struct map_fold_loop;

namespace detail {

/// The adjacent-pair tree over runs of rows, its levels in registers, for N elements side by side.
template <int N, int Levels, class F>
class register_run_tree {
 public:
  using state = typename F::state;

  FANFOLD_HD void push(F const& f, state (&s)[std::size_t{N}], std::uint32_t index) {
    bool carry = true;
    for (int l = 0; l < Levels; ++l) {
      if (!carry) continue;
      if ((index >> l & 1) != 0) {
        for (int e = 0; e < N; ++e) s[e] = f.combine(level_[l][e], s[e]);
      } else {
        for (int e = 0; e < N; ++e) level_[l][e] = s[e];
        carry = false;
      }
    }
  }
  /// Of `count` pushed states, at least one.
  FANFOLD_HD void root(F const& f, state (&s)[std::size_t{N}], std::uint32_t count) const {
    bool started = false;
    for (int l = 0; l < Levels; ++l) {
      if ((count >> l & 1) == 0) continue;
      for (int e = 0; e < N; ++e) s[e] = started ? f.combine(level_[l][e], s[e]) : level_[l][e];
      started = true;
    }
  }

 private:
  state level_[std::size_t{Levels}][std::size_t{N}]{};
};

/// Kernels of three kinds, so that few rows need few registers: one run, up to 2,048 rows, and any number.
inline constexpr int few_levels = 7, all_levels = 27;
FANFOLD_HD constexpr std::int64_t most_rows(int levels) { return run_items << levels >> (levels > 0 ? 1 : 0); }

/// One output's input rows.
template <class T>
struct map_sources {
  std::int32_t const* ids = nullptr;  // null: rows 0, 1, ...
  std::int64_t count = 0;
};

/// What all bodies of map_fold know.
template <class P, class T, class U>
struct map_task {
  using A = arithmetic_t<T>;
  using F = bound_policy_t<P>;
  static constexpr int outputs = static_cast<int>(output_rows<P, A>());
  P policy;
  device_rows<T const> rows;
  view<std::int64_t const> offsets;  // empty: every output takes all rows
  view<std::int32_t const> ids;
  device_rows<U> out;
  std::int64_t jobs;
  bool aligned;
  std::uint32_t* status;

  FANFOLD_HD F bind(std::int64_t job, std::int64_t segment) const {
    return bind_policy(policy, {job, offsets.data() == nullptr ? 0 : offsets.data()[job], segment});
  }

  /// The rows of an output. What is wrong with a list is noted, and it is treated as empty.
  template <class B>
  FANFOLD_HD map_sources<T> sources(B& b, std::int64_t job) const {
    if (offsets.data() == nullptr) return {nullptr, rows.rows()};
    std::int64_t const begin = offsets.data()[job], end = offsets.data()[job + 1];
    if (begin >= 0 && begin <= end && end <= ids.size()) return {in_device_memory(ids.data() + begin), rows.rows() == 0 ? 0 : end - begin};
    raise(b, status, data_fault::offsets_not_ascending);
    return {};
  }
  /// Row k of an output. An id out of range is noted and read as 0, so that nothing foreign is touched.
  template <class B>
  FANFOLD_HD T const* row(B& b, map_sources<T> const& from, std::int64_t k) const {
    std::int64_t id = k;
    if (from.ids != nullptr) {
      id = in_device_memory(from.ids)[k];
      if (id < 0 || id >= rows.rows()) {
        raise(b, status, data_fault::id_out_of_range);
        id = 0;
      }
    }
    return in_device_memory(rows.row_data(id));
  }

  /// The index that a policy sees: one of the segment's, for policies may look something up by it.
  FANFOLD_HD static std::int64_t element(std::int64_t column, int e, int low, int high) { return column + (e < low ? low : e >= high ? high - 1 : e); }

  /// Whether the policy can take these rows.
  FANFOLD_HD static bool knows(map_sources<T> const& from) {
    if constexpr (element_map<F, A>)
      return from.count == F::inputs;
    else
      return true;
  }

  /// Elements [column, column + N) of all outputs, before rounding; of those outside [low, high) anything.
  template <int N, int Levels, class B>
  FANFOLD_HD void compute(B& b, F const& f, map_sources<T> const& from, std::int64_t column, bool packs, int low, int high,
                          A (&y)[std::size_t{outputs + 1}][std::size_t{N}]) const {
    if constexpr (element_map<F, A>) {
      constexpr int inputs = F::inputs;
      A x[std::size_t{inputs + 1}][std::size_t{N}];  // all is read before anything is written: a row may be updated in place
      for (int k = 0; k < inputs; ++k) load_elements<N>(row(b, from, k) + column, packs, low, high, x[k]);
      for (int e = 0; e < N; ++e) {
        A in[std::size_t{inputs + 1}], result[std::size_t{outputs + 1}];
        for (int k = 0; k < inputs; ++k) in[k] = x[k][e];
        f(element(column, e, low, high), in, result);
        for (int r = 0; r < outputs; ++r) y[r][e] = result[r];
      }
    } else {
      for (int e = 0; e < N; ++e) y[0][e] = A(0);
      if (from.count > 0) reduce<N, Levels>(b, f, from, column, packs, low, high, y[0]);
    }
  }

  template <int N, int Levels, class B>
  FANFOLD_HD void reduce(B& b, F const& f, map_sources<T> const& from, std::int64_t column, bool packs, int low, int high, A (&y)[std::size_t{N}]) const {
    if constexpr (Levels > few_levels && N > 1) {  // one after the other, for the sake of registers
#if FANFOLD_ON_DEVICE
#pragma unroll 1
#endif
      for (int e = low; e < high; ++e) {
        A one[1];
        reduce<1, Levels>(b, f, from, column + e, false, 0, 1, one);
#if FANFOLD_ON_DEVICE
#pragma unroll
#endif
        for (int i = 0; i < N; ++i)  // not y[e], which would put y in local memory
          if (i == e) y[i] = one[0];
      }
      return;
    }
    typename F::state s[std::size_t{N}];
    if (Levels == 0 || from.count <= run_items) {
      reduce_run<N>(b, f, from, 0, from.count, column, packs, low, high, s);
    } else if constexpr (Levels > 0) {
      register_run_tree<N, Levels, F> tree;
      std::uint32_t runs = 0;
      for (std::int64_t first = 0; first < from.count; first += run_items, ++runs) {
        std::int64_t const last = first + run_items < from.count ? first + run_items : from.count;
        reduce_run<N>(b, f, from, first, last, column, packs, low, high, s);
        tree.push(f, s, runs);
      }
      tree.root(f, s, runs);
    }
    for (int e = 0; e < N; ++e) y[e] = f.lower(s[e]);
  }

  template <int N, class B, class State>
  FANFOLD_HD void reduce_run(B& b, F const& f, map_sources<T> const& from, std::int64_t first, std::int64_t last, std::int64_t column, bool packs, int low,
                             int high, State (&s)[std::size_t{N}]) const {
    A x[std::size_t{N}];
    load_elements<N>(row(b, from, first) + column, packs, low, high, x);
    for (int e = 0; e < N; ++e) s[e] = f.lift(first, x[e], element(column, e, low, high));
    for (std::int64_t k = first + 1; k < last; ++k) {
      load_elements<N>(row(b, from, k) + column, packs, low, high, x);
      for (int e = 0; e < N; ++e) s[e] = f.combine(s[e], f.lift(k, x[e], element(column, e, low, high)));
    }
  }

  template <int N>
  FANFOLD_HD void store(std::int64_t job, std::int64_t column, bool packs, int low, int high, A const (&y)[std::size_t{outputs + 1}][std::size_t{N}]) const {
    for (int r = 0; r < outputs; ++r) store_elements<N>(in_device_memory(out.row_data(job * outputs + r)) + column, packs, low, high, y[r]);
  }

  /// Whether an output with these rows is the business of this launch.
  template <int Levels, class B>
  FANFOLD_HD bool takes(B& b, map_sources<T> const& from) const {
    if constexpr (element_map<F, A>) {
      if (knows(from)) return true;
      raise(b, status, data_fault::other);
      return false;
    } else {
      return from.count <= most_rows(Levels) && (Levels == 0 || from.count > most_rows(Levels == few_levels ? 0 : few_levels));
    }
  }
};

/// Without statistics: a warp takes 32 packs of N neighbouring elements of an output, of which the first starts at a multiple of N.
template <int N, int Levels, class Task>
struct map_units_body {
  static constexpr unsigned max_threads = 128;

  Task task;
  device_segments segments;

  template <block B>
  FANFOLD_HD void operator()(B& b) const {
    for (std::int64_t w = grid_warp(b); w < task.jobs * segments.units; w += grid_warps(b)) {
      std::int64_t const unit = w / task.jobs, job = w % task.jobs;  // outputs that share rows take the same elements at about the same time
      auto const from = task.sources(b, job);
      if (!task.template takes<Levels>(b, from)) continue;
      std::int64_t const s = segments.owner(unit);
      device_segment const segment = segments.item[s];
      std::int64_t const end = segment.offset + segment.count;
      std::int64_t const column = segment.offset / N * N + ((unit - segment.first) * 32 + lane_of(b)) * N;
      if (column >= end) continue;
      int const low = column < segment.offset ? static_cast<int>(segment.offset - column) : 0;
      int const high = end - column < N ? static_cast<int>(end - column) : N;
      typename Task::A y[std::size_t{Task::outputs + 1}][std::size_t{N}];
      task.template compute<N, Levels>(b, task.bind(job, s), from, column, task.aligned, low, high, y);
      task.template store<N>(job, column, task.aligned, low, high, y);
    }
  }
};

/// With statistics of the outputs: half a warp takes a tile of a segment of an output.
template <class S, int Levels, class Task>
struct map_tiles_body {
  using A = typename Task::A;
  static constexpr unsigned max_threads = 128;
  static constexpr int outputs = Task::outputs;

  S statistic;
  Task task;
  device_segments segments;
  std::int64_t columns, inputs_measured;

  template <block B>
  FANFOLD_HD void operator()(B& b, A const* pivots, statistic_sums<S>* sums) const {
    unsigned const half = lane_of(b) / 16;
    for (std::int64_t w = grid_warp(b); 2 * w < task.jobs * segments.units; w += grid_warps(b)) {
      half_warp_tile at = half_warp_tile::of(2 * w + half, task.jobs, segments);
      auto const from = task.sources(b, at.row);
      if (!task.template takes<Levels>(b, from)) at.n = 0;
      lane_quad<S> mine[std::size_t{outputs + 1}];
      for (int r = 0; r < outputs; ++r) mine[r] = lane_quad<S>::none();
      if (at.n > 0) map(b, at, from, pivots, mine);
      for (int r = 0; r < outputs; ++r) {
        statistic_sums<S> const total = halve_quad(b, mine[r], at.n);
        if (at.n > 0 && lane_of(b) % 16 == 0) sums[(at.row * columns + inputs_measured + r) * segments.units + at.tile] = total;
      }
    }
  }

 private:
  template <class B, class Sources>
  FANFOLD_HD void map(B& b, half_warp_tile const& at, Sources const& from, A const* pivots, lane_quad<S> (&mine)[std::size_t{outputs + 1}]) const {
    auto const f = task.bind(at.row, at.segment);
    A const* const pivot = pivots + (at.row * segments.count + at.segment) * columns + inputs_measured;
    bool const packs = task.aligned && at.packs;
    std::int64_t const first = 4 * static_cast<std::int64_t>(lane_of(b) % 16);
    for (std::int64_t c = first; c < at.n; c += tile_lanes) {
      int const high = at.n - c < 4 ? static_cast<int>(at.n - c) : 4;
      A y[std::size_t{outputs + 1}][4];
      task.template compute<4, Levels>(b, f, from, at.begin + c, packs, 0, high, y);
      task.template store<4>(at.row, at.begin + c, packs, 0, high, y);
      for (int r = 0; r < outputs; ++r) mine[r].absorb(statistic, y[r], pivot[r], high, c == first);
    }
  }
};

/// The first elements of the outputs' segments, about which statistics are taken; before anything is written, for an output may be an input.
template <class Task>
struct map_pivots_body {
  using A = typename Task::A;
  static constexpr unsigned max_threads = 128;

  Task task;
  device_segments segments;
  std::int64_t columns, inputs_measured;

  template <block B>
  FANFOLD_HD void operator()(B& b, A* pivots) const {
    for (std::int64_t i = grid_thread(b); i < task.jobs * segments.count; i += grid_threads(b)) {
      std::int64_t const job = i / segments.count, s = i % segments.count;
      auto const from = task.sources(b, job);
      if (segments.item[s].count == 0 || !task.knows(from)) continue;
      A y[std::size_t{Task::outputs + 1}][1];
      task.template compute<1, all_levels>(b, task.bind(job, s), from, segments.item[s].offset, false, 0, 1, y);
      for (int r = 0; r < Task::outputs; ++r) pivots[i * columns + inputs_measured + r] = y[r][0];
    }
  }
};

/// Elements that a thread takes at a time: 16 bytes of the inputs, less where states are large or many.
template <class F, class T, int Levels>
constexpr int map_elements() {
  if constexpr (Levels == all_levels) return 1;
  int n = widest_pack<T>;
  if constexpr (requires { typename F::state; })
    while (n > 1 && n * static_cast<int>(sizeof(typename F::state)) > (Levels == 0 ? 32 : 16)) n /= 2;
  return n;
}

template <int N, int Levels, class E, class Task, class R>
void launch_units(E const& ex, Task const& task, view<R const> segments, workspace::frame& frame) {
  using body = map_units_body<N, Levels, Task>;
  device_segments const units = to_device_segments(ex, segments, 32 * N, N, frame);
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{task, units}, blocks_for(ex, task.jobs * units.units, threads / 32, threads, 16), threads);
}

template <int Levels, class E, class S, class Task>
void launch_tiles(E const& ex, S const& statistic, Task const& task, device_segments const& segments, std::int64_t columns, std::int64_t inputs_measured,
                  typename Task::A const* pivots, statistic_sums<S>* sums) {
  using body = map_tiles_body<S, Levels, Task>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{statistic, task, segments, columns, inputs_measured}, blocks_for(ex, task.jobs * segments.units, threads / 16, threads, 16), threads,
            pivots, sums);
}

/// Calls `launch.template operator()<Levels>()` for each kind of kernel that some output may need. Lists are in device memory, so of them only a
/// bound is known: a launch passes over those that are not its business.
template <class Task, class T, class F>
void for_each_kind(map_inputs<T> const& in, F const& launch) {
  if constexpr (element_map<typename Task::F, typename Task::A>) {
    launch.template operator()<0>();
  } else {
    std::int64_t const most = in.listed() ? in.ids.size() : in.rows.rows();
    if (in.listed() || most <= most_rows(0)) launch.template operator()<0>();
    if (most > most_rows(0) && (in.listed() || most <= most_rows(few_levels))) launch.template operator()<few_levels>();
    if (most > most_rows(few_levels)) launch.template operator()<all_levels>();
  }
}

template <class E, class P, class T, class U, class R>
void map_only(E const& ex, map_task<P, T, U> const& task, map_inputs<T> const& in, view<R const> segments, workspace::frame& frame) {
  for_each_kind<map_task<P, T, U>>(in, [&]<int Levels>() {
    constexpr int N = map_elements<bound_policy_t<P>, T, Levels>();
    if (task.aligned)
      launch_units<N, Levels>(ex, task, segments, frame);
    else
      launch_units<1, Levels>(ex, task, segments, frame);
  });
}

template <class E, class P, class S, class T, class U, class R>
void map_and_measure(E const& ex, map_task<P, T, U> const& task, measured<S> const& what, map_inputs<T> const& in, view<R const> segments,
                     workspace::frame& frame) {
  using A = arithmetic_t<T>;
  std::int64_t const inputs = what.inputs && !in.listed() ? in.rows.rows() : 0, outputs = what.outputs ? map_task<P, T, U>::outputs : 0, columns = inputs + outputs;
  device_segments const tiles = to_device_segments(ex, segments, tile_items, 1, frame);
  auto* const sums = frame.take<statistic_sums<S>>(in.jobs() * columns * tiles.units).data();
  auto* const pivots = frame.take<A>(in.jobs() * columns * tiles.count).data();
  if (inputs > 0) {  // before any output is written, for an output may be one of them
    using body = row_pivots_body<T>;
    unsigned const threads = threads_for<body>(ex);
    ex.launch(body{}, blocks_for(ex, inputs * tiles.count, threads, threads), threads, task.rows, tiles, inputs, pivots, columns);
    launch_measure(ex, what.statistic, task.rows, tiles, rows_are_aligned<4>(in.rows), sums);
  }
  if (outputs > 0) {
    using body = map_pivots_body<map_task<P, T, U>>;
    unsigned const threads = threads_for<body>(ex);
    ex.launch(body{task, tiles, columns, inputs}, blocks_for(ex, in.jobs() * tiles.count, threads, threads), threads, pivots);
    for_each_kind<map_task<P, T, U>>(in, [&]<int Levels>() { launch_tiles<Levels>(ex, what.statistic, task, tiles, columns, inputs, pivots, sums); });
  } else {
    map_only(ex, task, in, segments, frame);
  }
  launch_finish(ex, what.statistic, tiles, columns, sums, static_cast<A const*>(pivots), what.out);
}

}  // namespace detail

/// Bytes that the device form of E12 reads and writes for outputs that read `entries` rows of `elements` elements in all: the least there is.
/// Outputs that share rows find them in the caches, so that memory sees less. Measured inputs are read once more, and a statistic writes and
/// reads a few doubles a tile of 2,048 elements.
template <class T, class U>
constexpr std::int64_t map_fold_traffic(std::int64_t entries, std::int64_t outputs, std::int64_t elements, std::int64_t measured_inputs = 0) {
  return elements * ((entries + measured_inputs) * static_cast<std::int64_t>(sizeof(T)) + outputs * static_cast<std::int64_t>(sizeof(U)));
}

/// Device form of E12: one launch (and one each to bring tables of rows and segments over; with lists, one for each length of lists that there may be). With statistics: one for the inputs, one for what they are
/// about, one that maps and sums, one that finishes.
template <device_executor E, class P, class M, class T, class U, class R>
void run_loop(E const& ex, map_fold_loop<P, M> const& loop, detail::map_inputs<T> in, rows_view<U> out, view<R const> segments, workspace& ws) {
  using task_type = detail::map_task<P, T, U>;
  workspace::frame frame(ws);
  constexpr int alone = detail::map_elements<detail::bound_policy_t<P>, T, 0>(), N = alone < 4 ? 4 : alone;
  bool const aligned = detail::rows_are_aligned<N>(in.rows) && detail::rows_are_aligned<N>(out);
  task_type const task{loop.policy, to_device_rows(ex, in.rows, frame), in.offsets, in.ids, to_device_rows(ex, out, frame), in.jobs(), aligned, ex.status()};
  if constexpr (detail::measured_fields<M>::value > 0)
    detail::map_and_measure(ex, task, loop.what, in, segments, frame);
  else
    detail::map_only(ex, task, in, segments, frame);
}

}  // namespace fanfold::inline FANFOLD_ABI
