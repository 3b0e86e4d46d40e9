#include "fanfold/fold/scan.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using fanfold::scan_kind;
using support::same_bits;

std::uint32_t bits(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}

struct known {
  std::size_t n;
  std::uint32_t last;
};
known const answers[]{{31, 0x4080df32},   {32, 0x4081df32},   {33, 0x4082d770},   {63, 0x40974df5},     {64, 0x4097cdf5},
                      {65, 0x40984bfd},   {2047, 0x410339b5}, {2048, 0x41033bb5}, {2049, 0x41033db5},   {4097, 0x410e5357},
                      {6145, 0x4114cfa0}, {100001, 0x41417147}, {131073, 0x4145c58c}, {139264, 0x4146bdd6}};

}  // namespace

TEST_CASE("the known answers of the canonical scan") {
  std::vector<float> x(139264), y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  fanfold::scan(support::float_sum{}, x, y, scan_kind::inclusive);
  for (known const& k : answers) {
    CAPTURE(k.n);
    CHECK(bits(y[k.n - 1]) == k.last);
  }
}

TEST_CASE("every executor scans like the reference at every size around the boundaries, with and without init, also in place") {
  support::float_sum const m;
  for (std::size_t n : {1u, 31u, 32u, 33u, 2047u, 2048u, 2049u, 4096u, 6145u, 32768u, 32769u, 70000u, 140000u}) {
    auto const x = support::reals(n, n);
    CAPTURE(n);
    for (auto const init : {std::optional<float>(), std::optional<float>(0.37f)}) {
      auto const inclusive = reference::inclusive_scan(m, x, init);
      auto const exclusive = reference::exclusive_scan(m, x, init);
      support::for_each_executor([&](char const* name, auto const& ex) {
        CAPTURE(name);
        std::vector<float> y(n), z = x;
        auto const run = [&](std::vector<float> const& from, std::vector<float>& to, scan_kind kind) {
          if (init)
            fanfold::scan(ex, m, from, to, kind, *init);
          else
            fanfold::scan(ex, m, from, to, kind);
        };
        run(x, y, scan_kind::inclusive);
        CHECK(same_bits(y, inclusive));
        run(x, y, scan_kind::exclusive);
        CHECK(same_bits(y, exclusive));
        run(z, z, scan_kind::exclusive);
        CHECK(same_bits(z, exclusive));
      });
    }
  }
}

TEST_CASE("the recursion over tile totals: more than 2,048 tiles") {
  std::size_t const n = 2048 * 2048 + 5000;
  auto const x = support::reals(n, 9);
  std::vector<float> y(n), z(n);
  auto const expected = reference::inclusive_scan(support::float_sum{}, x);
  fanfold::scan(support::float_sum{}, x, y, scan_kind::inclusive);
  CHECK(same_bits(y, expected));
  fanfold::thread_pool pool(2);
  fanfold::scan(pool.ref(), support::float_sum{}, x, z, scan_kind::inclusive);
  CHECK(same_bits(z, expected));
}

TEST_CASE("non-commutative scan equals the left fold") {
  support::affine const m;
  support::lcg g(8);
  std::vector<support::affine::state> x(9000), y(x.size());
  for (auto& v : x) v = {g.below(50), g.below(50)};
  support::for_each_executor([&](char const*, auto const& ex) {
    fanfold::scan(ex, m, x, y, scan_kind::inclusive);
    auto s = m.identity();
    bool equal = true;
    for (std::size_t i = 0; i < x.size(); ++i) {
      s = m.combine(s, x[i]);
      equal = equal && y[i] == s;
    }
    CHECK(equal);
  });
}

TEST_CASE("edges and errors of scan") {
  support::float_sum const m;
  std::vector<float> none;
  fanfold::scan(m, none, none, scan_kind::inclusive);
  std::vector<float> x{1, 2, 3}, y(3);
  fanfold::scan(m, x, y, scan_kind::exclusive);
  CHECK(same_bits(y[0], -0.0f));
  CHECK(y == std::vector<float>{0, 1, 3});
  std::vector<float> small(2, 5.0f);
  CHECK_THROWS_WITH_AS(fanfold::scan(m, x, small, scan_kind::inclusive), doctest::Contains("out.size()"), fanfold::argument_error);
  CHECK(small[0] == 5.0f);
  fanfold::view<float> const all(x);
  CHECK_THROWS_AS(fanfold::scan(m, all.subview(0, 2), all.subview(1, 2), scan_kind::inclusive), fanfold::argument_error);
}
