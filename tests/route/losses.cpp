#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/z_loss.hpp"
#include "route/routed.hpp"

namespace {

static_assert(route::stat_loss<route::balance_loss>);

route::routing_stats stats_abcd() { return routed<float>(mixtral{.select = {.k = 2}}, rows_abcd(), 4).stats; }

TEST_CASE("balance_loss: every named form on the worked example") {
  auto const s = stats_abcd();
  std::vector<double> const ones(4, 1.0);
  CHECK(route::switch_balance(1).value(s) == doctest::Approx(1.491298).epsilon(1e-6));
  CHECK(route::gshard_balance(1).value(s) == doctest::Approx(.093206).epsilon(1e-5));
  CHECK(route::mixtral_balance(1).value(s) == doctest::Approx(2.813259).epsilon(1e-6));
  CHECK(route::megatron_balance(2, 1).value(s) == doctest::Approx(1.406629).epsilon(1e-6));
  CHECK(route::moepp_balance(ones, 1).value(s) == doctest::Approx(.703315).epsilon(1e-6));
  CHECK(route::balance_loss{.alpha = 1}.value(s) == doctest::Approx(1.406629).epsilon(1e-6));
  std::vector<double> const half{1, 1, .5, .5};
  CHECK(route::moepp_balance(half, 1).value(s) == doctest::Approx(.685034).epsilon(1e-6));
  std::vector<std::int32_t> const device{0, 0, 1, 1};
  CHECK(route::balance_loss{.alpha = 1, .group = device}.value(s) == doctest::Approx(1.368473).epsilon(1e-6));
  std::vector<std::int32_t> const one_device{0, 0, 0, 0};
  CHECK(route::balance_loss{.alpha = 1, .group = one_device}.value(s) == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("balance_loss: gradient of logits, worked example") {
  routed<float> r(mixtral{.select = {.k = 2}}, rows_abcd(), 4);
  auto const g = route::megatron_balance(2, 1).gradient(r.stats);
  std::vector<float> dlogits(16);
  route::assign_vjp(mixtral{.select = {.k = 2}}, r.input(), r.out(), matrix_view<float const>{}, matrix_view(dlogits.data(), 4, 4),
                    route::routing_stats_gradient{.score_sum = g});
  check_near(std::vector<float>(dlogits.begin(), dlogits.begin() + 4), std::vector<double>{.018622, .034877, -.046841, -.006659});
}

TEST_CASE("balance_loss: counts of the global batch, scores of the rank") {
  using top1 = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
  auto const a = routed<float>(top1{}, {2, 0, 2, 0}, 2).stats;
  auto const b = routed<float>(top1{}, {0, 2, 0, 2}, 2).stats;
  auto const loss = route::switch_balance(1);
  CHECK(loss.value(a) == doctest::Approx(1.761594).epsilon(1e-6));
  CHECK(loss.value(b) == doctest::Approx(1.761594).epsilon(1e-6));
  auto const both = merge(a, b);
  CHECK(loss.value(both, a) == doctest::Approx(1).epsilon(1e-6));
  CHECK(loss.value(both, b) == doctest::Approx(1).epsilon(1e-6));
  CHECK((loss.value(a) + loss.value(both, b)) / 2 == doctest::Approx(1.380797).epsilon(1e-6));  // accumulation: counts so far
  CHECK(loss.value(both) == doctest::Approx((loss.value(both, a) + loss.value(both, b)) / 2).epsilon(1e-12));
}

TEST_CASE("balance_loss: no rows, wrong sizes") {
  CHECK(route::balance_loss{}.value(route::routing_stats(4)) == 0);
  CHECK(route::balance_loss{}.gradient(route::routing_stats(4)) == std::vector<double>(4));
  std::vector<double> const three(3, 1.0);
  CHECK_THROWS_AS(route::moepp_balance(three).value(stats_abcd()), fanfold::argument_error);
  CHECK_THROWS_AS(route::balance_loss{}.value(route::routing_stats(3), stats_abcd()), fanfold::argument_error);
}

TEST_CASE("balance_loss: shares of tiny sigmoid scores still sum to 1") {
  routed<float> const r(sigmoid_router{.select = {.k = 2}}, {-60, -60, -60, -60}, 4);
  check_near(r.stats.score_sum(), std::vector<double>{.25, .25, .25, .25}, 1e-6);
  using softplus = route::token_choice<route::sqrt_softplus_score, route::top_k, route::raw_weight>;
  routed<float> const s(softplus{.select = {.k = 2}}, {-60, -60, -300, -300}, 4);
  check_near(s.stats.score_sum(), std::vector<double>{.5, .5, 0, 0}, 1e-6);
}

TEST_CASE("z_loss: worked example and gradient") {
  CHECK(route::z_loss{.c = 1}.value(stats_abcd()) == doctest::Approx(5.664758).epsilon(1e-6));
  routed<double, double> r(mixtral{.select = {.k = 2}}, {1, 2, 0}, 3);
  CHECK(route::z_loss{.c = 1}.value(r.stats) == doctest::Approx(5.796566).epsilon(1e-6));
  std::vector<double> dlogits(3);
  route::assign_vjp(mixtral{.select = {.k = 2}}, r.input(), r.out(), matrix_view<double const>{}, matrix_view(dlogits.data(), 1, 3),
                    route::z_loss{.c = 1}.gradient(r.stats));
  check_near(dlogits, std::vector<double>{1.178419, 3.203276, .433516});
  CHECK(route::z_loss{}.value(route::routing_stats(2)) == 0);
}

}  // namespace
