#include "fanfold/kernel/fold_by_key.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

TEST_CASE("runs on the emulated device have the host's keys and bits; what is past them stays") {
  support::lcg g(3);
  for (std::int64_t longest : {1, 4, 100, 3000}) {
    std::vector<std::int32_t> keys;
    for (std::int32_t key = 0; keys.size() < 4000; ++key) keys.insert(keys.end(), static_cast<std::size_t>(1 + g.below(longest)), key % 7);
    auto const x = support::reals(keys.size(), 5);
    std::vector<std::int32_t> expected_keys(keys.size(), -1), out_keys(keys.size());
    std::vector<float> expected(keys.size(), 9.0f), out(keys.size());
    std::int64_t const runs = fanfold::fold_by_key(support::float_sum{}, keys, x, expected_keys, expected);
    support::for_each_geometry([&](auto const& ex) {
      out.assign(out.size(), 9.0f);
      out_keys.assign(out_keys.size(), -1);
      std::int64_t count[1] = {-1};
      fanfold::fold_by_key(ex, support::float_sum{}, keys, x, out_keys, out, count);
      CHECK(fanfold::fetch(ex, count) == runs);
      CHECK(out_keys == expected_keys);
      CHECK(support::same_bits(out, expected));
    });
  }
}

TEST_CASE("no keys, and too little room") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {});
  std::vector<int> const none, keys{1, 1, 2, 3};
  std::vector<float> const nothing, x{1, 2, 3, 4};
  std::vector<int> out_keys(2, -1);
  std::vector<float> out(2, 9.0f);
  std::int64_t count[1] = {-1};
  fanfold::fold_by_key(ex, support::float_sum{}, none, nothing, out_keys, out, count);
  CHECK(fanfold::fetch(ex, count) == 0);
  CHECK(out == std::vector<float>{9, 9});
  fanfold::fold_by_key(ex, support::float_sum{}, keys, x, out_keys, out, count);
  CHECK_THROWS_AS(fanfold::finish(ex), fanfold::argument_error);
  CHECK(out_keys == std::vector<int>{1, 2});
  CHECK(out == std::vector<float>{3, 3});
  std::int64_t two[2];
  CHECK_THROWS_AS(fanfold::fold_by_key(ex, support::float_sum{}, keys, x, out_keys, out, two), fanfold::argument_error);
}
