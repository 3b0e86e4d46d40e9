#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate::detail {

/// Sorts ids stably so that no later one comes `before` an earlier one: merges of runs of doubling length.
template <class Before>
void stable_sort_ids(std::vector<std::int32_t>& ids, Before const& before) {
  std::size_t const n = ids.size();
  std::vector<std::int32_t> other(n);
  for (std::size_t width = 1; width < n; width *= 2) {
    for (std::size_t begin = 0; begin < n; begin += 2 * width) {
      std::size_t const middle = begin + width < n ? begin + width : n, end = begin + 2 * width < n ? begin + 2 * width : n;
      std::size_t i = begin, j = middle;
      for (std::size_t k = begin; k < end; ++k) other[k] = j == end || (i < middle && !before(ids[j], ids[i])) ? ids[i++] : ids[j++];
    }
    ids.swap(other);
  }
}

/// 0, 1, ..., n - 1 in ascending order of value, stably.
template <class Value>
std::vector<std::int32_t> ascending_ids(std::int64_t n, Value const& value) {
  std::vector<std::int32_t> ids(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  stable_sort_ids(ids, [&](std::int32_t a, std::int32_t b) { return value(a) < value(b); });
  return ids;
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate::detail
