#include <doctest/doctest.h>

#include "fanfold/dispatch/layout.hpp"

using namespace fanfold::dispatch;

static_assert(plan_layout<packed> && plan_layout<capacity> && plan_layout<masked>);
static_assert(leaves_padding<masked> && !leaves_padding<packed> && !leaves_padding<capacity>);

TEST_CASE("layouts: rows of a bin, limits and bounds") {
  CHECK(packed{}.rows(7) == 7);
  CHECK(packed{16}.rows(0) == 0);
  CHECK(packed{16}.rows(16) == 16);
  CHECK(packed{16}.rows(17) == 32);
  CHECK(capacity{5}.rows(2) == 5);
  CHECK(masked{5}.limit(3) == 5);
  CHECK(!packed{0}.valid());
  CHECK(!capacity{-1}.valid());
  // each assignment alone in its bin, or every bin with its padding, whichever is less
  CHECK(packed{16}.bound(3, 100) == 48);
  CHECK(packed{16}.bound(1000, 4) == 1072);
  CHECK(packed{1}.bound(1000, 4) == 1000);
  CHECK(packed{128}.bound(0, 4) == 0);
  CHECK(capacity{5}.bound(1000, 4) == 20);
}
