#include "fanfold/monoid/row_monoid.hpp"

#include <doctest/doctest.h>

#include <type_traits>

#include "support/monoids.hpp"

namespace {

using rows = fanfold::columnwise<support::float_sum>;
static_assert(fanfold::row_monoid<rows>);
static_assert(!fanfold::row_monoid<support::float_sum>);
static_assert(std::is_empty_v<rows::head>);

}  // namespace

TEST_CASE("a columnwise row monoid is its aggregator") {
  auto const r = fanfold::as_row_monoid(support::float_sum{});
  rows::factors f;
  CHECK(r.combine(r.lift(2), r.lift(3), f) == 5);
  CHECK(r.empty() == 0);
  CHECK(r.lower({}, 4) == 4);
  CHECK(std::is_same_v<decltype(fanfold::as_row_monoid(r)), rows>);
}
