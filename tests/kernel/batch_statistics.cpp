#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/kernel/balanced_assign.hpp"
#include "fanfold/kernel/expert_choice.hpp"
#include "fanfold/kernel/sinkhorn.hpp"
#include "fanfold/route/balanced_assign.hpp"
#include "fanfold/route/expert_choice.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
constexpr std::int64_t rows = 40, experts = 5;

bool same_statistics(route::routing_stats a, route::routing_stats b) {
  auto const x = a.view(), y = b.view();
  std::vector<double> const u(x.reals.begin(), x.reals.end()), v(y.reals.begin(), y.reals.end());
  bool same = support::same_bits(u, v);
  for (std::int64_t i = 0; i < x.integers.size(); ++i) same = same && x.integers[i] == y.integers[i];
  return same;
}

template <class Router, class E>
route::routing_stats statistics_of(E const& ex, Router const& router, std::vector<float> const& logits, std::vector<float>& weight) {
  route::routing_stats stats(experts);
  matrix_view<float const> const x(logits.data(), rows, experts);
  if constexpr (std::is_same_v<Router, route::expert_choice>) {
    std::int64_t const places = router.places(rows, experts);
    std::vector<std::int32_t> token(static_cast<std::size_t>(experts * places));
    weight.assign(token.size(), 0);
    route::assign(ex, router, x, route::expert_assignment<float>{{token.data(), experts, places}, {weight.data(), experts, places}}, stats.view());
  } else {
    std::vector<std::int32_t> id(static_cast<std::size_t>(rows));
    weight.assign(id.size(), 0);
    route::assign(ex, router, x, route::assignment<float>{{id.data(), rows, 1}, {weight.data(), rows, 1}}, stats.view());
  }
  return stats;
}

template <class Router>
route::routing_stats check_statistics(Router const& router, std::vector<float> const& logits) {
  std::vector<float> weight, other;
  auto const want = statistics_of(fanfold::serial, router, logits, weight);
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    CHECK(same_statistics(statistics_of(ex, router, logits, other), want));
  });
  support::for_each_geometry([&](auto const& ex) { CHECK(same_statistics(statistics_of(ex, router, logits, other), want)); });
  double sum = 0, of_weights = 0;
  std::int64_t choices = 0;
  for (std::int64_t e = 0; e < experts; ++e) {
    sum += want.weight_sum()[e];
    choices += want.count()[e];
  }
  for (float w : weight) of_weights += static_cast<double>(w);
  CHECK(sum == doctest::Approx(of_weights));
  CHECK(choices == want.choices());
  CHECK(want.tokens() == rows);
  return want;
}

}  // namespace

TEST_CASE("statistics of routers that look at the whole batch: the same on every executor and device") {
  auto logits = support::reals(rows * experts, 3);
  auto const base = check_statistics(route::balanced_assign{}, logits);
  for (auto c : base.count()) CHECK(c == rows / experts);
  CHECK(check_statistics(route::sinkhorn_router{}, logits).choices() == rows);
  auto const chosen = check_statistics(route::expert_choice{.experts_per_token = 1.5}, logits);
  for (auto c : chosen.count()) CHECK(c == 12);
  CHECK(chosen.score_sum()[0] > 0);
  for (std::int64_t e = 0; e < experts; ++e) logits[static_cast<std::size_t>(7 * experts + e)] = -HUGE_VALF;
  auto const over = check_statistics(route::expert_choice{.capacity = rows, .weight = route::expert_choice::weight_form::softmax_over_chosen}, logits);
  CHECK(over.degenerate_rows() == 1);
  CHECK(over.empty_rows() == 1);
  CHECK(over.weight_sum()[0] == doctest::Approx(1));
}
