#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "fanfold/core/lsa.hpp"

using namespace fanfold;

namespace {

double total(std::vector<double> const& cost, std::int64_t cols, std::vector<std::int32_t> const& column) {
  double sum = 0;
  for (std::size_t i = 0; i < column.size(); ++i) sum += cost[i * static_cast<std::size_t>(cols) + static_cast<std::size_t>(column[i])];
  return sum;
}

}  // namespace

TEST_CASE("linear_sum_assignment: known answers, rectangular, empty, ties") {
  std::vector<double> const c{4, 1, 3, 2, 0, 5, 3, 2, 2};
  CHECK(linear_sum_assignment({c.data(), 3, 3}) == std::vector<std::int32_t>{1, 0, 2});
  std::vector<double> const wide{9, 9, 1, 9, 9, 1, 5, 9};
  CHECK(linear_sum_assignment({wide.data(), 2, 4}) == std::vector<std::int32_t>{2, 1});
  CHECK(linear_sum_assignment({wide.data(), 0, 4}).empty());
  std::vector<double> const zero(9, 0.0);
  CHECK(linear_sum_assignment({zero.data(), 3, 3}) == std::vector<std::int32_t>{0, 1, 2});
}

TEST_CASE("linear_sum_assignment: the least over all permutations") {
  std::mt19937 engine(3);
  for (int trial = 0; trial < 60; ++trial) {
    std::int64_t const rows = 1 + trial % 6, cols = rows + trial % 2;
    std::vector<double> cost(static_cast<std::size_t>(rows * cols));
    for (auto& c : cost) c = static_cast<double>(engine() % 50) - 25;
    auto const got = linear_sum_assignment({cost.data(), rows, cols});
    std::vector<std::int32_t> order(static_cast<std::size_t>(cols));
    std::iota(order.begin(), order.end(), 0);
    double best = std::numeric_limits<double>::infinity();
    do best = std::min(best, total(cost, cols, {order.begin(), order.begin() + rows}));
    while (std::next_permutation(order.begin(), order.end()));
    CHECK(total(cost, cols, got) == best);
    auto seen = got;
    std::sort(seen.begin(), seen.end());
    CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  }
}

TEST_CASE("linear_sum_assignment: errors") {
  std::vector<double> const c{1, 2, std::numeric_limits<double>::infinity(), 4};
  CHECK_THROWS_AS(linear_sum_assignment({c.data(), 2, 1}), argument_error);
  CHECK_THROWS_WITH_AS(linear_sum_assignment({c.data(), 2, 2}), doctest::Contains("finite"), argument_error);
}
