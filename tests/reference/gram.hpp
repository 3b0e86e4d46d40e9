#pragma once

#include <cstddef>
#include <vector>

// Gram matrices by the definition, in double.
namespace reference {

template <class T>
double squared_distance(std::vector<T> const& a, std::vector<T> const& b) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c) {
    double const difference = static_cast<double>(a[c]) - static_cast<double>(b[c]);
    sum += difference * difference;
  }
  return sum;
}

/// `<a - r, b - r>`
template <class T>
double centred_product(std::vector<T> const& a, std::vector<T> const& b, std::vector<T> const& r) {
  double sum = 0;
  for (std::size_t c = 0; c < a.size(); ++c)
    sum += (static_cast<double>(a[c]) - static_cast<double>(r[c])) * (static_cast<double>(b[c]) - static_cast<double>(r[c]));
  return sum;
}

template <class T>
double dot_product(std::vector<T> const& a, std::vector<T> const& b) {
  return centred_product(a, b, std::vector<T>(a.size()));
}

}  // namespace reference
