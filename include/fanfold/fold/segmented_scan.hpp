#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/scan.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `segmented_scan` (engine loop E4, each segment on its own).
template <monoid M>
struct segmented_scan_loop {
  scan_loop<M> scan{};
};

namespace detail {

/// Segments longer than this are scanned by all threads together, shorter ones by one thread each.
inline constexpr std::int64_t long_scan_segment = 64 * tile_items;

template <class M, class T, class Out>
FANFOLD_NOINLINE void scan_short_segments(scan_loop<M> const& loop, view<T const> x, std::int64_t const* offsets, std::int64_t begin,
                                          std::int64_t end, Out* y) {
  for (std::int64_t s = begin; s < end; ++s) {
    std::int64_t const n = offsets[s + 1] - offsets[s];
    if (n > 0 && n <= long_scan_segment) scan_in_one_pass(loop, view<T const>(x.data() + offsets[s], n), y + offsets[s]);
  }
}

}  // namespace detail

/// Host form of the segmented scan.
template <host_executor E, monoid M, class T, class Out, order_policy Order>
void run_loop(E const& ex, segmented_scan_loop<M> const& loop, view<T const> x, view<std::int64_t const> offsets, view<Out> y, Order tag,
              workspace& ws) {
  std::int64_t const segments = offsets.size() - 1;
  std::int64_t const tasks = detail::divide_up(offsets[segments] - offsets[0] + segments, detail::segment_task_work);
  for_each_task(ex, tasks, [&](std::int64_t task) {
    detail::scan_short_segments(loop.scan, x, offsets.data(), detail::first_segment_of_task(offsets, task, tasks),
                                detail::first_segment_of_task(offsets, task + 1, tasks), y.data());
  });
  for (std::int64_t s = 0; s < segments; ++s) {
    std::int64_t const n = offsets[s + 1] - offsets[s];
    if (n > detail::long_scan_segment) run_loop(ex, loop.scan, x.subview(offsets[s], n), y.subview(offsets[s], n), tag, ws);
  }
}

namespace detail {

template <class E, class M, class X, class Y, class... Options>
void run_segmented_scan(E const& ex, scan_loop<M> const& scan, X const& x, view<std::int64_t const> offsets, Y&& y, Options&... options) {
  using order_tag = order_of<std::remove_cvref_t<Options>...>;
  require_laws<order_tag, M>();
  auto const items = as_const(as_view(x));
  auto const prefixes = as_view(y);
  check_argument(prefixes.size() == items.size(), "segmented_scan", "out.size()", prefixes.size(), "x.size()");
  check_argument(static_cast<void const*>(items.data()) == prefixes.data() || !overlaps(items, prefixes), "segmented_scan", "out",
                 "partly the same memory as x", "all of it or none");
  if constexpr (host_executor<E>) check_offsets("segmented_scan", offsets, items.size());
  check_segment_items<M, E>("segmented_scan", offsets, items.size());
  if (offsets.size() < 2) return;
  call_workspace ws(ex, options...);
  using loop = segmented_scan_loop<M>;
  static_assert(has_backend<E, loop, decltype(items), view<std::int64_t const>, decltype(prefixes), order_tag, workspace&>,
                "no backend of segmented_scan for this executor: include <fanfold/kernel/scan.hpp> for device executors");
  run_loop(ex, loop{scan}, items, offsets, prefixes, order_tag{}, ws.get());
}

}  // namespace detail

/// A scan a segment [offsets[s], offsets[s + 1]), each counted from its own first item. Items in no segment keep what `y` holds.
/// \throws argument_error for sizes that differ, offsets that fall or partly overlapping memory; nothing is written then.
/// \par Determinism the canonical scan of each segment.
template <executor E, monoid M, viewable X, viewable Offsets, viewable Y, detail::call_option... Options>
void segmented_scan(E const& ex, M const& m, X const& x, Offsets const& offsets, Y&& y, scan_kind kind, Options&&... options) {
  detail::run_segmented_scan(ex, scan_loop<M>{m, kind, false, m.identity()}, x, as_const(as_view(offsets)), y, options...);
}
template <monoid M, viewable X, viewable Offsets, viewable Y, detail::call_option... Options>
void segmented_scan(M const& m, X const& x, Offsets const& offsets, Y&& y, scan_kind kind, Options&&... options) {
  segmented_scan(serial, m, x, offsets, y, kind, options...);
}

/// The same with `init` as the left operand of every prefix of every segment.
template <executor E, monoid M, viewable X, viewable Offsets, viewable Y, detail::call_option... Options>
void segmented_scan(E const& ex, M const& m, X const& x, Offsets const& offsets, Y&& y, scan_kind kind, typename M::state const& init,
                    Options&&... options) {
  detail::run_segmented_scan(ex, scan_loop<M>{m, kind, true, init}, x, as_const(as_view(offsets)), y, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
