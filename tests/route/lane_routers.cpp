#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fanfold/route/group_select.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "route/routed.hpp"

// Routers whose rows go side by side through vector lanes, held against their policies row by row.

namespace {

struct serially {
  template <class F>
  void operator()(F const& f) const {
    f("serial", fanfold::serial);
  }
};

// Two whole tiles of the widest lanes and a part of a third.
template <class Router>
void check_lanes(Router const& router, std::int64_t experts) {
  for (auto const& load : fanfold::testing::router_workloads<float>(37, experts, 5))
    for (auto const& failure : fanfold::testing::check_router(router, load, serially{})) FAIL_CHECK(failure);
}

std::vector<float> some_bias(std::int64_t experts) {
  std::vector<float> bias;
  for (std::int64_t e = 0; e < experts; ++e) bias.push_back(static_cast<float>((e * 7) % 11 - 5) / 16);
  return bias;
}

using v3 = route::token_choice<route::sigmoid_score, route::group_limited_by_sum, route::sum_norm, route::selection_bias>;

v3 v3_of(std::int64_t groups, std::int64_t keep, std::int64_t k, std::int64_t summed, std::vector<float> const& bias) {
  return {.select = {groups, keep, k, summed}, .weight = {.scale = {2.5f}}, .adjust = {bias}};
}

TEST_CASE("lanes: groups by the sum of their best biased scores") {
  for (std::int64_t const experts : {24, 72}) {
    auto const bias = some_bias(experts);
    check_lanes(v3_of(8, 4, 8, 2, bias), experts);
    check_lanes(v3_of(6, 1, 3, 1, bias), experts);
    check_lanes(v3_of(4, 3, 8, 3, bias), experts);  // three a group: row by row
  }
  check_lanes(v3_of(24, 5, 5, 2, some_bias(24)), 24);  // groups of one expert
  check_lanes(v3_of(1, 1, 1, 2, some_bias(1)), 1);
}

TEST_CASE("lanes: groups by their best logit") {
  using v2 = route::token_choice<route::softmax_score, route::group_limited, route::raw_weight>;
  using normalised = route::token_choice<route::softmax_score, route::group_limited, route::sum_norm>;
  check_lanes(v2{.select = {.groups = 8, .keep = 3, .k = 6}, .weight = {{16}}}, 40);
  check_lanes(v2{.select = {.groups = 3, .keep = 3, .k = 2}}, 21);
  check_lanes(normalised{.select = {.groups = 2, .keep = 1, .k = 8}}, 130);
}

TEST_CASE("lanes: keys with a bias or a factor, scores of every kind") {
  auto const bias = some_bias(35);
  using biased = route::token_choice<route::sigmoid_score, route::top_k, route::sum_norm, route::selection_bias>;
  using scaled = route::token_choice<route::sqrt_softplus_score, route::top_k, route::raw_weight, route::selection_factor>;
  using rectified = route::token_choice<route::relu_score, route::top_k, route::raw_weight>;
  using plain = route::token_choice<route::identity_score, route::top_k, route::raw_weight>;
  check_lanes(biased{.select = {8}, .adjust = {bias}}, 35);
  check_lanes(scaled{.select = {3}, .adjust = {bias}}, 35);
  check_lanes(rectified{.select = {4}}, 35);
  check_lanes(plain{.select = {2}}, 35);
}

TEST_CASE("lanes: degenerate rows that take the lowest ids") {
  auto const bias = some_bias(24);
  v3 router = v3_of(4, 2, 5, 2, bias);
  router.on_degenerate = route::degenerate::lowest_ids;
  check_lanes(router, 24);
  auto const none = static_cast<float>(-infinity);
  routed<float> const r(router, std::vector<float>(48, none), 24);
  CHECK(r.id == std::vector<std::int32_t>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4});
  CHECK(r.stats.degenerate_rows() == 2);
}

TEST_CASE("lanes: one row alone and the same row among others agree") {
  auto const bias = some_bias(72);
  auto const load = fanfold::testing::router_workloads<float>(20, 72, 9).at(0);
  auto const router = v3_of(8, 4, 8, 2, bias);
  routed<float> const all(router, load.logits, 72);
  for (std::int64_t t = 0; t < 20; ++t) {
    routed<float> const one(router, std::vector<float>(load.logits.begin() + t * 72, load.logits.begin() + (t + 1) * 72), 72);
    CHECK(std::equal(one.id.begin(), one.id.end(), all.id.begin() + t * 8));
    CHECK(std::equal(one.weight.begin(), one.weight.end(), all.weight.begin() + t * 8));
  }
}

}  // namespace
