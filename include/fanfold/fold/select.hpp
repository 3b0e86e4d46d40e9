#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `select` writes; views left empty are not wanted. A is the arithmetic type of the row, `Index` any integer type.
template <class A = float, class Index = std::int32_t>
struct selection_view {
  view<Index> index{};         ///< `count` entries: positions of the chosen items, ascending
  view<A> threshold{};         ///< 1 entry: the number of the last chosen item in rank order
  view<std::int64_t> above{};  ///< 1 entry: how many items rank strictly above the threshold; the other chosen ones equal it
};

/// What `run_loop` runs for `select` (the second half of engine loop E6).
template <rank_order P>
struct select_loop {
  P order{};
};

namespace detail {

inline constexpr int select_bits = 11;
inline constexpr std::int64_t select_bins = std::int64_t{1} << select_bits;
inline constexpr std::int64_t select_block = 256;

/// Items of one task, a function of the length only; at most 64 tasks.
FANFOLD_HD constexpr std::int64_t select_task_items(std::int64_t n) {
  std::int64_t const items = divide_up(divide_up(n, 64), select_block) * select_block;
  return items < 65536 ? 65536 : items;
}

/// The digit that a pass looks at: bits [low, high) of the ranks.
struct rank_digit {
  int low, high;
  FANFOLD_HD static constexpr rank_digit first(int bits) { return {bits - select_bits, bits}; }
  FANFOLD_HD constexpr rank_digit next() const { return {low > select_bits ? low - select_bits : 0, low}; }
  FANFOLD_HD constexpr bool last() const { return low == 0; }
  FANFOLD_HD constexpr std::int64_t bins() const { return std::int64_t{1} << (high - low); }
};

// Ranks go through a small buffer, so that computing them vectorises.
template <class P, class T>
FANFOLD_INLINE void load_ranks(P const& order, T const* x, std::int64_t n, rank_of<arithmetic_t<T>>* FANFOLD_RESTRICT rank) {
  for (std::int64_t i = 0; i < n; ++i) rank[i] = order.rank(to_arithmetic(x[i]));
}

/// Counts the digits of those items whose higher bits are those of `prefix`.
template <class P, class T>
FANFOLD_NOINLINE void count_digits(P const& order, T const* x, std::int64_t n, rank_digit digit, rank_of<arithmetic_t<T>> prefix,
                                   std::int64_t* bins) {
  using R = rank_of<arithmetic_t<T>>;
  constexpr int width = static_cast<int>(8 * sizeof(R));
  for (std::int64_t b = 0; b < digit.bins(); ++b) bins[b] = 0;
  R const mask = static_cast<R>(digit.bins() - 1);
  R rank[select_block];
  for (std::int64_t begin = 0; begin < n; begin += select_block) {
    std::int64_t const m = n - begin < select_block ? n - begin : select_block;
    load_ranks(order, x + begin, m, rank);
    if (digit.high == width)
      for (std::int64_t i = 0; i < m; ++i) ++bins[rank[i] >> digit.low];
    else
      for (std::int64_t i = 0; i < m; ++i)
        if ((rank[i] ^ prefix) >> digit.high == 0) ++bins[(rank[i] >> digit.low) & mask];
  }
}

/// Writes the positions of the items that rank above `threshold` and of the first `equal` items that rank as it does.
template <class P, class T, class Index>
FANFOLD_NOINLINE void write_selected(P const& order, T const* x, std::int64_t begin, std::int64_t end, rank_of<arithmetic_t<T>> threshold,
                                     std::int64_t equal, Index* to) {
  rank_of<arithmetic_t<T>> rank[select_block];
  std::int32_t chosen[select_block];
  for (; begin < end; begin += select_block) {
    std::int64_t const m = end - begin < select_block ? end - begin : select_block;
    load_ranks(order, x + begin, m, rank);
    bool any = false;
    for (std::int64_t i = 0; i < m; ++i) any |= rank[i] >= threshold;
    if (!any) continue;
    std::int64_t n = 0;
    for (std::int64_t i = 0; i < m; ++i) {  // without branches: no guess about which items are taken
      bool const same = rank[i] == threshold;
      chosen[n] = static_cast<std::int32_t>(i);
      n += static_cast<std::int64_t>((rank[i] > threshold) | (same & (equal > 0)));
      equal -= static_cast<std::int64_t>(same);
    }
    for (std::int64_t i = 0; i < n; ++i) to[i] = static_cast<Index>(begin + chosen[i]);
    to += n;
  }
}

}  // namespace detail

/// Bytes that `select` takes from a host workspace.
constexpr std::size_t select_workspace_bytes(std::int64_t n) {
  std::int64_t const tasks = detail::divide_up(n, detail::select_task_items(n));
  return static_cast<std::size_t>(tasks * (detail::select_bins + 2) * 8) + 3 * workspace::alignment;
}

