#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/upload.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A range of elements as kernels see it, cut into units of work: `first` is the number of its first unit.
struct device_segment {
  std::int64_t offset, count, first;
};

/// Segments in device memory, their units numbered through.
struct device_segments {
  device_segment const* item = nullptr;
  std::int64_t count = 0;
  std::int64_t units = 0;

  /// The segment of a unit, which must exist: the last one whose first unit is not behind it (empty segments have no unit).
  FANFOLD_HD std::int64_t owner(std::int64_t unit) const {
    std::int64_t low = 0, high = count;
    while (high - low > 1) {
      std::int64_t const middle = low + (high - low) / 2;
      if (item[middle].first <= unit)
        low = middle;
      else
        high = middle;
    }
    return low;
  }
};

/// Brings segments, which are in host memory, to the workspace: units of `unit` elements that start at the last multiple of `align` before or at
/// the segment's own start. The result lives as long as `frame`.
template <device_executor E, class R>
device_segments to_device_segments(E const& ex, view<R const> segments, std::int64_t unit, std::int64_t align, workspace::frame& frame) {
  view<device_segment> const table = frame.take<device_segment>(segments.size());
  device_segments result{table.data(), segments.size(), 0};
  constexpr std::int64_t most = detail::uploaded_items<device_segment>::most;
  device_segment part[std::size_t{most}];
  for (std::int64_t first = 0; first < segments.size(); first += most) {
    std::int64_t const count = segments.size() - first < most ? segments.size() - first : most;
    for (std::int64_t s = 0; s < count; ++s) {
      auto const offset = static_cast<std::int64_t>(segments[first + s].offset), elements = static_cast<std::int64_t>(segments[first + s].count);
      part[s] = {offset, elements, result.units};
      if (elements > 0) result.units += detail::divide_up(elements + offset % align, unit);
    }
    upload(ex, table.subview(first, count), view<device_segment const>(part, count));
  }
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI
