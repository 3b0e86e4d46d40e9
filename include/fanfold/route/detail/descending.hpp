#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// Sorts items so that `before(a, b)` holds down the list (a strict total order): a bottom-up merge sort with `spare` of the same length.
template <class T, class Before>
void merge_sort(T* items, T* spare, std::int64_t n, Before const& before) {
  T *from = items, *to = spare;
  for (std::int64_t width = 1; width < n; width *= 2) {
    for (std::int64_t first = 0; first < n; first += 2 * width) {
      std::int64_t const middle = first + width < n ? first + width : n, last = first + 2 * width < n ? first + 2 * width : n;
      std::int64_t a = first, b = middle;
      for (std::int64_t k = first; k < last; ++k) to[k] = a < middle && (b == last || !before(from[b], from[a])) ? from[a++] : from[b++];
    }
    T* const other = from;
    from = to;
    to = other;
  }
  if (from == items) return;
  for (std::int64_t i = 0; i < n; ++i) items[i] = from[i];
}

/// Indices by descending key, ties by ascending index.
template <class R>
struct descending_key {
  R const* key;
  bool operator()(std::int32_t a, std::int32_t b) const { return key[a] > key[b] || (key[a] == key[b] && a < b); }
};

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
