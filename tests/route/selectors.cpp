#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/group_select.hpp"
#include "fanfold/route/ragged_select.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "route/routed.hpp"

namespace {

using ids = std::vector<std::int32_t>;

template <class Select, class Score = route::softmax_score, class Weight = route::raw_weight>
using with = route::token_choice<Score, Select, Weight>;

std::vector<float> grouped_row() { return {.1f, 1.2f, -.3f, .7f, 2, -1, .4f, .9f}; }

TEST_CASE("per_group_top_k: worked example of MoGE") {
  routed<float> const a(with<route::per_group_top_k>{.select = {.groups = 4, .k_each = 1}}, grouped_row(), 8);
  CHECK(a.id == ids{1, 3, 4, 7});
  check_near(a.weight, std::vector<double>{.175777, .106614, .391199, .130219});
  CHECK(a.weight[0] + a.weight[1] + a.weight[2] + a.weight[3] == doctest::Approx(.803809).epsilon(2e-6));
  routed<float> const plain(with<route::top_k>{.select = {4}}, grouped_row(), 8);
  CHECK(plain.id == ids{4, 1, 7, 3});
  routed<float> const b(with<route::per_group_top_k>{.select = {.groups = 2, .k_each = 2}}, grouped_row(), 8);
  CHECK(b.id == ids{1, 3, 4, 7});
  routed<float> const c(with<route::per_group_top_k>{.select = {.groups = 2, .k_each = 1}}, rows_abcd(), 4);
  CHECK(c.id == ids{0, 2, 1, 2, 1, 3, 0, 3});
}

TEST_CASE("group_limited: worked example of DeepSeek-V2") {
  routed<float> const a(with<route::group_limited>{.select = {.groups = 4, .keep = 2, .k = 3}}, grouped_row(), 8);
  CHECK(a.id == ids{4, 1, 0});
  check_near(a.weight, std::vector<double>{.391199, .175777, .058511});
}

TEST_CASE("group_limited_by_sum: worked example of DeepSeek-V3, also with a large negative bias") {
  using v3 = route::token_choice<route::sigmoid_score, route::group_limited_by_sum, route::sum_norm, route::selection_bias>;
  for (float shift : {0.f, -1.5f}) {
    std::vector<float> bias{0, -.1f, .05f, 0, -.5f, .3f, .1f, -.05f};
    for (float& b : bias) b += shift;
    v3 const router{.select = {.groups = 2, .keep = 1, .k = 3, .summed = 2}, .weight = {.scale = {2.5f}}, .adjust = {bias}};
    routed<float> const r(router, grouped_row(), 8);
    CHECK(r.id == ids{6, 7, 5});
    check_near(r.weight, std::vector<double>{.948144, 1.125933, .425923});
  }
}

TEST_CASE("group_limited: all groups kept is plain top-k") {
  routed<float> const a(with<route::group_limited>{.select = {.groups = 4, .keep = 4, .k = 5}}, grouped_row(), 8);
  routed<float> const b(with<route::top_k>{.select = {.k = 5}}, grouped_row(), 8);
  CHECK(a.id == b.id);
  CHECK(a.weight == b.weight);
}

TEST_CASE("top_p: worked example") {
  routed<float> const a(with<route::top_p>{.select = {.p = .75}}, rows_abcd(), 4);
  CHECK(a.id == ids{0, 1, -1, -1, 1, 0, 2, -1, 1, -1, -1, -1, 0, 1, -1, -1});
  routed<float> const b(with<route::top_p>{.select = {.p = .75, .k_min = 0, .inclusive = false}}, rows_abcd(), 4);
  CHECK(b.id == ids{0, -1, -1, -1, 1, 0, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1});
  CHECK(b.stats.empty_rows() == 1);
  routed<float> const all(with<route::top_p>{.select = {.p = 1}}, rows_abcd(), 4);
  CHECK(all.stats.choices() == 16);
  routed<float> const one(with<route::top_p>{.select = {.p = 0, .k_max = 2}}, rows_abcd(), 4);
  CHECK(one.id == ids{0, -1, 1, -1, 1, -1, 0, -1});
}

TEST_CASE("positive: ReLU routing") {
  using relu = with<route::positive, route::relu_score>;
  routed<float> const a(relu{.select = {.k_max = 4}}, rows_abcd(), 4);
  CHECK(a.id == ids{0, 1, 2, -1, 0, 1, 2, -1, 1, 3, -1, -1, 0, 1, 3, -1});
  check_near(a.stats.count(), std::vector<double>{3, 4, 2, 2}, 1e-15);
  double l1 = 0;
  for (std::int64_t e = 0; e < 4; ++e) l1 += static_cast<double>(a.stats.count()[e]) * a.stats.score_sum()[e];
  CHECK(l1 * 4 / (2. * 16) == doctest::Approx(4.375));  // L / lambda
  routed<float> const few(relu{.select = {.k_max = 2}}, {1, 5, 2, -1}, 4);
  CHECK(few.id == ids{1, 2});
  routed<float> const none(relu{.select = {.k_max = 2}}, {-1, -5, 0, -1}, 4);
  CHECK(none.stats.empty_rows() == 1);
  CHECK(none.stats.degenerate_rows() == 0);
}

TEST_CASE("replay and table take what they are told") {
  ids const recorded{3, 0, 1, 1, 9, 2, -1, 0};
  with<route::replay> const router{.select = {{recorded.data(), 4, 2}}};
  routed<float> const a(router, rows_abcd(), 4);
  CHECK(a.id == ids{3, 0, 1, -1, -1, 2, -1, 0});
  CHECK(a.weight[0] == doctest::Approx(.030343).epsilon(1e-4));
  CHECK(a.weight[3] == 0);
  ids const experts{2, 0, 1}, token{1, 2, 0, 7};
  with<route::table, route::softmax_score, route::constant_weight> const hash{.select = {experts, token}};
  routed<float> const b(hash, rows_abcd(), 4);
  CHECK(b.id == ids{0, 1, 2, -1});
  CHECK(b.weight == std::vector<float>{1, 1, 1, 0});
}

TEST_CASE("replay_or: rows without a record are routed as usual") {
  using recorded = route::token_choice<route::softmax_score, route::replay_or<route::top_k>, route::sum_norm>;
  ids const from{3, 2, -1, -1, 0, -1, 9, -1};
  recorded const router{.select = {matrix_view<std::int32_t const>(from.data(), 4, 2), {2}}};
  routed<float> const r(router, rows_abcd(), 4);
  CHECK(r.id == ids{3, 2, 1, 0, 0, -1, -1, -1});
  routed<float> const plain(mixtral{.select = {2}}, rows_abcd(), 4);
  CHECK(r.weight[2] == plain.weight[2]);
  CHECK(r.weight[3] == plain.weight[3]);
  CHECK(r.weight[4] == 1);
  CHECK_THROWS_AS(routed<float>(recorded{.select = {matrix_view<std::int32_t const>(from.data(), 4, 2), {3}}}, rows_abcd(), 4), fanfold::argument_error);
  for (auto const& load : fanfold::testing::router_workloads<float>(4, 4, 3))
    for (auto const& failure : fanfold::testing::check_router(router, load, [](auto const& f) { f("serial", fanfold::serial); })) FAIL_CHECK(failure);
}

TEST_CASE("selectors: errors") {
  auto const fails = [](auto const& router) { CHECK_THROWS_AS(routed<float>(router, grouped_row(), 8), fanfold::argument_error); };
  fails(with<route::per_group_top_k>{.select = {.groups = 3, .k_each = 1}});
  fails(with<route::per_group_top_k>{.select = {.groups = 2, .k_each = 5}});
  fails(with<route::group_limited>{.select = {.groups = 4, .keep = 2, .k = 5}});
  fails(with<route::group_limited>{.select = {.groups = 4, .keep = 5, .k = 2}});
  fails(with<route::top_p>{.select = {.p = not_a_number}});
  fails(with<route::positive>{.select = {.k_max = 9}});
}

TEST_CASE("selectors: the router contract") {
  auto const serially = [](auto const& f) { f("serial", fanfold::serial); };
  auto const check = [&](auto const& router, std::int64_t experts) {
    for (auto const& load : fanfold::testing::router_workloads<float>(12, experts, 3))
      for (auto const& failure : fanfold::testing::check_router(router, load, serially)) FAIL_CHECK(failure);
  };
  check(with<route::per_group_top_k>{.select = {.groups = 4, .k_each = 3}}, 24);
  check(with<route::group_limited>{.select = {.groups = 8, .keep = 3, .k = 6}}, 24);
  check(with<route::group_limited_by_sum, route::sigmoid_score, route::sum_norm>{.select = {.groups = 3, .keep = 2, .k = 6, .summed = 2}}, 24);
  check(with<route::top_p>{.select = {.p = .6}}, 17);
  check(with<route::positive, route::relu_score>{.select = {.k_max = 9}}, 17);
}

}  // namespace
