#include "fanfold/route/assign.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "route/routed.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

TEST_CASE("assign: worked example of top-k, both weight conventions") {
  routed<float> const r(mixtral{.select = {.k = 2}}, rows_abcd(), 4);
  CHECK(r.id == std::vector<std::int32_t>{0, 1, 1, 0, 1, 3, 0, 1});
  check_near(r.weight, std::vector<double>{.731059, .268941, .524979, .475021, .880797, .119203, .5, .5});
  routed<float> const raw(olmoe{.select = {.k = 2}}, rows_abcd(), 4);
  CHECK(raw.id == r.id);
  check_near(raw.weight, std::vector<double>{.609460, .224208, .288651, .261183, .830953, .112457, .376461, .376461});
  routed<float> const dense(route::token_choice<route::softmax_score, route::all_experts, route::raw_weight>{}, {2, 1, .5f, -1}, 4);
  check_near(dense.weight, std::vector<double>{.609460, .224208, .135989, .030343});
}

TEST_CASE("assign: worked example of sigmoid and sqrt-softplus scores") {
  routed<float> const r(sigmoid_router{.select = {.k = 2}}, {2, 1, .5f, -1}, 4);
  check_near(r.weight, std::vector<double>{.546449, .453551});
  using softplus = route::token_choice<route::sqrt_softplus_score, route::top_k, route::raw_weight>;
  routed<float> const s(softplus{.select = {.k = 4}}, {2, 1, .5f, -1}, 4);
  check_near(s.weight, std::vector<double>{1.458399, 1.145976, .986953, .559698});
  routed<float> const one(sigmoid_router{.select = {.k = 1}}, {2, 1, .5f, -1}, 4);
  check_near(one.weight, std::vector<double>{.880797});  // one slot is not normalised
}

TEST_CASE("assign: worked example of the statistics") {
  routed<float> const r(mixtral{.select = {.k = 2}}, rows_abcd(), 4);
  CHECK(r.stats.tokens() == 4);
  CHECK(r.stats.choices() == 8);
  CHECK(r.stats.empty_rows() == 0);
  CHECK(r.stats.degenerate_rows() == 0);
  CHECK(r.stats.dropped() == 0);
  check_near(r.stats.count(), std::vector<double>{3, 4, 0, 1}, 1e-15);
  // not against a list: g++ 12.2 with AVX-512 makes {2, 2, 2, 2} of the constants {2, 2, 0, 0} here
  for (std::int64_t e = 0; e < 4; ++e) CHECK(r.stats.first_count()[e] == (e < 2 ? 2 : 0));
  check_near(r.stats.score_sum(), std::vector<double>{1.262323, 1.720273, .432430, .584974});
  check_near(r.stats.weight_sum(), std::vector<double>{1.706079, 2.174718, 0, .119203});
  CHECK(r.stats.lse_sq_sum() == doctest::Approx(22.659031).epsilon(1e-6));
  CHECK(r.stats.entropy_sum() == doctest::Approx(4.136897).epsilon(1e-6));
}

TEST_CASE("assign: a bias moves the choice, not the weights of the chosen") {
  std::vector<float> const bias{0, 0, 0, .9f};
  using biased = route::token_choice<route::sigmoid_score, route::top_k, route::raw_weight, route::selection_bias>;
  routed<float> const r(biased{.select = {.k = 2}, .adjust = {{bias.data(), 4}}}, {2, 1, .5f, -1}, 4);
  CHECK(r.id == std::vector<std::int32_t>{3, 0});
  check_near(r.weight, std::vector<double>{.268941, .880797});
}

TEST_CASE("assign: non-finite logits") {
  auto const nan = static_cast<float>(not_a_number), inf = static_cast<float>(infinity);
  routed<float> const a(olmoe{.select = {.k = 3}}, {nan, 1, -inf, 1}, 4);
  CHECK(a.id == std::vector<std::int32_t>{1, 3, 0});
  check_near(a.weight, std::vector<double>{.5, .5, 0}, 1e-15);
  routed<float> const b(olmoe{.select = {.k = 2}}, {inf, 0, inf, inf}, 4);
  CHECK(b.id == std::vector<std::int32_t>{0, 2});
  check_near(b.weight, std::vector<double>{1. / 3, 1. / 3});
  routed<float> const c(mixtral{.select = {.k = 2}}, {inf, 0, inf, inf}, 4);
  check_near(c.weight, std::vector<double>{.5, .5}, 1e-15);
  using relu = route::token_choice<route::relu_score, route::top_k, route::sum_norm>;
  routed<float> const d(relu{.select = {.k = 3}}, {inf, 5, inf, 1}, 4);
  CHECK(d.id == std::vector<std::int32_t>{0, 2, 1});
  check_near(d.weight, std::vector<double>{.5, .5, 0}, 1e-15);
  using plain = route::token_choice<route::identity_score, route::top_k, route::raw_weight>;
  routed<float> const e(plain{.select = {.k = 4}}, {-3, -inf, nan, inf}, 4);
  CHECK(e.id == std::vector<std::int32_t>{3, 0, 1, 2});
  CHECK(e.weight == std::vector<float>{inf, -3, 0, 0});
  using biased = route::token_choice<route::sigmoid_score, route::top_k, route::raw_weight, route::selection_bias>;
  std::vector<float> const bias{0, 0, 100, 0};
  routed<float> const f(biased{.select = {.k = 3}, .adjust = {{bias.data(), 4}}}, {1, 2, -inf, 3}, 4);
  CHECK(f.id == std::vector<std::int32_t>{3, 1, 0});  // -infinity stays last under any bias
}

