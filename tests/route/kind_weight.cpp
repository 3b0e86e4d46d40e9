#include "fanfold/route/kind_weight.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "route/central.hpp"
#include "support/executors.hpp"

namespace {

using kind = route::expert_kind;
using ids = std::vector<std::int32_t>;
std::vector<kind> const two_nulls{kind::real, kind::real, kind::null, kind::null};

TEST_CASE("sum_norm_real: worked example of AdaMoE") {
  routed<float> const r(route::adamoe(two_nulls, 2), rows_abcd(), 4);
  CHECK(r.id == ids{0, 1, 1, 0, 1, 3, 0, 1});
  check_near(r.weight, std::vector<double>{.731059, .268941, .524979, .475021, 1, 0, .5, .5});
  routed<float> const all_null(route::adamoe(two_nulls, 2), {-5, -5, 1, 2}, 4);
  check_near(all_null.weight, std::vector<double>{0, 0});
  CHECK(all_null.stats.empty_rows() == 1);
  CHECK(all_null.stats.choices() == 2);
  std::vector<kind> const real(4, kind::real);
  CHECK(routed<float>(route::adamoe(real, 2), rows_abcd(), 4).weight == routed<float>(route::mixtral(2), rows_abcd(), 4).weight);
  CHECK_THROWS_AS(routed<float>(route::adamoe(two_nulls, 2), {1, 2, 3}, 3), fanfold::argument_error);
}

TEST_CASE("renormalise_without_null: MoE++ as released") {
  std::vector<kind> const kinds{kind::real, kind::real, kind::copy, kind::null};
  routed<float> const r(route::moepp_released(kinds), rows_abcd(), 4);
  check_near(std::vector<float>(r.weight.begin() + 4, r.weight.begin() + 6), std::vector<double>{1, 0});
  check_near(std::vector<float>(r.weight.begin(), r.weight.begin() + 2), std::vector<double>{.609460, .224208});
  routed<float> const paper(route::moepp(), rows_abcd(), 4);
  check_near(std::vector<float>(paper.weight.begin() + 4, paper.weight.begin() + 6), std::vector<double>{.830953, .112457});
  routed<float> const one(route::moepp_released(kinds, 1), {0, 0, 0, 5}, 4);
  CHECK(one.weight[0] == 0);
}

TEST_CASE("kinds: gradients") {
  std::vector<kind> const kinds{kind::real, kind::null, kind::real, kind::null, kind::copy};
  check_router_gradient(route::adamoe(kinds, 3));
  check_router_gradient(route::moepp_released(kinds, 3));
  check_router_gradient(route::token_choice<route::sigmoid_score, route::top_k, route::sum_norm_real>{.select = {3}, .weight = {{kinds}}});
}

TEST_CASE("kinds: the router contract") {
  std::vector<kind> kinds(19, kind::real);
  for (std::size_t e = 0; e < 19; e += 3) kinds[e] = kind::null;
  auto const each = [](auto const& f) { support::for_each_executor(f); };
  for (auto const& load : fanfold::testing::router_workloads<float>(40, 19, 5)) {
    for (auto const& f : fanfold::testing::check_router(route::adamoe(kinds, 4), load, each)) FAIL_CHECK(f);
    for (auto const& f : fanfold::testing::check_router(route::moepp_released(kinds, 4), load, each)) FAIL_CHECK(f);
  }
}

}  // namespace
