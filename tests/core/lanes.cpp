#include "fanfold/core/lanes.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <type_traits>

#include "fanfold/core/half.hpp"

namespace ff = fanfold;

TEST_CASE("lanes: packs fill one device access") {
  static_assert(ff::pack_size<float> == 4 && ff::pack_size<double> == 2 && ff::pack_size<ff::bfloat16> == 8 &&
                ff::pack_size<std::uint8_t> == 16);
  using four = ff::pack<float, 4>;
  using eight = ff::pack<ff::float16, 8>;
  using wide = ff::pack<float, 8>;
  static_assert(sizeof(four) == 16 && alignof(four) == 16 && sizeof(eight) == 16 && alignof(eight) == 16);
  static_assert(alignof(ff::pack<float, 2>) == 8 && sizeof(wide) == 32 && alignof(wide) == 16);
  static_assert(std::is_trivially_copyable_v<four> && std::is_standard_layout_v<four>);
  four p{{1, 2, 3, 4}};
  p[2] = 7;
  CHECK(p.item[2] == 7.0f);
}

TEST_CASE_TEMPLATE("lanes: elementwise operations", T, float, double, std::int32_t) {
  constexpr int n = 16;
  static_assert(alignof(ff::lanes<float, 16>) == 64 && alignof(ff::lanes<float, 3>) == alignof(float));
  T from[n + 1], to[n];
  for (int i = 0; i <= n; ++i) from[i] = static_cast<T>(i - 5);
  auto const a = ff::lanes<T, n>::load(from + 1);
  auto const b = ff::lanes<T, n>::filled(T(3));
  (a + b).store(to);
  auto const difference = a - b, product = a * b, least = min(a, b), most = max(a, b);
  auto const squared = ff::map_lanes(a, [](T x) { return x * x; });
  for (int i = 0; i < n; ++i) {
    T const x = static_cast<T>(i - 4);
    CHECK(to[i] == x + 3);
    CHECK(difference[i] == x - 3);
    CHECK(product[i] == x * 3);
    CHECK(least[i] == (x < 3 ? x : T(3)));
    CHECK(most[i] == (x > 3 ? x : T(3)));
    CHECK(squared[i] == x * x);
  }
}

TEST_CASE("lanes: halving pairs lane i with lane i + n/2") {
  ff::lanes<float, 4> const a{{1.0f, 0x1p-24f, 0x1p-24f, 0x1p-24f}};
  auto const plus = [](float x, float y) { return x + y; };
  // (1 + e) + (e + e): the first sum ties to 1, the pair of small ones counts
  CHECK(ff::halve_lanes(a, plus) == 1.0f + 0x1p-23f);
  ff::lanes<std::int32_t, 8> const digits{{1, 2, 3, 4, 5, 6, 7, 8}};
  auto const join = [](std::int32_t x, std::int32_t y) { return 10 * x - y; };
  CHECK(ff::halve_lanes(digits, join) == 10 * (10 * (10 * 1 - 5) - (10 * 3 - 7)) - (10 * (10 * 2 - 6) - (10 * 4 - 8)));
  CHECK(ff::halve_lanes(ff::lanes<int, 1>{{9}}, join) == 9);
}
