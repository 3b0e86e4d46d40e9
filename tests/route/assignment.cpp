#include "fanfold/route/assignment.hpp"

#include <doctest/doctest.h>

#include <vector>

namespace {

using fanfold::matrix_view;
namespace route = fanfold::route;

TEST_CASE("assignment: deduces element types and has a read-only form") {
  std::vector<std::int32_t> id{1, 0, 2, -1};
  std::vector<double> weight{.5, .5, 1, 0};
  route::assignment a{matrix_view(id.data(), 2, 2), matrix_view(weight.data(), 2, 2)};
  static_assert(std::is_same_v<decltype(a), route::assignment<double, std::int32_t>>);
  CHECK(a.rows() == 2);
  CHECK(a.slots() == 2);
  auto const c = route::as_const(a);
  static_assert(std::is_same_v<decltype(c), route::assignment<double const, std::int32_t const> const>);
  CHECK(c.id(1, 0) == 2);
  CHECK(c.weight(1, 1) == 0);
}

TEST_CASE("validate_assignment finds the first bad row") {
  std::vector<std::int32_t> id{1, 0, 2, -1};
  std::vector<float> weight{.5f, .5f, 1, 0};
  route::assignment<> const a{{id.data(), 2, 2}, {weight.data(), 2, 2}};
  CHECK(route::validate_assignment(a, 3) == -1);
  CHECK(route::validate_assignment(a, 2) == 1);
  weight[3] = 1;
  CHECK(route::validate_assignment(a, 3) == 1);
  id[0] = -2;
  CHECK(route::validate_assignment(a, 3) == 0);
}

}  // namespace
