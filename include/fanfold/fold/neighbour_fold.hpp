#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/empty_policy.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/item_fold.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/monoid/row_monoid.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `neighbour_fold` and `segmented_fold` (engine loop E2). Without `ids` entry e of a segment is row e itself.
template <row_monoid R, message Message, class Empty>
struct segmented_loop {
  R rows{};
  Message items{};
  Empty empty{};
};

namespace detail {

template <class Message>
struct edge_row_at {
  Message const& items;
  std::int32_t const* ids;
  std::int64_t segment;

  FANFOLD_HD auto operator()(std::int64_t edge) const {
    return items.row(segment, ids == nullptr ? edge : static_cast<std::int64_t>(ids[edge]), edge);
  }
};

// Columns [first, first + W) of one segment; the width is a constant unless this is the last, narrower piece.
template <int W, bool Whole, class R, class RowAt, class Out>
void fold_segment_columns(R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, std::int64_t first, int width, Out* out) {
  row_state<R, W> s;
  int const n = Whole ? W : width;
  fold_row_range(r, row_at, begin, end, first, n, s);
  store_row(r, s, out + first, n);
}

template <class R, class RowAt, class Out>
void fold_segment(R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, Out* out, std::int64_t columns) {
  std::int64_t c = 0;
  for (; c + 64 <= columns; c += 64) fold_segment_columns<64, true>(r, row_at, begin, end, c, 64, out);
  if (c + 32 <= columns) {
    fold_segment_columns<32, true>(r, row_at, begin, end, c, 32, out);
    c += 32;
  }
  if (c + 16 <= columns) {
    fold_segment_columns<16, true>(r, row_at, begin, end, c, 16, out);
    c += 16;
  }
  if constexpr (columns_are_lanes<R, 8>) {
    if (c + 8 <= columns) {
      fold_segment_columns<8, true>(r, row_at, begin, end, c, 8, out);
      c += 8;
    }
    if (c + 4 <= columns) {
      fold_segment_columns<4, true>(r, row_at, begin, end, c, 4, out);
      c += 4;
    }
  }
  if (columns == 1)
    fold_segment_columns<1, true>(r, row_at, begin, end, c, 1, out);
  else if (c < columns)
    fold_segment_columns<16, false>(r, row_at, begin, end, c, static_cast<int>(columns - c), out);
}

/// The items of a single column.
template <class Input, class RowAt>
struct item_of_row {
  RowAt row_at;
  FANFOLD_INLINE Input operator()(std::int64_t edge) const { return load_item<Input>(row_at(edge)[0]); }
};

template <class A, class Message, class Empty, class Out>
FANFOLD_NOINLINE void fold_single_column(segmented_loop<columnwise<A>, Message, Empty> const& loop, std::int64_t const* offsets,
                                         std::int32_t const* ids, std::int64_t begin, std::int64_t end, std::int64_t longest,
                                         matrix_view<Out> out) {
  A const a = loop.rows.aggregator;
  for (std::int64_t s = begin; s < end; ++s) {
    if (offsets[s + 1] - offsets[s] > longest) continue;
    Out* const to = out.data() + s * out.stride();
    using row_at = edge_row_at<Message>;
    if (offsets[s] == offsets[s + 1])
      store_empty_row(loop.rows, loop.empty, to, 1);
    else
      *to = store_item<Out>(a.lower(fold_item_range(a, item_of_row<typename A::input, row_at>{{loop.items, ids, s}}, offsets[s], offsets[s + 1])));
  }
}

template <class R, class Message, class Empty, class Out>
FANFOLD_NOINLINE void fold_segments(segmented_loop<R, Message, Empty> const& loop, std::int64_t const* offsets, std::int32_t const* ids,
                                    std::int64_t begin, std::int64_t end, std::int64_t longest, matrix_view<Out> out) {
  if constexpr (requires { loop.rows.aggregator; }) {
    if (out.cols() == 1) return fold_single_column(loop, offsets, ids, begin, end, longest, out);
  }
  for (std::int64_t s = begin; s < end; ++s) {
    if (offsets[s + 1] - offsets[s] > longest) continue;
    Out* const row = out.data() + s * out.stride();
    if (offsets[s] == offsets[s + 1])
      store_empty_row(loop.rows, loop.empty, row, out.cols());
    else
      fold_segment(loop.rows, edge_row_at<Message>{loop.items, ids, s}, offsets[s], offsets[s + 1], row, out.cols());
  }
}

/// Rows of a long segment that a thread folds on its own: a power of two of runs, so that they are a node of the segment's tree.
constexpr std::int64_t segment_share(std::int64_t columns) { return columns < 16 ? 65536 : tile_items; }

/// Columns [first, first + width) of one long segment, by all threads.
template <int W, class E, class R, class RowAt, class Out>
void fold_long_columns(E const& ex, R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, std::int64_t share, std::int64_t first,
                       int width, Out* out, workspace& ws) {
  workspace::frame frame(ws);
  auto const part = frame.take<row_state<R, W>>(divide_up(end - begin, share));
  for_each_task(ex, part.size(), [&](std::int64_t t) {
    std::int64_t const from = begin + t * share, to = from + share < end ? from + share : end;
    if constexpr (W == 1 && requires { r.aggregator; })
      part[t].column[0] = fold_item_range(r.aggregator, item_of_row<typename R::input, RowAt>{row_at}, from, to);
    else
      fold_row_range(r, row_at, from, to, first, width, part[t]);
  });
  row_tree<R, W> tree;
  row_state<R, W> s;
  for (std::int64_t t = 0; t < part.size(); ++t) tree.push(r, s = part[t], width);
  tree.root(r, s, width);
  store_row(r, s, out + first, width);
}

template <class E, class R, class RowAt, class Out>
void fold_long_segment(E const& ex, R const& r, RowAt const& row_at, std::int64_t begin, std::int64_t end, Out* out, std::int64_t columns,
                       workspace& ws) {
  std::int64_t const share = segment_share(columns);
  std::int64_t c = 0;
  for (; c + 64 <= columns; c += 64) fold_long_columns<64>(ex, r, row_at, begin, end, share, c, 64, out, ws);
  for (; c + 16 <= columns; c += 16) fold_long_columns<16>(ex, r, row_at, begin, end, share, c, 16, out, ws);
  if (columns == 1)
    fold_long_columns<1>(ex, r, row_at, begin, end, share, c, 1, out, ws);
  else if (c < columns)
    fold_long_columns<16>(ex, r, row_at, begin, end, share, c, static_cast<int>(columns - c), out, ws);
}

/// First segment of task `task` of `tasks`, such that tasks hold about as many entries plus segments each.
inline std::int64_t first_segment_of_task(view<std::int64_t const> offsets, std::int64_t task, std::int64_t tasks) {
  std::int64_t const segments = offsets.size() - 1;
  if (task == tasks) return segments;
  std::int64_t const base = offsets[0];
  std::int64_t const work = offsets[segments] - base + segments;
  auto const target = static_cast<std::int64_t>(static_cast<double>(work) * static_cast<double>(task) / static_cast<double>(tasks));
  std::int64_t low = 0, high = segments;
  while (low < high) {
    std::int64_t const middle = low + (high - low) / 2;
    if (offsets[middle] - base + middle < target)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

template <class Message>
void check_message(char const* function, Message const& items, std::int64_t entries, std::int64_t columns) {
  if constexpr (requires { items.edges(); })
    check_argument(items.edges() >= entries, function, "edges of the message", items.edges(), "at least the number of entries");
  if constexpr (requires { items.columns(); })
    check_argument(items.columns() == columns, function, "columns of the message", items.columns(), "out.cols()");
}

/// Offsets that start at 0 or later, never fall and end within `entries`.
inline void check_offsets(char const* function, view<std::int64_t const> offsets, std::int64_t entries) {
  if (offsets.empty()) return;
  bool rising = offsets[0] >= 0;
  for (std::int64_t s = 1; s < offsets.size(); ++s) rising &= offsets.data()[s - 1] <= offsets.data()[s];
  check_argument(rising, function, "offsets", "a falling or negative sequence", "rising from 0 or later");
  check_argument(offsets[offsets.size() - 1] <= entries, function, "last offset", offsets[offsets.size() - 1], "at most the number of entries");
}

inline void check_ids(char const* function, std::int32_t const* ids, std::int64_t begin, std::int64_t end, std::int64_t limit) {
  std::int32_t low = 0, high = -1;
  for (std::int64_t e = begin; e < end; ++e) low = ids[e] < low ? ids[e] : low;
  for (std::int64_t e = begin; e < end; ++e) high = ids[e] > high ? ids[e] : high;
  check_argument(low >= 0, function, "smallest id", low, "0 or more");
  check_argument(high < limit, function, "largest id", high, "below the number of source rows");
}

inline constexpr std::int64_t segment_task_work = 16384;

}  // namespace detail

/// Host form of E2.
template <host_executor E, class R, class Message, class Empty, class Out, order_policy Order>
void run_loop(E const& ex, segmented_loop<R, Message, Empty> const& loop, view<std::int64_t const> offsets, view<std::int32_t const> ids,
              matrix_view<Out> out, Order, workspace& ws) {
  std::int64_t const segments = out.rows();
  if (segments == 0) return;
  std::int64_t const first = offsets[0], last = offsets[segments];
  if (ids.data() != nullptr) detail::check_ids("neighbour_fold", ids.data(), first, last, loop.items.sources());
  std::int64_t const tiles = detail::divide_up(out.cols() < 1 ? 1 : out.cols(), 16);
  std::int64_t const tasks = detail::divide_up((last - first + segments) * tiles, detail::segment_task_work);
  constexpr bool shares = std::is_trivially_copyable_v<detail::row_state<R, 1>>;
  std::int64_t const longest = shares && ex.concurrency() > 1 ? 2 * detail::segment_share(out.cols()) : INT64_MAX;
  for_each_task(ex, tasks, [&](std::int64_t task) {
    detail::fold_segments(loop, offsets.data(), ids.data(), detail::first_segment_of_task(offsets, task, tasks),
                          detail::first_segment_of_task(offsets, task + 1, tasks), longest, out);
  });
  if constexpr (shares) {
    if (last - first <= longest) return;
    for (std::int64_t s = 0; s < segments; ++s)
      if (offsets[s + 1] - offsets[s] > longest)
        detail::fold_long_segment(ex, loop.rows, detail::edge_row_at<Message>{loop.items, ids.data(), s}, offsets[s], offsets[s + 1],
                                  out.data() + s * out.stride(), out.cols(), ws);
  }
}

namespace detail {

template <class E, class A, class Message, class Out, class... Options>
void run_segmented(char const* function, E const& ex, A const& a, view<std::int64_t const> offsets, view<std::int32_t const> ids,
                   std::int64_t entries, Message const& items, matrix_view<Out> out, Options&... options) {
  using order_tag = order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, A>();
  check_argument(offsets.size() == out.rows() + 1 || (out.rows() == 0 && offsets.empty()), function, "out.rows()", out.rows(),
                 "the number of segments");
  check_argument(out.empty() || out.data() != nullptr, function, "out.data()", out.data(), "not null");
  check_message(function, items, entries, out.cols());
  if constexpr (host_executor<E>) check_offsets(function, offsets, entries);
  check_segment_items<A, E>(function, offsets, entries);
  call_workspace ws(ex, options...);
  auto const empty = find_empty_policy(std::as_const(options)...);
  auto const rows = as_row_monoid(a);
  using loop = segmented_loop<std::remove_cv_t<decltype(rows)>, Message, std::remove_cv_t<decltype(empty)>>;
  static_assert(has_backend<E, loop, view<std::int64_t const>, view<std::int32_t const>, matrix_view<Out>, order_tag, workspace&>,
                "no backend of segmented folds for this executor: include <fanfold/kernel/segmented_fold.hpp> for device executors");
  run_loop(ex, loop{rows, items, empty}, offsets, ids, out, order_tag{}, ws.get());
}

}  // namespace detail

/// For every row r of `graph`: `out(r, c) = lower(combine over entries e of r, ascending, of lift(items.row(r, ids[e], e)[c]))`.
///
/// `items` makes messages on the fly (source_rows, weighted_source_rows, edge_rows, edge_function). Rows without entries follow the
/// empty policy among the options. Any number of columns. `out` must not overlap what messages read.
/// \throws argument_error for shapes that do not match, offsets that fall, ids outside the message's sources; nothing is written then.
/// \par Determinism the ordered tree over a row's entries (left fold up to 32, then runs of 32 and adjacent pairs).
template <executor E, class A, class T, message Message, matrix_viewable Out, detail::segment_option... Options>
  requires aggregator<A> || row_monoid<A>
void neighbour_fold(E const& ex, A const& a, csr_view<T> const& graph, Message const& items, Out&& out, Options&&... options) {
  check_argument(graph.ids.data() != nullptr || graph.ids.empty(), "neighbour_fold", "graph.ids", graph.ids.data(), "not null");
  static std::int32_t const no_ids = 0;  // an empty graph still is one with ids
  view<std::int32_t const> const ids = graph.ids.data() != nullptr ? graph.ids : view<std::int32_t const>(&no_ids, 0);
  detail::run_segmented("neighbour_fold", ex, a, graph.offsets, ids, graph.ids.size(), items, as_matrix_view(out), options...);
}
template <class A, class T, message Message, matrix_viewable Out, detail::segment_option... Options>
  requires aggregator<A> || row_monoid<A>
void neighbour_fold(A const& a, csr_view<T> const& graph, Message const& items, Out&& out, Options&&... options) {
  neighbour_fold(serial, a, graph, items, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
