#include <doctest/doctest.h>

#include "fanfold/core/lane_transpose.hpp"

using namespace fanfold;

TEST_CASE("lane_transpose: rows become columns") {
  constexpr int n = detail::float_lanes;
  detail::lane_floats v[n];
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) v[i][j] = static_cast<float>(n * i + j);
  detail::transpose(v);
  bool right = true;
  for (int i = 0; i < n; ++i)
    for (int j = 0; j < n; ++j) right &= v[i][j] == static_cast<float>(n * j + i);
  CHECK(right);
}
