#include "fanfold/route/noise.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "route/routed.hpp"

namespace {

template <class Adjust>
using noisy = route::token_choice<route::softmax_score, route::top_k, route::sum_norm, Adjust>;

static_assert(route::key_adjust<route::adjusts<route::gumbel_noise, route::selection_bias>>);

TEST_CASE("added_noise: worked example of noisy top-k; statistics see the clean logits") {
  std::vector<float> const given{.1f, -.2f, .3f, 0, -.1f, .2f, 0, .1f, 0, 0, .2f, -.3f, .2f, -.2f, .1f, 0};
  routed<float> const r(noisy<route::added_noise>{.select = {.k = 2}, .adjust = {{given.data(), 4, 4}}}, rows_abcd(), 4);
  CHECK(r.id == std::vector<std::int32_t>{0, 1, 1, 0, 1, 3, 0, 1});
  CHECK(r.weight[0] == doctest::Approx(.785835).epsilon(1e-6));
  CHECK(r.weight[1] == doctest::Approx(.214165).epsilon(1e-6));
  check_near(r.stats.score_sum(), std::vector<double>{1.262323, 1.720273, .432430, .584974});
}

TEST_CASE("gaussian_noise: depends on the row of the batch, not on the call") {
  auto const noise = route::row_noise::of(7, 3, 1);
  noisy<route::gaussian_noise> const router{.select = {.k = 2}, .adjust = {.5f, noise}};
  routed<float> const whole(router, rows_abcd(), 4);
  auto const all = rows_abcd();
  auto later = router;
  later.adjust.noise.row0 = 2;
  routed<float> const half(later, {all.begin() + 8, all.end()}, 4);
  CHECK(std::vector<float>(whole.weight.begin() + 4, whole.weight.end()) == half.weight);
  CHECK(std::vector<std::int32_t>(whole.id.begin() + 4, whole.id.end()) == half.id);
  routed<float> const none(noisy<route::gaussian_noise>{.select = {.k = 2}, .adjust = {0, noise}}, all, 4);
  CHECK(none.weight == routed<float>(mixtral{.select = {.k = 2}}, all, 4).weight);
  CHECK(whole.weight != none.weight);
}

TEST_CASE("gumbel_noise: samples in proportion to the softmax") {
  std::vector<float> rows;
  for (int t = 0; t < 4000; ++t) rows.insert(rows.end(), {2, 1, .5f, -1});
  routed<float> const r(noisy<route::gumbel_noise>{.adjust = {route::row_noise::of(1, 0, 0)}}, rows, 4);
  std::vector<double> const p{.609460, .224208, .135989, .030343};
  for (int e = 0; e < 4; ++e) {
    double const expected = 4000 * p[static_cast<std::size_t>(e)];
    CHECK(std::abs(static_cast<double>(r.stats.count()[e]) - expected) < 5 * std::sqrt(expected));
  }
}

TEST_CASE("expert_mask: closed experts come last, with weight 0") {
  std::vector<std::uint8_t> const open{0, 1, 0, 1};
  routed<float> const r(noisy<route::expert_mask>{.select = {.k = 3}, .adjust = {open}}, {2, 1, .5f, -1}, 4);
  CHECK(r.id == std::vector<std::int32_t>{1, 3, 0});
  check_near(r.weight, std::vector<double>{.880797, .119203, 0});
}

TEST_CASE("adjusts: noise in the logits and a bias on the keys") {
  std::vector<float> const bias{0, 0, 0, 5};
  std::vector<std::uint8_t> const open{0, 1, 1, 1};
  route::adjusts both{route::expert_mask{open}, route::selection_bias{bias}};
  routed<float> const r(noisy<decltype(both)>{.select = {.k = 2}, .adjust = both}, {2, 1, .5f, -1}, 4);
  CHECK(r.id == std::vector<std::int32_t>{3, 1});
  CHECK_THROWS_AS(routed<float>(noisy<route::gaussian_noise>{.adjust = {-1}}, rows_abcd(), 4), fanfold::argument_error);
}

}  // namespace
