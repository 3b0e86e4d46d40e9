#include "fanfold/core/vector_lanes.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace {

namespace ff = fanfold;

template <class T, int L>
void check_lanes() {
  using lanes = ff::vector_lanes<T, L>;
  static_assert(lanes::width * lanes::pieces == L && sizeof(lanes) == L * sizeof(T));
  static_assert(lanes::width * static_cast<int>(sizeof(T)) <= FANFOLD_VECTOR_BYTES);
  std::vector<T> x(L + 1);
  for (int i = 0; i <= L; ++i) x[static_cast<std::size_t>(i)] = static_cast<T>(3 * i + 1);
  for (int offset : {0, 1}) {
    lanes a;
    for (int p = 0; p < lanes::pieces && offset == 0; ++p) a.v[p] = lanes::load(x.data(), p);
    // from an address that is no multiple of a piece
    for (int p = 0; p < lanes::pieces && offset == 1; ++p) a.v[p] = lanes::load(x.data() + 1, p);
    for (int p = 0; p < lanes::pieces; ++p) a.v[p] = a.v[p] * a.v[p] + lanes::filled(T(5));
    for (int l = 0; l < L; ++l) {
      T const v = x[static_cast<std::size_t>(l + offset)];
      REQUIRE(a.lane(l) == static_cast<T>(v * v + 5));
    }
  }
}

TEST_CASE("vector_lanes: every lane, at any width and address") {
  check_lanes<float, 1>();
  check_lanes<float, 8>();
  check_lanes<float, 64>();
  check_lanes<double, 4>();
  check_lanes<double, 32>();
  check_lanes<std::int32_t, 16>();
  check_lanes<std::uint64_t, 16>();
}

}  // namespace
