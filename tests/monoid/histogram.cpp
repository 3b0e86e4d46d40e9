#include "fanfold/monoid/histogram.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

law_options few() {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65};
  return o;
}

}  // namespace

TEST_CASE("histogram obeys its laws bit for bit") {
  law_report const r = check_monoid_laws(histogram(bin_edges({-1.0, 0.0, 0.5, 2.0})), nasty_values<double>{}, bitwise{}, few());
  CHECK_MESSAGE(r.ok(), r.text());
}
TEST_CASE("weighted_histogram obeys its laws bit for bit") {
  auto const items = items_from{nasty_values<double>{}, [](double x, std::int64_t, word_stream& w) { return weighted<double>{w.uniform() * 3 - 1, x}; }};
  law_report const r = check_monoid_laws(weighted_histogram(bin_edges::uniform(-1.0, 2.0, 3)), items, bitwise{}, few());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("histogram: half-open bins, the last closed, and what falls beside") {
  histogram const m(bin_edges({0.0, 1.0, 2.0}));
  std::vector<double> const x{-0.5, -0.0, 0.0, 0.999, 1.0, 2.0, 2.1, std::nan(""), std::numeric_limits<double>::infinity()};
  auto const s = m.lower(m.fold_block(view<double const>(x)));
  CHECK(s.bins == std::vector<std::uint64_t>{3, 2});
  CHECK(s.below == 1);
  CHECK(s.above == 2);
  CHECK(s.nan == 1);
}

TEST_CASE("histogram: uniform bins agree with their edges everywhere near them") {
  bin_edges const edges = bin_edges::uniform(0.0, 1.0, 49);
  for (std::int64_t i = 0; i <= 49; ++i) {
    double const e = edges.edges()[static_cast<std::size_t>(i)];
    std::int64_t const last = 48;
    CHECK(edges(e) == (i > last ? last : i));
    CHECK(edges(std::nextafter(e, -1.0)) == i - 1);
    if (i < 49) CHECK(edges(std::nextafter(e, 2.0)) == i);
  }
}

TEST_CASE("histogram: wrong edges and unequal operands are errors") {
  CHECK_THROWS_WITH_AS(bin_edges({1.0}), doctest::Contains("count of edges is 1"), argument_error);
  CHECK_THROWS_WITH_AS(bin_edges({0.0, 0.0}), doctest::Contains("above the edge before it"), argument_error);
  CHECK_THROWS_AS(bin_edges({0.0, std::nan("")}), argument_error);
  CHECK_THROWS_AS(bin_edges::uniform(0, 1, 0), argument_error);
  histogram const a(bin_edges({0.0, 1.0})), b(bin_edges({0.0, 0.5, 1.0}));
  CHECK_THROWS_WITH_AS(static_cast<void>(a.combine(a.identity(), b.identity())), doctest::Contains("bins of an operand"), argument_error);
}
