#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/causal.hpp"
#include "fanfold/route/routers.hpp"
#include "route/central.hpp"

namespace {

using ids = std::vector<std::int32_t>;

static_assert(route::causal_router<route::mixtral_router> && route::causal_router<route::gshard_router>);
static_assert(!route::causal_router<route::voted_moge_router>);

TEST_CASE("entropy_hybrid: worked example of DynMoLE") {
  routed<float> const r(route::dynmole(), rows_abcd(), 4);
  CHECK(r.id == ids{0, 1, -1, -1, 1, 0, 2, 3, 1, 3, -1, -1, 0, 1, -1, -1});
  CHECK(r.weight[4] == doctest::Approx(.288651).epsilon(1e-5));
  routed<float> const no_test(route::dynmole(1, .75, 0), rows_abcd(), 4);
  CHECK(no_test.id == ids{0, -1, -1, -1, 1, 0, -1, -1, -1, -1, -1, -1, 0, -1, -1, -1});
  routed<float> const dense(route::dynmole(1e-9), rows_abcd(), 4);
  CHECK(dense.stats.choices() == 16);
}

TEST_CASE("row_entropy: worked example, every form") {
  auto const entropy = [](route::row_entropy const& h, std::vector<double> y) {
    return h.of(fanfold::host_lane{}, y.data(), static_cast<std::int64_t>(y.size()));
  };
  std::vector<double> const uniform(4, .25), one_hot{0, 1, 0, 0};
  CHECK(entropy({}, uniform) == doctest::Approx(.999704).epsilon(1e-6));
  CHECK(entropy({}, one_hot) == doctest::Approx(-.000158).epsilon(1e-2));
  auto const l = rows_abcd();
  std::vector<double> const at_11{.726866, .995101, .415415, .830765}, at_1{.731762, .995522, .429306, .827653};
  std::vector<double> const clean_11{.727149, .995397, .415685, .831050}, clean_1{.731737, .995511, .429264, .827629};
  for (std::size_t t = 0; t < 4; ++t) {
    std::vector<double> y(4), row(l.begin() + static_cast<std::ptrdiff_t>(4 * t), l.begin() + static_cast<std::ptrdiff_t>(4 * t + 4));
    for (auto& x : row) x = std::round(x * 10) / 10;
    route::detail::softmax_row(fanfold::host_lane{}, row.data(), y.data(), 4);
    CHECK(entropy({}, y) == doctest::Approx(at_11[t]).epsilon(2e-6));
    CHECK(entropy({.q = 1}, y) == doctest::Approx(at_1[t]).epsilon(2e-6));
    CHECK(entropy({.eps = 0}, y) == doctest::Approx(clean_11[t]).epsilon(2e-6));
    CHECK(entropy({.q = 1, .eps = 0}, y) == doctest::Approx(clean_1[t]).epsilon(2e-6));
    CHECK(entropy({.q = 1 + 1e-7, .eps = 0}, y) == doctest::Approx(clean_1[t]).epsilon(2e-6));
    for (auto const& h : {route::row_entropy{}, route::row_entropy{.q = 1}, route::row_entropy{.q = 2.5}, route::row_entropy{.kind = route::row_entropy::form::renyi}}) {
      std::vector<double> dy(4);
      h.gradient(fanfold::host_lane{}, y.data(), 1.0, dy.data(), 4);
      route::detail::softmax_row_vjp(fanfold::host_lane{}, y.data(), dy.data(), dy.data(), 4);
      auto const of_logits = [&](std::vector<double> x) {
        route::detail::softmax_row(fanfold::host_lane{}, x.data(), x.data(), 4);
        return entropy(h, x);
      };
      check_central(of_logits, row, dy);
    }
  }
  CHECK(entropy({}, {1}) == 0);
  CHECK_THROWS_AS(routed<float>(route::dynmole_router{.select = {.entropy = {.q = 1.001}}}, rows_abcd(), 4), fanfold::argument_error);
}

TEST_CASE("gshard: the second choice by chance, worked example") {
  std::vector<float> const u{.3f, .9f, .25f, .999f};
  routed<float> const r(route::gshard_router{.draw = u}, rows_abcd(), 4);
  CHECK(r.id == ids{0, 1, 1, 0, 1, -1, 0, 1});
  check_near(r.weight, std::vector<double>{.731059, .268941, .524979, .475021, .880797, 0, .5, .5});
  CHECK(r.stats.choices() == 7);
  routed<float> const inference(route::gshard_inference(), rows_abcd(), 4);
  CHECK(inference.weight == routed<float>(route::mixtral(2), rows_abcd(), 4).weight);
  routed<float> const one(route::gshard_inference(), {3}, 1);
  CHECK(one.id == ids{0, -1});
  CHECK(one.weight == std::vector<float>{1, 0});
  check_router_gradient(route::gshard(route::row_noise::of(3, 1, 0)), 5, 12);
}

TEST_CASE("deepspeed: the second expert is drawn from the others") {
  std::vector<float> rows;
  for (int t = 0; t < 4000; ++t) rows.insert(rows.end(), {2, 1, .5f, -1});
  routed<float> const r(route::deepspeed(route::row_noise::of(1, 0, 0)), rows, 4);
  CHECK(r.stats.first_count()[0] == 4000);
  std::vector<double> const p{0, .224208, .135989, .030343};
  for (std::size_t e = 1; e < 4; ++e) {
    double const want = 4000 * p[e] / (p[1] + p[2] + p[3]);
    CHECK(std::abs(static_cast<double>(r.stats.count()[static_cast<std::int64_t>(e)]) - want) < 5 * std::sqrt(want));
  }
  routed<float> const still(route::deepspeed_router{.select = {.sampling = false}}, rows_abcd(), 4);
  CHECK(still.id == routed<float>(route::mixtral(2), rows_abcd(), 4).id);
}

TEST_CASE("blockffn: worked example") {
  std::vector<float> const a{1, -.5f, .2f, .8f, -.1f, -.3f, -.2f, .6f, .1f, .5f, .4f, -1};
  routed<float> const r(route::blockffn(3), a, 3);
  CHECK(r.id == ids{0, 2, -1, 0, -1, -1, 1, 2, -1, 0, 1, -1});
  check_near(r.weight, std::vector<double>{1.698391, .339678, 0, 1.732010, 0, 0, 1.708415, .284736, 0, 1.352455, 1.081964, 0});
  std::vector<float> const gamma{1, 2, .5f, 1, 3};
  check_router_gradient(route::blockffn(5, gamma));
  routed<float> const none(route::blockffn(2), {-1, -2, -3}, 3);
  CHECK(none.stats.empty_rows() == 1);
}

TEST_CASE("shazeer, tutel, moge, kairos: settings arrive where they belong") {
  std::vector<float> const zeros(16), bias{.5f, 0, 0, 0, 0};
  auto const noise = route::row_noise::of(1, 2, 3);
  auto shazeer = route::shazeer(2, matrix_view(zeros.data(), 4, 4), noise);
  routed<double> const a(shazeer, {2, 1, .5, -1, .2, .3, .1, 0, -1, 3, 0, 1, 1, 1, -2, .5}, 4);
  for (int e = 0; e < 4; ++e) {
    double const l = a.logits[static_cast<std::size_t>(e)], sigma = std::log(2) + .01f;
    CHECK(shazeer.adjust.logit(0, e, 4, l) == doctest::Approx(l + sigma * static_cast<double>(noise.stream().normal(static_cast<std::uint64_t>(e)))));
  }
  CHECK(route::tutel(9, 4).slots(4) == 4);
  CHECK(routed<float>(route::tutel(1, 4), rows_abcd(), 4).weight[0] == doctest::Approx(.609460).epsilon(1e-5));
  check_near(routed<float>(route::tutel(2, 4), rows_abcd(), 4).weight, std::vector<double>{.731059, .268941, .524979, .475021, .880797, .119203, .5, .5});
  check_router_gradient(route::tutel(3, 5));
  check_router_gradient(route::kairos(bias, 2));
  routed<float> const k(route::kairos(fanfold::view<float const>(bias).subview(1, 4), 2), {.5f, 1.5f, .2f, 1, .1f, 0, -1, 2}, 4);
  CHECK(k.id == ids{1, 3, 3, 0});
  check_near(k.weight, std::vector<double>{.622459, .377541, .869892, .130108});
  std::vector<std::uint8_t> const open{1, 0, 0, 1, 0, 0};
  std::vector<float> const y{.3f, .1f, .1f, .2f, .2f, .1f, .25f, .2f, .05f, .1f, .3f, .1f, .1f, .3f, .1f, .3f, .1f, .1f};
  CHECK(routed<float>(route::voted_moge(2, open), y, 6).id == ids{0, 3, 0, 3, 0, 3});
}

}  // namespace
