#pragma once

#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace support {

/// Equal representation; any NaN equals any NaN, and -0 differs from +0.
template <class T>
bool same_bits(T const& a, T const& b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a != a || b != b) return a != a && b != b;
  }
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class T>
bool same_bits(std::span<T const> a, std::span<T const> b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same_bits(a[i], b[i])) return false;
  return true;
}

template <class T>
bool same_bits(std::vector<T> const& a, std::vector<T> const& b) {
  return same_bits(std::span<T const>(a), std::span<T const>(b));
}

}  // namespace support
