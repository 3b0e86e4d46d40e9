#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/exchange.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using ints = std::vector<std::int32_t>;
using sizes = std::vector<std::int64_t>;

template <class T>
std::vector<T> contents(view<T> v) {
  return std::vector<T>(v.begin(), v.end());
}

}  // namespace

TEST_CASE("exchange_plan: worked example of two ranks and four experts") {
  // rank 0 routes [[2,0],[2,1],[0,2]], rank 1 [[3,2],[2,0]]
  ints const counts{2, 1, 3, 0, 1, 0, 2, 1};
  matrix_view<std::int32_t const> const c(counts.data(), 2, 4);
  workspace ws;
  workspace::frame frame(ws);
  expert_owners const owners{.experts_a_rank = 2};
  auto const first = take_exchange_plan(frame, 2, 2), second = take_exchange_plan(frame, 2, 2);
  make_exchange_plan(c, owners, 0, first);
  make_exchange_plan(c, owners, 1, second);
  CHECK(contents(first.send) == sizes{3, 3});
  CHECK(contents(second.send) == sizes{1, 3});
  CHECK(contents(first.receive) == sizes{3, 1});
  CHECK(contents(second.receive) == sizes{3, 3});
  CHECK(contents(first.received_chunk) == sizes{2, 1, 1, 0});
  CHECK(contents(second.received_chunk) == sizes{3, 0, 2, 1});
  CHECK(contents(first.group) == sizes{0, 3, 4});
  CHECK(contents(second.group) == sizes{0, 5, 6});
  ints order(4), identity(6), expert(4);
  first.row_order(order);
  second.row_order(identity);
  first.row_experts(expert);
  CHECK(order == ints{0, 1, 3, 2});
  CHECK(identity == ints{0, 1, 2, 3, 4, 5});
  CHECK(expert == ints{0, 0, 1, 0});
}

TEST_CASE("exchange_plan: any table of owners, ranks without experts, nothing to send") {
  ints const counts{1, 2, 3, 4, 5, 6, 7, 8, 9}, owner{2, 0, 2};
  workspace ws;
  workspace::frame frame(ws);
  expert_owners const owners{1, owner};
  std::int64_t sent[3][3], received[3][3];
  for (std::int64_t r = 0; r < 3; ++r) {
    auto const plan = take_exchange_plan(frame, 3, owners.count(r, 3));
    make_exchange_plan({counts.data(), 3, 3}, owners, r, plan);
    for (std::int64_t q = 0; q < 3; ++q) sent[r][q] = plan.send[q], received[r][q] = plan.receive[q];
    ints order(static_cast<std::size_t>(plan.received_rows()));
    plan.row_order(order);
    std::vector<bool> seen(order.size());
    for (auto row : order) seen[static_cast<std::size_t>(row)] = true;
    for (bool s : seen) CHECK(s);
  }
  for (int r = 0; r < 3; ++r)
    for (int q = 0; q < 3; ++q) CHECK(sent[r][q] == received[q][r]);
  CHECK(sent[0][0] == 2);
  CHECK(sent[0][1] == 0);
  CHECK(sent[0][2] == 4);
  ints const bad{0, 3, 1};
  CHECK_THROWS_WITH_AS((expert_owners{1, bad}.check(3, 3)), doctest::Contains("owner"), argument_error);
}

TEST_CASE("expected_ranks: 256 experts, 8 slots") {
  double const expected[][2] = {{2, 1.993}, {4, 3.614}, {8, 5.295}, {16, 6.523}, {32, 7.267}, {64, 7.676}};
  for (auto const& e : expected) CHECK(expected_ranks(static_cast<std::int64_t>(e[0]), 256, 8) == doctest::Approx(e[1]).epsilon(2e-4));
  CHECK(expected_ranks(1, 256, 8) == 1);
  CHECK(expected_ranks(4, 4, 4) == 4);
  CHECK(expected_ranks(4, 4, 0) == 0);
}
