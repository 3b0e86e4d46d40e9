#include "fanfold/kernel/balanced_assign.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/core/lsa.hpp"
#include "fanfold/route/balanced_assign.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;

template <class L>
struct balanced_result {
  std::vector<std::int32_t> id;
  std::vector<float> weight;
  std::vector<L> dlogits;
};

template <class E, class L>
balanced_result<L> balanced(E const& ex, route::balanced_assign const& router, std::vector<L> const& scores, std::int64_t n) {
  std::int64_t const rows = static_cast<std::int64_t>(scores.size()) / n;
  balanced_result<L> r{std::vector<std::int32_t>(static_cast<std::size_t>(rows), 77), std::vector<float>(static_cast<std::size_t>(rows), 77), {}};
  route::assign(ex, router, matrix_view<L const>(scores.data(), rows, n), route::assignment<float>{{r.id.data(), rows, 1}, {r.weight.data(), rows, 1}});
  return r;
}

template <class L>
void check_balanced(route::balanced_assign const& router, std::vector<L> const& scores, std::int64_t n) {
  auto const want = balanced(fanfold::serial, router, scores, n);
  support::for_each_geometry([&](auto const& ex) {
    auto const got = balanced(ex, router, scores, n);
    CHECK(got.id == want.id);
    CHECK(support::same_bits(got.weight, want.weight));
  });
}

/// The assignment alone, of costs in a matrix.
struct least_costs_body {
  struct shared {
    fanfold::checked_array<fanfold::detail::near_column, 32> nearest;
  };
  struct entries {
    matrix_view<double const> cost;
    double operator()(std::int64_t r, std::int64_t c) const { return cost(r, c); }
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, matrix_view<double const> cost, fanfold::detail::assignment_memory at) const {
    fanfold::detail::assign_least(b, s.nearest, entries{cost}, cost.rows(), cost.cols(), at);
  }
};

}  // namespace

TEST_CASE("balanced assignment on a device: the host's auction for every workload") {
  auto const loads = fanfold::testing::router_workloads<float>(24, 4, 3);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    CAPTURE(loads[i].name);
    if (support::thread_sanitizer && i % 4 != 0) continue;
    check_balanced({.group_size = i % 2 == 0 ? 0 : 8}, loads[i].logits, 4);
  }
}

TEST_CASE("balanced assignment on a device: shapes, padding, doubles, ties") {
  check_balanced({}, support::reals(60 * 3, 1), 3);
  check_balanced({.pad = true}, support::reals(41 * 5, 2), 5);
  check_balanced({.pad = true, .group_size = 9}, support::reals(20 * 4, 3), 4);
  check_balanced({}, support::reals(6, 4), 1);
  check_balanced({}, support::reals(16 * 16, 5), 16);
  check_balanced({}, std::vector<float>{}, 3);
  std::vector<double> tied;
  for (int i = 0; i < 32 * 4; ++i) tied.push_back(std::floor(std::sin(i * i * .37) * 3));
  check_balanced({}, tied, 4);
}

TEST_CASE("balanced assignment on a device: the exact form") {
  check_balanced({.exact = true}, support::reals(24 * 3, 6), 3);
  check_balanced({.exact = true, .pad = true, .group_size = 10}, support::reals(23 * 4, 7), 4);
  check_balanced({.exact = true}, std::vector<float>(12 * 4, 1.5f), 4);
}

TEST_CASE("linear sum assignment by a block: the host's columns") {
  for (std::int64_t rows : {1, 5, 40}) {
    std::int64_t const columns = rows + 3;
    std::vector<double> cost;
    for (std::int64_t i = 0; i < rows * columns; ++i) cost.push_back(std::floor(std::sin(static_cast<double>(i * i) * .61) * 20));
    matrix_view<double const> const m(cost.data(), rows, columns);
    auto const want = fanfold::linear_sum_assignment(m);
    support::for_each_geometry([&](auto const& ex) {
      fanfold::workspace::frame frame(ex.scratch());
      auto const at = fanfold::detail::take_assignment_memory(frame, 1, columns);
      ex.launch(least_costs_body{}, 1, ex.block_threads(), m, at);
      for (std::int64_t c = 1; c <= columns; ++c)
        if (at.row_of[c] != 0) CHECK(want[static_cast<std::size_t>(at.row_of[c] - 1)] == c - 1);
    });
  }
}
