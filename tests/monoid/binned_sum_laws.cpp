#include <doctest/doctest.h>

#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M>
void passes() {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65, 2049};
  o.shapes = 1;
  law_report const r = check_monoid_laws(M{}, nasty_values<typename M::input>{}, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

static_assert(has_block_fold<binned_sum<float>>);
static_assert(has_law(exact_sum<double>::laws, law::invertible) && !has_law(binned_sum<double>::laws, law::invertible));

}  // namespace

TEST_CASE("binned_sum<float> obeys its laws bit for bit") {
  passes<binned_sum<float, 1>>();
  passes<binned_sum<float, 2>>();
  passes<exact_sum<float>>();
}
TEST_CASE("binned_sum<double> obeys its laws bit for bit") {
  passes<binned_sum<double, 2>>();
  passes<binned_sum<double, 3>>();
  passes<exact_sum<double>>();
}
