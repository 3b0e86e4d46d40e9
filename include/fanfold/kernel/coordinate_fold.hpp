#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_rule.hpp"
#include "fanfold/fold/nonfinite.hpp"
#include "fanfold/fold/order_key.hpp"
#include "fanfold/fold/sorting_network.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/row_table.hpp"
#include "fanfold/kernel/status.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <coordinate_rule R>
struct coordinate_loop;

namespace detail {

/// What both bodies know: the values of coordinate c go in as keys and come out as answers.
template <class R, class T, class Out>
struct coordinate_task {
  using A = arithmetic_t<T>;
  using key = order_key_t<A>;

  R rule;
  device_rows<T const> rows;
  device_rows<Out> out;
  std::int64_t n, d;
  nonfinite nan;
  std::uint32_t* status;

  FANFOLD_HD key most() const { return nan == nonfinite::propagate ? order_key<A>::nan : order_key<A>::infinity; }

  template <class B>
  FANFOLD_HD key load(B& b, std::int64_t i, std::int64_t c) const {
    A const x = to_arithmetic(rows.row_data(i)[c]);
    if (nan == nonfinite::reject && x != x) raise(b, status, data_fault::not_finite);
    return encode_key(x, most());
  }
  /// The values of a coordinate in the order of the rows, NaN as +inf.
  struct values {
    coordinate_task const& task;
    std::int64_t c;

    FANFOLD_HD A operator[](std::int64_t i) const {
      A const x = to_arithmetic(task.rows.row_data(i)[c]);
      return x != x ? math::infinity<A>() : x;
    }
  };
  template <class Column>
  FANFOLD_HD void store(Column const& v, bool ends_with_nan, std::int64_t c) const {
    auto const answer = answer_of(rule, v, values{*this, c});
    using parts = rule_values<std::remove_cvref_t<decltype(answer)>>;
    for (int o = 0; o < parts::count; ++o) {
      A const value = ends_with_nan ? math::quiet_nan<A>() : parts::get(answer, o);
      out.row_data(o)[c] = from_arithmetic<Out>(static_cast<arithmetic_t<Out>>(value));
    }
  }
  FANFOLD_HD bool is_nan(key k) const { return nan == nonfinite::propagate && k == order_key<A>::nan; }
};

/// Sorts N registers; the two largest networks merge smaller ones.
template <int N, class K>
FANFOLD_HD FANFOLD_INLINE void sort_all_registers(K* r) {
  if constexpr (N > 32) {
    sort_registers<32>(r);
    sort_registers<N - 32>(r + 32);
    sort_registers<N, 32>(r);
  } else {
    sort_registers<N>(r);
  }
}

/// Threads of a block that sorts columns of N keys in shared memory.
template <int N, class K>
inline constexpr unsigned column_threads = N * static_cast<int>(sizeof(K)) > 256 ? 64 : 128;

template <int Stride, class K, int... Row>
FANFOLD_HD FANFOLD_INLINE void load_registers(K* r, K const* column, std::integer_sequence<int, Row...>) {
  ((r[Row] = column[Row * Stride]), ...);
}
template <int Stride, class K, int... Row>
FANFOLD_HD FANFOLD_INLINE void store_registers(K const* r, K* column, std::integer_sequence<int, Row...>) {
  ((column[Row * Stride] = r[Row]), ...);
}

/// Sorts the values of rows first, ..., first + N - 1 of coordinate c into the thread's column of shared memory. Up to 48 values come straight
/// into registers. More pass through the column: a compiler unrolls so long a loop of loads on some architectures only and keeps the array in
/// local memory on the others, and unrolled by hand it wants more registers for the addresses than there are.
template <int N, class B, class Task>
FANFOLD_HD FANFOLD_INLINE void sort_into(B& b, Task const& task, std::int64_t first, std::int64_t c, typename Task::key* column) {
  using key = typename Task::key;
  using all = std::make_integer_sequence<int, N>;
  constexpr int stride = column_threads<N, key>;
  constexpr key pad = order_key<typename Task::A>::pad;
  key r[std::size_t{N}];
  if constexpr (N * sizeof(key) <= 192) {
    for (int i = 0; i < N; ++i) r[i] = first + i < task.n ? task.load(b, first + i, c) : pad;
  } else {
    for (int i = 0; i < N; ++i) column[i * stride] = first + i < task.n ? task.load(b, first + i, c) : pad;
    load_registers<stride>(r, column, all{});
  }
  sort_all_registers<N>(r);
  store_registers<stride>(r, column, all{});
}

/// A thread sorts a coordinate of up to N rows in registers; the sorted keys go to a column of shared memory, where rules may index them.
template <int N, class Task>
struct coordinate_body {
  using key = typename Task::key;
  static constexpr unsigned max_threads = column_threads<N, key>;

  struct shared {
    checked_array<key, std::size_t{N} * max_threads> column;
  };

