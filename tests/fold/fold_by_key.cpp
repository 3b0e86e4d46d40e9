#include "fanfold/fold/fold_by_key.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

TEST_CASE("runs of equal keys, over chunk borders, on every executor") {
  support::lcg g(12);
  std::vector<std::int64_t> keys;
  std::vector<std::int64_t> expected_keys, starts;
  for (std::int64_t key = 0; keys.size() < 50000; ++key) {
    expected_keys.push_back(key * 7 % 1000);
    starts.push_back(static_cast<std::int64_t>(keys.size()));
    keys.insert(keys.end(), static_cast<std::size_t>(1 + g.below(key % 40 == 3 ? 3000 : 5)), key * 7 % 1000);
  }
  starts.push_back(static_cast<std::int64_t>(keys.size()));
  auto const x = support::reals(keys.size(), 2);
  std::vector<float> expected;
  for (std::size_t r = 0; r + 1 < starts.size(); ++r)
    expected.push_back(reference::ordered(support::float_sum{}, std::vector<float>(x.begin() + starts[r], x.begin() + starts[r + 1])));
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<std::int64_t> out_keys(expected.size());
    std::vector<float> out(expected.size());
    CHECK(fanfold::fold_by_key(ex, support::float_sum{}, keys, x, out_keys, out) == static_cast<std::int64_t>(expected.size()));
    CHECK(out_keys == expected_keys);
    CHECK(support::same_bits(out, expected));
  });
}

TEST_CASE("few keys, no keys, too little room") {
  std::vector<int> const keys{4, 4, 2, 4};
  std::vector<float> const x{1, 2, 3, 4};
  std::vector<int> out_keys(4, -1);
  std::vector<float> out(4, 9.0f);
  CHECK(fanfold::fold_by_key(support::float_sum{}, keys, x, out_keys, out) == 3);
  CHECK(out_keys == std::vector<int>{4, 2, 4, -1});
  CHECK(out == std::vector<float>{3, 3, 4, 9});
  CHECK(fanfold::fold_by_key(support::float_sum{}, std::vector<int>{}, std::vector<float>{}, out_keys, out) == 0);
  std::vector<float> two(2, 9.0f);
  CHECK_THROWS_WITH_AS(fanfold::fold_by_key(support::float_sum{}, keys, x, out_keys, two), doctest::Contains("out_keys.size() is 2"), fanfold::argument_error);
  CHECK(two == std::vector<float>{9, 9});
  CHECK(out_keys == std::vector<int>{4, 2, 4, -1});
}
