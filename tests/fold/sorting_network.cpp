#include "fanfold/fold/sorting_network.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

// A network that sorts every sequence of zeros and ones sorts everything.
template <int N>
bool sorts_zeros_and_ones() {
  bool sorted = true;
  for (std::uint32_t bits = 0; bits < (1u << N); ++bits) {
    std::int32_t r[N];
    for (int i = 0; i < N; ++i) r[i] = static_cast<std::int32_t>(bits >> i & 1);
    ff::detail::sort_registers<N>(r);
    sorted &= std::is_sorted(r, r + N);
  }
  return sorted;
}

}  // namespace

TEST_CASE("sorting networks: the published numbers of exchanges") {
  CHECK(ff::detail::exchange_list<4, 1>{}.count == 5);
  CHECK(ff::detail::exchange_list<16, 1>{}.count == 63);
  CHECK(ff::detail::exchange_list<20, 1>{}.count == 97);
  CHECK(ff::detail::exchange_list<32, 1>{}.count == 191);
}

TEST_CASE("sorting networks: zeros and ones") {
  CHECK(sorts_zeros_and_ones<4>());
  CHECK(sorts_zeros_and_ones<8>());
  CHECK(sorts_zeros_and_ones<12>());
  CHECK(sorts_zeros_and_ones<16>());
}

TEST_CASE("sorting networks: padded sizes") {
  CHECK(ff::padded_rows(1) == 4);
  CHECK(ff::padded_rows(17) == 20);
  CHECK(ff::padded_rows(33) == 48);
  CHECK(ff::padded_rows(64) == 64);
  CHECK(ff::padded_rows(65) == 128);
}

TEST_CASE("sorting networks: registers of lanes and plain arrays agree with sorting") {
  using vectors = ff::native_lanes<std::int32_t>;
  using arrays = ff::lane_array<std::int32_t>;
  constexpr std::int64_t L = vectors::lanes;
  for (std::int64_t n : {1, 2, 5, 12, 18, 22, 30, 40, 60, 64, 65, 127, 128, 129, 190, 257, 500}) {
    CAPTURE(n);
    support::lcg g(static_cast<std::uint64_t>(n));
    std::vector<std::int32_t> a(static_cast<std::size_t>(ff::padded_rows(n) * L), 0x7fffffff);
    for (std::int64_t i = 0; i < n * L; ++i) a[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(g.next()) >> (i % 3 == 0 ? 28 : 1);
    std::vector<std::int32_t> b = a;
    std::vector<std::vector<std::int32_t>> columns(static_cast<std::size_t>(L));
    for (std::int64_t i = 0; i < n * L; ++i) columns[static_cast<std::size_t>(i % L)].push_back(a[static_cast<std::size_t>(i)]);
    ff::detail::sort_columns<vectors>(a.data(), n);
    ff::detail::sort_columns<arrays>(b.data(), n);
    CHECK(a == b);
    for (std::int64_t l = 0; l < L; ++l) {
      auto& v = columns[static_cast<std::size_t>(l)];
      std::sort(v.begin(), v.end());
      for (std::int64_t i = 0; i < n; ++i) REQUIRE(a[static_cast<std::size_t>(i * L + l)] == v[static_cast<std::size_t>(i)]);
    }
  }
}
