#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <vector>

namespace bench {

/// Shared, so that the calls of a contest can hold it by value.
template <class T>
using shared_vector = std::shared_ptr<std::vector<T>>;

inline shared_vector<float> normal_floats(std::int64_t n, unsigned seed = 1) {
  auto x = std::make_shared<std::vector<float>>(static_cast<std::size_t>(n));
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  for (float& v : *x) v = normal(random);
  return x;
}

inline shared_vector<std::int32_t> uniform_ids(std::int64_t n, std::int32_t below, unsigned seed = 2) {
  auto x = std::make_shared<std::vector<std::int32_t>>(static_cast<std::size_t>(n));
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::int32_t> uniform(0, below - 1);
  for (std::int32_t& v : *x) v = uniform(random);
  return x;
}

template <class T>
shared_vector<T> zeros(std::int64_t n) {
  return std::make_shared<std::vector<T>>(static_cast<std::size_t>(n));
}

}  // namespace bench
