#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `scatter_fold` under `order::reproducible`: items go to their segments' states as they come.
template <aggregator A, class Empty>
struct scatter_loop {
  A aggregator{};
  Empty empty{};
};

namespace detail {

/// Rows [begin, end) into `table`, one state a segment and column. `seen[s]` becomes 1 for segments that are named.
template <class A, class T>
FANFOLD_NOINLINE void scatter_rows(A const& a, std::int32_t const* index, matrix_view<T const> x, std::int64_t begin, std::int64_t end,
                                   typename A::state* table, std::uint8_t* seen) {
  std::int64_t const columns = x.cols(), row_bytes = columns * static_cast<std::int64_t>(sizeof(typename A::state));
  std::int64_t const fetched = row_bytes < 1024 ? row_bytes : 1024;
  std::int64_t const ahead = row_bytes < 128 ? 16 : 4;  // states of rows to come are on their way from memory meanwhile
  for (std::int64_t i = begin; i < end; ++i) {
    if (i + ahead < end && index[i + ahead] >= 0) {
      auto const* const next = reinterpret_cast<char const*>(table + index[i + ahead] * columns);
      for (std::int64_t line = 0; line < fetched; line += 64) __builtin_prefetch(next + line, 1);
    }
    std::int64_t const s = index[i];
    if (s < 0) continue;
    seen[s] = 1;
    T const* const row = x.data() + i * x.stride();
    typename A::state* const cell = table + s * columns;
    for (std::int64_t c = 0; c < columns; ++c) absorb_item(a, cell[c], load_item<typename A::input>(row[c]));
  }
}

/// Answers of segments [begin, end) from `tables` tables of `segments` each.
template <class A, class Empty, class Out>
FANFOLD_NOINLINE void merge_tables(scatter_loop<A, Empty> const& loop, typename A::state* table, std::uint8_t const* seen, std::int64_t tables,
                                   std::int64_t begin, std::int64_t end, matrix_view<Out> out) {
  A const& a = loop.aggregator;
  std::int64_t const columns = out.cols(), segments = out.rows();
  columnwise<A> const rows{a};
  for (std::int64_t s = begin; s < end; ++s) {
    bool named = false;
    for (std::int64_t t = 0; t < tables; ++t) named |= seen[t * segments + s] != 0;
    Out* const row = out.data() + s * out.stride();
    if (!named) {
      store_empty_row(rows, loop.empty, row, columns);
      continue;
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      typename A::state sum = table[s * columns + c];
      for (std::int64_t t = 1; t < tables; ++t) sum = a.combine(sum, table[(t * segments + s) * columns + c]);
      row[c] = store_item<Out>(a.lower(sum));
    }
  }
}

}  // namespace detail

/// Host form of the reproducible scatter: private tables for parts of the rows where there are many rows a segment, then their sum.
template <host_executor E, class A, class Empty, class T, class Out>
  requires std::is_trivially_copyable_v<typename A::state>
void run_loop(E const& ex, scatter_loop<A, Empty> const& loop, view<std::int32_t const> index, matrix_view<T const> x, matrix_view<Out> out,
              order::reproducible_t, workspace& ws) {
  using state = typename A::state;
  std::int64_t const segments = out.rows(), cells = segments * out.cols(), rows = x.rows();
  key_sequence const keys{index};
  if (!detail::keys_in_range(keys.run(0), 0, rows, static_cast<std::uint32_t>(segments))) detail::throw_bad_key(keys, segments);
  std::int64_t const fitting = rows / (4 * segments + 1), most = ex.concurrency() == 1 ? 1 : 16;
  std::int64_t const tables = fitting < 1 ? 1 : fitting < most ? fitting : most;
  workspace::frame frame(ws);
  auto const table = frame.take<state>(tables * cells);
  auto const seen = frame.take<std::uint8_t>(tables * segments);
  for_each_task(ex, tables, [&](std::int64_t t) {
    state const identity = loop.aggregator.identity();
    for (std::int64_t i = 0; i < cells; ++i) table.data()[t * cells + i] = identity;
    for (std::int64_t s = 0; s < segments; ++s) seen.data()[t * segments + s] = 0;
    detail::scatter_rows(loop.aggregator, index.data(), x, rows / tables * t, t + 1 == tables ? rows : rows / tables * (t + 1),
                         table.data() + t * cells, seen.data() + t * segments);
  });
  std::int64_t const tasks = detail::divide_up(cells * tables, detail::segment_task_work);
  for_each_task(ex, tasks, [&](std::int64_t t) {
    detail::merge_tables(loop, table.data(), seen.data(), tables, segments * t / tasks, segments * (t + 1) / tasks, out);
  });
}

