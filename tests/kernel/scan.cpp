#include "fanfold/kernel/scan.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using fanfold::scan_kind;
using support::for_each_geometry;
using support::same_bits;

}  // namespace

TEST_CASE("emulated scans have the bits of the host, in place too") {
  support::float_sum const m;
  for (std::size_t n : {1u, 31u, 32u, 33u, 64u, 2047u, 2048u, 2049u, 4097u, 30011u}) {
    CAPTURE(n);
    auto const x = support::reals(n, n);
    for (auto kind : {scan_kind::inclusive, scan_kind::exclusive}) {
      std::vector<float> plain(n), with_init(n), y(n);
      fanfold::scan(m, x, plain, kind);
      fanfold::scan(m, x, with_init, kind, 0.3f);
      for_each_geometry([&](auto const& ex) {
        fanfold::scan(ex, m, x, y, kind);
        CHECK(same_bits(y, plain));
        fanfold::scan(ex, m, x, y, kind, 0.3f);
        CHECK(same_bits(y, with_init));
        y = x;
        fanfold::scan(ex, m, y, y, kind);
        CHECK(same_bits(y, plain));
      });
    }
  }
}

TEST_CASE("the recursion over more than 2,048 tiles" * doctest::skip(support::thread_sanitizer)) {
  std::size_t const n = 2048 * 2048 + 3000;
  auto const x = support::reals(n, 3);
  std::vector<float> expected(n), y(n);
  fanfold::scan(support::float_sum{}, x, expected, scan_kind::inclusive);
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {.block_threads = 256});
  fanfold::scan(ex, support::float_sum{}, x, y, scan_kind::inclusive);
  CHECK(same_bits(y, expected));
}

TEST_CASE("emulated segmented scans and non-commutative carriers") {
  support::lcg g(5);
  std::vector<std::int64_t> offsets{2};
  for (std::int64_t n : {0, 1, 33, 2048, 5000, 0, 9000, 64}) offsets.push_back(offsets.back() + n);
  std::vector<support::affine::state> x(static_cast<std::size_t>(offsets.back()) + 1), expected(x.size()), y(x.size());
  for (auto& v : x) v = {g.below(30), g.below(30)};
  auto const reals = support::reals(x.size(), 7);
  std::vector<float> sums(x.size(), 1.0f), out(x.size(), 1.0f);
  for (auto kind : {scan_kind::inclusive, scan_kind::exclusive}) {
    fanfold::segmented_scan(support::affine{}, x, offsets, expected, kind);
    fanfold::segmented_scan(support::float_sum{}, reals, offsets, sums, kind);
    for_each_geometry([&](auto const& ex) {
      fanfold::segmented_scan(ex, support::affine{}, x, offsets, y, kind);
      fanfold::segmented_scan(ex, support::float_sum{}, reals, offsets, out, kind);
      fanfold::finish(ex);
      CHECK(y == expected);
      CHECK(same_bits(out, sums));
    });
  }
}

TEST_CASE("falling offsets on a device are reported") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {});
  std::vector<float> const x(4, 1.0f);
  std::vector<float> y(4);
  fanfold::segmented_scan(ex, support::float_sum{}, x, std::vector<std::int64_t>{0, 3, 2}, y, scan_kind::inclusive);
  CHECK_THROWS_AS(fanfold::finish(ex), fanfold::argument_error);
}
