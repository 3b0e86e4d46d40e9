#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

// Order statistics of the values of one coordinate, in double, straight from their definitions.
namespace reference {

inline double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  std::size_t const n = v.size();
  return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

inline double trimmed_mean(std::vector<double> v, std::size_t f) {
  std::sort(v.begin(), v.end());
  double sum = 0;
  for (std::size_t i = f; i < v.size() - f; ++i) sum += v[i];
  return sum / static_cast<double>(v.size() - 2 * f);
}

/// Mean of the n - f values nearest to the median; of two equally near ones the lower.
inline double mean_around_median(std::vector<double> v, std::size_t f) {
  double const m = median(v);
  std::sort(v.begin(), v.end());
  std::stable_sort(v.begin(), v.end(), [m](double a, double b) { return std::abs(a - m) < std::abs(b - m); });
  double sum = 0;
  for (std::size_t i = 0; i < v.size() - f; ++i) sum += v[i];
  return sum / static_cast<double>(v.size() - f);
}

}  // namespace reference
