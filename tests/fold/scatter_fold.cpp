#include "fanfold/fold/scatter_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

TEST_CASE("unsorted rows fold by segment in ascending order of the items, on every executor") {
  std::int64_t const n = 40000, segments = 300, width = 3;
  support::lcg g(4);
  auto const data = support::reals(static_cast<std::size_t>(n * width), 6);
  std::vector<std::int32_t> index(static_cast<std::size_t>(n));
  for (auto& i : index) i = g.below(10) == 0 ? -1 : static_cast<std::int32_t>(g.below(g.below(2) == 0 ? 4 : segments - 20));
  fanfold::matrix_view<float const> const x(data.data(), n, width);
  std::vector<float> expected(static_cast<std::size_t>(segments * width), 0.0f);
  for (std::int64_t s = 0; s < segments; ++s)
    for (std::int64_t c = 0; c < width; ++c) {
      std::vector<float> items;
      for (std::int64_t i = 0; i < n; ++i)
        if (index[static_cast<std::size_t>(i)] == s) items.push_back(x(i, c));
      if (!items.empty()) expected[static_cast<std::size_t>(s * width + c)] = reference::ordered(support::float_sum{}, items);
    }
  fanfold::workspace ws;
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<float> out(expected.size(), 9.0f);
    fanfold::scatter_fold(ex, support::float_sum{}, index, x, fanfold::matrix_view<float>(out.data(), segments, width), ws);
    CHECK(support::same_bits(out, expected));
  });
}

TEST_CASE("a histogram, empty policies and errors") {
  std::vector<std::int32_t> const index{2, 0, 2, -1, 2};
  std::vector<float> const ones(5, 1.0f);
  std::vector<float> out(4, 9.0f);
  fanfold::scatter_fold(support::float_sum{}, index, ones, out);
  CHECK(out == std::vector<float>{1, 0, 3, 0});
  fanfold::scatter_fold(support::float_sum{}, index, ones, out, fanfold::empty_policy::value{-1.0f});
  CHECK(out == std::vector<float>{1, -1, 3, -1});
  std::vector<float> two(2, 9.0f);
  CHECK_THROWS_AS(fanfold::scatter_fold(support::float_sum{}, index, ones, two), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::scatter_fold(support::float_sum{}, index, std::vector<float>(4), out), fanfold::argument_error);
  CHECK(two == std::vector<float>{9, 9});
}
