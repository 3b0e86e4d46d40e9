#include "fanfold/fold/scatter_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

// The items of each segment and column folded one by one are what every permutation of the rows must give.
template <class A, class T, class Permutations>
void check_reproducible(A const& a, std::vector<T> x, std::int64_t segments, std::int64_t width, Permutations permutations) {
  auto const n = static_cast<std::int64_t>(x.size()) / width;
  support::lcg g(11);
  std::vector<std::int32_t> index(static_cast<std::size_t>(n));
  for (auto& i : index) i = static_cast<std::int32_t>(g.below(segments + 1)) - 1;
  using output = typename A::output;
  std::vector<output> expected, out(static_cast<std::size_t>(segments * width));
  for (std::int64_t s = 0; s < segments; ++s)
    for (std::int64_t c = 0; c < width; ++c) {
      std::vector<T> items;
      for (std::int64_t i = 0; i < n; ++i)
        if (index[static_cast<std::size_t>(i)] == s) items.push_back(x[static_cast<std::size_t>(i * width + c)]);
      expected.push_back(items.empty() ? output(7) : fanfold::fold(a, items, fanfold::order::reproducible));
    }
  for (int p = 0; p < permutations; ++p) {
    for (std::int64_t i = n - 1; i > 0; --i) {
      auto const a_row = static_cast<std::size_t>(i), b_row = static_cast<std::size_t>(g.below(i + 1));
      std::swap(index[a_row], index[b_row]);
      for (std::size_t c = 0; c < static_cast<std::size_t>(width); ++c) {
        auto const w = static_cast<std::size_t>(width);
        std::swap(x[a_row * w + c], x[b_row * w + c]);
      }
    }
    auto const check = [&](char const* name, auto const& ex) {
      CAPTURE(name);
      fanfold::scatter_fold(ex, a, index, fanfold::matrix_view<T const>(x.data(), n, width), fanfold::matrix_view<output>(out.data(), segments, width),
                            fanfold::order::reproducible, fanfold::empty_policy::value{output(7)});
      CHECK(support::same_bits(out, expected));
    };
    if (p == 0)
      support::for_each_executor(check);
    else
      check("serial", fanfold::serial);
  }
}

std::vector<float> heavy_tailed(std::size_t n) {
  support::lcg g(21);
  std::vector<float> x(n);
  for (float& v : x) v = g.real() * static_cast<float>(std::int64_t{1} << g.below(50));
  x[0] = -0.0f;
  x[n / 3] = std::numeric_limits<float>::infinity();
  x[n / 2] = std::numeric_limits<float>::quiet_NaN();
  x[n - 1] = std::numeric_limits<float>::denorm_min();
  return x;
}

}  // namespace

TEST_CASE("reproducible scatters have the bits of a fold under every permutation and partition") {
  auto const x = heavy_tailed(6000);
  std::vector<std::int32_t> integers(3000);
  support::lcg g(5);
  for (auto& v : integers) v = static_cast<std::int32_t>(g.next());
  std::vector<double> const wide(x.begin(), x.end());
  check_reproducible(fanfold::binned_sum<float, 2>{}, x, 40, 2, 100);
  check_reproducible(fanfold::binned_sum<double, 3>{}, wide, 2000, 1, 3);
  check_reproducible(fanfold::exact_sum<float>{}, x, 7, 3, 10);
  check_reproducible(fanfold::plus<std::int32_t>{}, integers, 10, 1, 100);
  check_reproducible(fanfold::maximum<float>{}, x, 30, 4, 100);
  check_reproducible(fanfold::minimum<float, fanfold::nan_policy::ignore>{}, x, 5000, 1, 10);
}

TEST_CASE("reproducible scatters check their keys before they write") {
  std::vector<std::int32_t> const high{0, 2}, low{0, -2};
  std::vector<float> const x{1, 2};
  std::vector<float> out(2, 9.0f);
  fanfold::binned_sum<float, 2> const a;
  CHECK_THROWS_AS(fanfold::scatter_fold(a, high, x, out, fanfold::order::reproducible), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::scatter_fold(a, low, x, out, fanfold::order::reproducible), fanfold::argument_error);
  CHECK(out == std::vector<float>{9, 9});
  std::vector<float> none;
  fanfold::scatter_fold(a, std::vector<std::int32_t>{-1, -1}, x, none, fanfold::order::reproducible);
}

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