/// Host form of select.
template <host_executor E, rank_order P, class T, class A, class Index>
void run_loop(E const& ex, select_loop<P> const& loop, view<T const> x, selection_view<A, Index> const& out, workspace& ws) {
  using R = detail::rank_of<A>;
  constexpr int width = static_cast<int>(8 * sizeof(R));
  std::int64_t const count = loop.order.count, n = x.size(), items = detail::select_task_items(n), tasks = detail::divide_up(n, items);
  if (count == 0) {
    if (!out.threshold.empty()) out.threshold[0] = math::quiet_nan<A>();
    if (!out.above.empty()) out.above[0] = 0;
    return;
  }
  workspace::frame frame(ws);
  std::int64_t* const bins = frame.take<std::int64_t>(tasks * detail::select_bins).data();
  std::int64_t* const above = frame.take<std::int64_t>(tasks).data();  // of each task: items above the prefix so far
  std::int64_t* const equal = frame.take<std::int64_t>(tasks).data();
  for (std::int64_t t = 0; t < tasks; ++t) above[t] = 0;

  R prefix = 0;
  std::int64_t left = count;  // still to be found among the items with the prefix
  for (auto digit = detail::rank_digit::first(width);; digit = digit.next()) {
    for_each_task(ex, tasks, 0, ws, [&](std::int64_t t, void*) {
      std::int64_t const begin = t * items;
      detail::count_digits(loop.order, x.data() + begin, begin + items < n ? items : n - begin, digit, prefix, bins + t * detail::select_bins);
    });
    std::int64_t b = digit.bins() - 1;
    for (;; --b) {  // the items with the prefix are at least `left`, so some bin ends this
      std::int64_t here = 0;
      for (std::int64_t t = 0; t < tasks; ++t) here += bins[t * detail::select_bins + b];
      if (here >= left) break;
      left -= here;
      for (std::int64_t t = 0; t < tasks; ++t) above[t] += bins[t * detail::select_bins + b];
    }
    for (std::int64_t t = 0; t < tasks; ++t) equal[t] = bins[t * detail::select_bins + b];
    prefix |= static_cast<R>(static_cast<R>(b) << digit.low);
    if (digit.last()) break;
  }
  if (!out.threshold.empty()) out.threshold[0] = loop.order.template number<A>(prefix);
  if (!out.above.empty()) out.above[0] = count - left;
  if (out.index.empty()) return;

  // ties: the first `left` of all; where each task's positions start
  for (std::int64_t t = 0, start = 0; t < tasks; ++t) {
    equal[t] = equal[t] < left ? equal[t] : left;
    left -= equal[t];
    std::int64_t const mine = above[t] + equal[t];
    above[t] = start;
    start += mine;
  }
  for_each_task(ex, tasks, 0, ws, [&](std::int64_t t, void*) {
    std::int64_t const begin = t * items;
    detail::write_selected(loop.order, x.data(), begin, begin + items < n ? begin + items : n, prefix, equal[t], out.index.data() + above[t]);
  });
}

/// Chooses the `order.count` items of `x` that come first in rank order (`largest`, `smallest`, `largest_magnitude`), exactly; of equal
/// items those of lower index. Gives their positions in ascending order, the threshold, and how many rank above it.
///
/// `x`: one long row (float, double, float16, bfloat16). -0 equals +0; NaN comes after every number. Of count = 0 the threshold is NaN.
/// Histograms of 11 bits of the ranks narrow the threshold down: 3 passes (6 for double) and one that writes, O(n) whatever the data.
/// \throws argument_error for a count below 0 or above the length, outputs of wrong size, positions that `Index` cannot hold.
/// \par Determinism  a function of the row alone; counts are integers.
template <executor E, rank_order P, viewable X, class A, class Index, detail::call_option... Options>
void select(E const& ex, P const& order, X const& x, selection_view<A, Index> const& out, Options&&... options) {
  auto const row = as_const(as_view(x));
  using T = typename decltype(row)::value_type;
  static_assert(std::is_same_v<arithmetic_t<T>, A>, "the threshold has the arithmetic type of the row");
  static_assert(std::is_integral_v<Index>);
  std::int64_t const n = row.size();
  check_argument(order.count >= 0 && order.count <= n, "select", "count", order.count, "in [0, x.size()]");
  check_argument(n == 0 || row.data() != nullptr, "select", "x.data()", row.data(), "not null");
  check_argument(out.index.empty() || out.index.size() == order.count, "select", "index.size()", out.index.size(), "count, or 0");
  check_argument(out.threshold.size() <= 1, "select", "threshold.size()", out.threshold.size(), "0 or 1");
  check_argument(out.above.size() <= 1, "select", "above.size()", out.above.size(), "0 or 1");
  if constexpr (sizeof(Index) < 8)
    check_argument(out.index.empty() || n - 1 <= static_cast<std::int64_t>((std::numeric_limits<Index>::max)()), "select", "x.size()", n,
                   "within the range of the index type");
  detail::call_workspace ws(ex, options...);
  static_assert(detail::has_backend<E, select_loop<P>, decltype(row), selection_view<A, Index>, workspace&>,
                "no backend of select for this executor: include <fanfold/kernel/select.hpp> for device executors");
  run_loop(ex, select_loop<P>{order}, row, out, ws.get());
}

/// The same on the calling thread.
template <rank_order P, viewable X, class A, class Index, detail::call_option... Options>
void select(P const& order, X const& x, selection_view<A, Index> const& out, Options&&... options) {
  select(serial, order, x, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