TEST_CASE("assign: a degenerate row takes no expert, or the lowest ids with weight 0") {
  auto const nan = static_cast<float>(not_a_number), inf = static_cast<float>(infinity);
  std::vector<float> const rows{nan, -inf, nan, 0, 1, 2};
  routed<float> const none(mixtral{.select = {.k = 2}}, rows, 3);
  CHECK(none.id == std::vector<std::int32_t>{-1, -1, 2, 1});
  CHECK(none.weight[0] == 0);
  CHECK(none.weight[1] == 0);
  CHECK(none.stats.degenerate_rows() == 1);
  CHECK(none.stats.empty_rows() == 1);
  CHECK(none.stats.choices() == 2);
  CHECK(none.stats.tokens() == 2);
  routed<float> const lowest(mixtral{.select = {.k = 2}, .on_degenerate = route::degenerate::lowest_ids}, rows, 3);
  CHECK(lowest.id == std::vector<std::int32_t>{0, 1, 2, 1});
  CHECK(lowest.weight[0] == 0);
  CHECK(lowest.stats.degenerate_rows() == 1);
  CHECK(lowest.stats.empty_rows() == 0);
  CHECK(lowest.stats.choices() == 4);
}

TEST_CASE("assign: padding rows count nowhere") {
  std::vector<float> logits = rows_abcd();
  std::vector<std::uint8_t> const real{1, 0, 1, 1};
  std::vector<std::int32_t> id(8);
  std::vector<float> weight(8);
  route::routing_stats stats(4);
  route::assign(mixtral{.select = {.k = 2}}, matrix_view(logits.data(), 4, 4), route::assignment<>{{id.data(), 4, 2}, {weight.data(), 4, 2}},
                route::row_mask{real}, stats.view());
  CHECK(id == std::vector<std::int32_t>{0, 1, -1, -1, 1, 3, 0, 1});
  CHECK(weight[2] == 0);
  CHECK(stats.tokens() == 3);
  CHECK(stats.choices() == 6);
  CHECK(stats.empty_rows() == 0);
  CHECK(stats.count()[1] == 3);
}

TEST_CASE("assign: logits of two bytes, weights of two bytes, strided views") {
  std::vector<fanfold::bfloat16> logits;
  for (float x : {2.f, 1.f, .5f, -1.f, 9.f, 9.f, -1.f, 3.f, 0.f, 1.f, 9.f, 9.f}) logits.emplace_back(x);
  std::vector<std::int32_t> id(6, 7);
  std::vector<fanfold::float16> weight(6);
  route::assignment<fanfold::float16> const out{{id.data(), 2, 2, 3}, {weight.data(), 2, 2, 3}};
  route::assign(mixtral{.select = {.k = 2}}, matrix_view(logits.data(), 2, 4, 6), out);
  CHECK(id == std::vector<std::int32_t>{0, 1, 7, 1, 3, 7});
  CHECK(static_cast<float>(weight[0]) == doctest::Approx(.731059).epsilon(1e-3));
  CHECK(static_cast<float>(weight[4]) == doctest::Approx(.119203).epsilon(1e-3));
}

TEST_CASE("assign: no rows, one expert") {
  std::vector<float> logits{3};
  std::vector<std::int32_t> id{9};
  std::vector<float> weight{9};
  route::routing_stats stats(1);
  route::assign(mixtral{}, matrix_view(logits.data(), 0, 1), route::assignment<>{{id.data(), 0, 1}, {weight.data(), 0, 1}}, stats.view());
  CHECK(id[0] == 9);
  CHECK(stats.tokens() == 0);
  route::assign(mixtral{}, matrix_view(logits.data(), 1, 1), route::assignment<>{{id.data(), 1, 1}, {weight.data(), 1, 1}}, stats.view());
  CHECK(id[0] == 0);
  CHECK(weight[0] == 1);
}

std::vector<float> random_logits(std::int64_t count, std::uint32_t seed) {
  std::vector<float> x(static_cast<std::size_t>(count));
  std::uint32_t s = seed;
  for (float& v : x) {
    s = s * 1664525u + 1013904223u;
    v = static_cast<float>(static_cast<std::int32_t>(s >> 8) % 2000) / 250.f - 4.f;  // with ties
    if (s >> 24 == 3) v = std::numeric_limits<float>::quiet_NaN();
    if (s >> 24 == 5) v = -std::numeric_limits<float>::infinity();
  }
  return x;
}