namespace detail {

/// Whether a backend can add to states in whatever order items come.
template <class E, class A, class Empty, class Items, class Answers, class Order>
constexpr bool find_direct_scatter() {
  if constexpr (aggregator<A> && std::is_same_v<Order, order::reproducible_t>)
    return has_backend<E, scatter_loop<A, std::remove_cv_t<Empty>>, view<std::int32_t const>, Items, Answers, Order, workspace&>;
  else
    return false;
}
template <class E, class A, class Empty, class Items, class Answers, class Order>
inline constexpr bool scatters_directly = find_direct_scatter<E, A, Empty, Items, Answers, Order>();

/// Stable binning by index, then the segmented fold.
template <class E, class A, class Items, class Answers, class Order, class Empty>
void scatter_sorted(E const& ex, A const& a, view<std::int32_t const> keys, Items const& items, Answers const& answers, Order order,
                    Empty const& empty, workspace& ws) {
  std::int64_t const segments = answers.rows();
  workspace::frame frame(ws);
  auto const offsets = frame.take<std::int64_t>(segments + 1);
  auto const members = frame.take<std::int32_t>(keys.size());
  {
    workspace::frame inner(ws);
    bin(ex, dense_rows{}, keys,
        bin_view{offsets, inner.take<std::int32_t>(segments), inner.take<std::int32_t>(segments), inner.take<std::int32_t>(keys.size()), members},
        ws);
  }
  neighbour_fold(ex, a, csr_view<float>{as_const(offsets), as_const(members), {}}, source_rows{items}, answers, order, empty, ws);
}

}  // namespace detail

/// Engine loop E3: `out(s, c) = lower(combine over i with index[i] = s, ascending, of lift(x(i, c)))`, indices in any order.
///
/// An index of -1 is skipped; segments that nobody names follow the empty policy among the options.
/// \throws argument_error for shapes that do not match or an index that is not below `out.rows()`; nothing is written then.
/// \par Determinism `order::fixed`: stable binning by index, then the ordered tree of each segment: a function of the input alone, without
/// atomics. `order::reproducible`: the same bits for any order of the items, without sorting: states are added to as items come (on a device
/// by integer atomics, where the carrier has an atomic_cell of kernel/scatter_fold.hpp).
template <executor E, class A, viewable Index, matrix_viewable X, matrix_viewable Out, detail::segment_option... Options>
  requires aggregator<A> || row_monoid<A>
void scatter_fold(E const& ex, A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  auto const keys = as_const(as_view(index));
  auto const items = as_const(as_matrix_view(x));
  auto const answers = as_matrix_view(out);
  check_argument(keys.size() == items.rows(), "scatter_fold", "index.size()", keys.size(), "x.rows()");
  check_argument(items.cols() == answers.cols(), "scatter_fold", "x.cols()", items.cols(), "out.cols()");
  detail::check_item_count<A>("scatter_fold", items.rows());
  detail::call_workspace ws(ex, options...);
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, A>();
  std::int64_t const segments = answers.rows();
  auto const empty = detail::find_empty_policy(std::as_const(options)...);
  if constexpr (detail::scatters_directly<E, A, decltype(empty), decltype(items), decltype(answers), order_tag>) {
    check_argument(segments < most_rows, "scatter_fold", "out.rows()", segments, "below 2^31 - 1");
    run_loop(ex, scatter_loop<A, std::remove_cv_t<decltype(empty)>>{a, empty}, keys, items, answers, order_tag{}, ws.get());
  } else {
    detail::scatter_sorted(ex, a, keys, items, answers, order_tag{}, empty, ws.get());
  }
}

/// The same over a stream of items: one answer a segment.
template <executor E, aggregator A, viewable Index, viewable X, viewable Out, detail::segment_option... Options>
void scatter_fold(E const& ex, A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  auto const items = as_view(x);
  auto const answers = as_view(out);
  scatter_fold(ex, a, index, matrix_view(items.data(), items.size(), 1), matrix_view(answers.data(), answers.size(), 1), options...);
}

template <class A, viewable Index, class X, class Out, detail::segment_option... Options>
  requires(aggregator<A> || row_monoid<A>) && (!executor<A>)
void scatter_fold(A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  scatter_fold(serial, a, index, x, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
