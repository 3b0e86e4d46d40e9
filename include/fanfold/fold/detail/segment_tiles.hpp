#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::detail {

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

// Tasks of less than a microsecond or so: a few are not worth a parallel region.
template <host_executor E, class F>
void for_each_small_task(E const& ex, std::int64_t tasks, std::size_t scratch_bytes, workspace& ws, F&& f) {
  if (tasks < 64)
    for_each_task(serial, tasks, scratch_bytes, ws, f);
  else
    for_each_task(ex, tasks, scratch_bytes, ws, f);
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