TEST_CASE("assign: the same bits on every executor") {
  for (std::int64_t experts : {3, 64}) {
    std::int64_t const rows = experts == 3 ? 5003 : 700;
    auto const logits = random_logits(rows * experts, 7);
    routed<float> const want(mixtral{.select = {.k = 3}}, logits, experts);
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      routed<float> got(mixtral{.select = {.k = 3}}, logits, experts);
      std::fill(got.id.begin(), got.id.end(), 77);
      route::routing_stats stats(experts);
      route::assign(ex, mixtral{.select = {.k = 3}}, got.input(), got.out(), stats.view());
      CHECK(got.id == want.id);
      CHECK(support::same_bits(got.weight, want.weight));
      auto a = stats, b = want.stats;
      for (std::int64_t i = 0; i < a.view().integers.size(); ++i) CHECK(a.view().integers[i] == b.view().integers[i]);
      for (std::int64_t i = 0; i < a.view().reals.size(); ++i) CHECK(support::same_bits(a.view().reals[i], b.view().reals[i]));
    });
  }
}

TEST_CASE("assign: real statistics are the canonical row fold") {
  std::int64_t const rows = 2600;
  auto const logits = random_logits(rows * 2, 3);
  routed<float> const r(olmoe{.select = {.k = 2}}, logits, 2);
  std::vector<double> level;
  for (std::int64_t t = 0; t < rows; ++t) {
    double w = 0;
    for (std::int64_t j = 0; j < 2; ++j)
      if (r.id[static_cast<std::size_t>(2 * t + j)] == 0) w = static_cast<double>(r.weight[static_cast<std::size_t>(2 * t + j)]);
    if (t % 32 == 0)
      level.push_back(w);
    else
      level.back() += w;
  }
  while (level.size() > 1) {
    std::vector<double> next;
    for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(i + 1 < level.size() ? level[i] + level[i + 1] : level[i]);
    level = next;
  }
  CHECK(support::same_bits(r.stats.weight_sum()[0], level[0]));
}

TEST_CASE("assign: statistics merge") {
  auto const logits = random_logits(64 * 8, 5);
  mixtral const router{.select = {.k = 2}};
  routed<float> const whole(router, logits, 8);
  routed<float> const a(router, {logits.begin(), logits.begin() + 32 * 8}, 8);
  routed<float> const b(router, {logits.begin() + 32 * 8, logits.end()}, 8);
  auto const both = merge(a.stats, b.stats);
  CHECK(both.tokens() == 64);
  for (std::int64_t e = 0; e < 8; ++e) {
    CHECK(both.count()[e] == whole.stats.count()[e]);
    CHECK(support::same_bits(both.score_sum()[e], whole.stats.score_sum()[e]));
  }
  CHECK(merge(route::routing_stats{}, a.stats).tokens() == a.stats.tokens());
  CHECK(fanfold::fetch(fanfold::serial, route::routing_stats(a.stats).view()).choices() == a.stats.choices());
  CHECK_THROWS_AS(merge(a.stats, route::routing_stats(9)), fanfold::argument_error);
}

template <class F>
void check_throws_text(F&& f, std::string const& text) {
  try {
    f();
    FAIL("no exception; expected: " << text);
  } catch (fanfold::argument_error const& e) {
    CAPTURE(e.what());
    CHECK(std::string(e.what()).find(text) != std::string::npos);
  }
}

TEST_CASE("assign: errors come before any write") {
  std::vector<float> logits = rows_abcd();
  std::vector<std::int32_t> id(8, 55);
  std::vector<float> weight(8, 55);
  matrix_view<float> const x(logits.data(), 4, 4);
  route::assignment<> const out{{id.data(), 4, 2}, {weight.data(), 4, 2}};
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 5}}, x, out); }, "k is 5");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 0}}, x, out); }, "k is 0");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 3}}, x, out); }, "slots of the assignment is 2");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}}, x.sub_rows(0, 3), out); }, "rows of the ids is 4");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}}, matrix_view<float>(logits.data(), 4, 0), out); }, "number of experts is 0");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}}, x, out, route::routing_stats(3).view()); }, "experts of the statistics is 3");
  std::vector<std::uint8_t> const mask(3, 1);
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}}, x, out, route::row_mask{mask}); }, "row mask is 3");
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}}, x, route::assignment<>{out.id, {logits.data(), 4, 2}}); }, "overlapping");
  logits[9] = static_cast<float>(not_a_number);
  check_throws_text([&] { route::assign(mixtral{.select = {.k = 2}, .nan = route::nan_policy::error}, x, out); }, "row with a NaN logit is 2");
  CHECK(id == std::vector<std::int32_t>(8, 55));
  CHECK(weight == std::vector<float>(8, 55));
}

}  // namespace