  Task task;

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s) const {
    auto const n = static_cast<int>(task.n);
    key* const column = s.column.data() + b.thread();
    for (std::int64_t c = grid_thread(b); c < task.d; c += grid_threads(b)) {
      sort_into<N>(b, task, 0, c, column);
      task.store(sorted_values<typename Task::A, true>(column, max_threads, n), task.is_nan(column[(n - 1) * static_cast<int>(max_threads)]), c);
    }
  }
};

/// More than 64 rows: blocks of 64 by networks, merged in a column of workspace memory.
template <class Task>
struct long_coordinate_body {
  using key = typename Task::key;
  static constexpr int run = most_network_rows;
  static constexpr unsigned max_threads = column_threads<run, key>;

  struct shared {
    checked_array<key, std::size_t{run} * max_threads> column;
  };

  Task task;
  key* memory;  // padded rows x threads of the grid

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s) const {
    std::int64_t const stride = grid_threads(b);
    key* const sorted = s.column.data() + b.thread();
    key* const column = memory + grid_thread(b);
    for (std::int64_t c = grid_thread(b); c < task.d; c += stride) {
      for (std::int64_t first = 0; first < task.n; first += run) {
        sort_into<run>(b, task, first, c, sorted);
        for (int i = 0; i < run; ++i) column[(first + i) * stride] = sorted[i * static_cast<int>(max_threads)];
      }
      merge_runs_in_memory<key>(column, stride, task.n);
      task.store(sorted_values<typename Task::A>(column, stride, task.n), task.is_nan(column[(task.n - 1) * stride]), c);
    }
  }
};

template <class Out>
struct no_rows_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, device_rows<Out> out, std::int64_t outputs, std::int64_t d) const {
    for (std::int64_t i = grid_thread(b); i < outputs * d; i += grid_threads(b))
      out.row_data(i / d)[i % d] = from_arithmetic<Out>(math::quiet_nan<arithmetic_t<Out>>());
  }
};

template <int N, class E, class Task>
void launch_coordinates(E const& ex, Task const& task) {
  using body = coordinate_body<N, Task>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{task}, blocks_for(ex, task.d, threads, threads), threads);
}

template <class E, class Task>
void launch_network(E const& ex, Task const& task) {
  switch (padded_rows(task.n)) {
    case 4: return launch_coordinates<4>(ex, task);
    case 8: return launch_coordinates<8>(ex, task);
    case 12: return launch_coordinates<12>(ex, task);
    case 16: return launch_coordinates<16>(ex, task);
    case 20: return launch_coordinates<20>(ex, task);
    case 24: return launch_coordinates<24>(ex, task);
    case 32: return launch_coordinates<32>(ex, task);
    case 48: return launch_coordinates<48>(ex, task);
    default: return launch_coordinates<64>(ex, task);
  }
}

/// Keys that the long form keeps in the workspace at most: the grid is cut to fit.
inline constexpr std::int64_t long_coordinate_keys = std::int64_t{1} << 24;

}  // namespace detail

/// Bytes that the device form of E8 reads and writes for n rows of d elements and `outputs` answers a coordinate: the least there is up to 64
/// rows. Above, the keys of a column are written and sorted in the caches besides.
template <class T, class Out>
constexpr std::int64_t coordinate_fold_traffic(std::int64_t n, std::int64_t d, std::int64_t outputs) {
  return n * d * static_cast<std::int64_t>(sizeof(T)) + outputs * d * static_cast<std::int64_t>(sizeof(Out));
}

/// Device form of E8: one launch, a thread a coordinate (and one to bring a table of row pointers over).
template <device_executor E, coordinate_rule R, class T, class Out>
void run_loop(E const& ex, coordinate_loop<R> const& loop, rows_view<T const> const& rows, rows_view<Out> const& out, workspace& ws) {
  std::int64_t const d = rows.cols();
  if (d == 0) return;
  workspace::frame frame(ws);
  device_rows<Out> const to = to_device_rows(ex, out, frame);
  if (rows.rows() == 0) {
    using body = detail::no_rows_body<Out>;
    unsigned const threads = threads_for<body>(ex);
    return ex.launch(body{}, blocks_for(ex, out.rows() * d, threads, threads), threads, to, out.rows(), d);
  }
  using task_type = detail::coordinate_task<R, T, Out>;
  task_type const task{loop.rule, to_device_rows(ex, rows, frame), to, rows.rows(), d, loop.nan, ex.status()};
  if (rows.rows() <= most_network_rows) return detail::launch_network(ex, task);

  using body = detail::long_coordinate_body<task_type>;
  unsigned const threads = threads_for<body>(ex);
  std::int64_t const padded = padded_rows(rows.rows()), most = detail::long_coordinate_keys / (padded * threads);
  std::int64_t blocks = blocks_for(ex, d, threads, threads);
  blocks = blocks < most ? blocks : most < 1 ? 1 : most;
  auto const memory = frame.take<typename task_type::key>(padded * blocks * threads);
  ex.launch(body{task, memory.data()}, blocks, threads);
}

}  // namespace fanfold::inline FANFOLD_ABI
