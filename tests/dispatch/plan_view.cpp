#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/plan.hpp"
#include "fanfold/dispatch/plan_view.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using ints = std::vector<std::int32_t>;
ints const ids_example{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};

}  // namespace

TEST_CASE("validate_plan and validate_distinct see faults") {
  dispatch_plan plan(packed{4}, 5, 2, 4);
  make_plan(packed{4}, route::assignment<float const, std::int32_t const>{{ids_example.data(), 5, 2}, {}}, plan.view());
  auto const p = plan.view();
  CHECK(validate_plan(p));
  p.row_of[0] = 9;
  CHECK(!validate_plan(p));
  p.row_of[0] = 8;
  p.src_of[19] = 0;
  CHECK(!validate_plan(p));
  p.src_of[19] = -1;
  p.kept[1] = 2;
  CHECK(!validate_plan(p));
  ints const ids{0, 1, 2, 2, -1, -1};
  CHECK(validate_distinct({ids.data(), 3, 2}) == 1);
  CHECK(validate_distinct({ids.data(), 1, 2}) == -1);
  CHECK(validate_distinct({ids.data() + 4, 1, 2}) == -1);
}

