#include "fanfold/route/causal.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/expert_choice.hpp"
#include "fanfold/route/routers.hpp"
#include "route/routed.hpp"
#include "support/bits.hpp"

namespace {

static_assert(route::states_causality<route::mixtral_router> && route::causal_router<route::mixtral_router>);
static_assert(route::states_causality<route::expert_choice> && !route::causal_router<route::expert_choice>);
static_assert(!route::states_causality<int> && !route::causal_router<int>);

std::vector<float> wave(std::int64_t rows, std::int64_t experts) {
  std::vector<float> x;
  for (std::int64_t i = 0; i < rows * experts; ++i) x.push_back(static_cast<float>(std::sin(static_cast<double>(i) * 1.3) * 3));
  return x;
}

TEST_CASE("assign_causal: what assign gives") {
  auto const router = route::mixtral(2);
  routed<float> const want(router, wave(9, 6), 6);
  routed<float> got(router, wave(9, 6), 6);
  got.id.assign(got.id.size(), 99);
  got.weight.assign(got.weight.size(), 99);
  route::assign_causal(fanfold::serial, router, got.input(), got.out());
  CHECK(got.id == want.id);
  CHECK(support::same_bits(got.weight, want.weight));
}

/// Rows before `changed` keep ids and weights when the rows from there on become others.
template <class Router>
void check_prefix(Router const& router) {
  REQUIRE(route::causal_router<Router>);
  constexpr std::int64_t rows = 11, experts = 8;
  routed<float> const want(router, wave(rows, experts), experts);
  for (std::int64_t changed : {1, 5, 10}) {
    auto logits = wave(rows, experts);
    for (std::int64_t i = changed * experts; i < rows * experts; ++i) logits[static_cast<std::size_t>(i)] = static_cast<float>(i % 7) - 90;
    routed<float> const got(router, logits, experts);
    for (std::size_t i = 0; i < static_cast<std::size_t>(changed * want.slots); ++i) {
      REQUIRE(got.id[i] == want.id[i]);
      REQUIRE(support::same_bits(got.weight[i], want.weight[i]));
    }
  }
}

TEST_CASE("causal routers: later rows do not change what earlier ones get") {
  check_prefix(route::mixtral(2));
  check_prefix(route::deepseek_v2(4, 2, 3));
  check_prefix(route::remoe(5));
  check_prefix(route::dynamic_top_p(.6, 8));
  check_prefix(route::dynmole());
  check_prefix(route::gshard(route::row_noise::of(3, 1, 0)));
  check_prefix(route::vmoe(2, 8, route::row_noise::of(3, 1, 0)));
}

}  // namespace
