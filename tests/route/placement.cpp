#include "fanfold/route/placement.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/causal.hpp"
#include "fanfold/route/granularity.hpp"
#include "fanfold/route/mixer_gate.hpp"
#include "fanfold/route/routers.hpp"
#include "route/routed.hpp"
#include "support/executors.hpp"

namespace {

using ids = std::vector<std::int32_t>;
static_assert(route::causal_router<route::token_major_order> && !route::causal_router<route::choice_major_order> && !route::causal_router<route::by_score_order>);

struct placed {
  ids id{1, 0, 0, 1, 0, 2, 2, 0, 0, 1};
  std::vector<float> weight{.6f, .4f, .55f, .45f, .8f, .2f, .7f, .3f, .9f, .1f};
  ids slot = ids(10, 77);
  std::vector<std::int64_t> count, kept;
  std::int64_t dropped = 0;

  template <class Order, class E = fanfold::serial_executor>
  explicit placed(Order const& order, std::int64_t capacity = 2, std::int64_t group_size = 0, E const& ex = {}) {
    std::int64_t const groups = group_size == 0 ? 1 : (5 + group_size - 1) / group_size;
    count.assign(static_cast<std::size_t>(groups * 3), 77);
    kept = count;
    std::vector<std::int64_t> const limit(3, capacity);
    dropped = route::place(ex, order, out(), limit, {{slot.data(), 5, 2}, {count.data(), groups, 3}, {kept.data(), groups, 3}}, group_size);
  }
  route::assignment<float> out() { return {{id.data(), 5, 2}, {weight.data(), 5, 2}}; }
};

TEST_CASE("place: worked example of every order") {
  placed const choice(route::choice_major_order{});
  CHECK(choice.slot == ids{0, -1, 0, 1, 1, 1, 0, -1, -1, -1});
  CHECK(choice.dropped == 4);
  CHECK(choice.count == std::vector<std::int64_t>{5, 3, 2});
  CHECK(choice.kept == std::vector<std::int64_t>{2, 2, 2});
  CHECK(choice.id == ids{1, -1, 0, 1, 0, 2, 2, -1, -1, -1});
  CHECK(choice.weight[1] == 0);
  CHECK(placed(route::choice_major_order{}, 99).slot == ids{0, 3, 0, 1, 1, 1, 0, 4, 2, 2});
  CHECK(placed(route::batch_prioritised_order{}, 99).slot == ids{0, 4, 2, 2, 1, 1, 0, 3, 0, 1});
  CHECK(placed(route::batch_prioritised_order{}).id == ids{1, -1, -1, -1, 0, 2, 2, -1, 0, 1});
  CHECK(placed(route::token_major_order{}, 99).slot == ids{0, 0, 1, 1, 2, 0, 1, 3, 4, 2});
  CHECK(placed(route::token_major_order{}).id == ids{1, 0, 0, 1, -1, 2, 2, -1, -1, -1});
  CHECK(placed(route::by_score_order{}).slot == ids{0, -1, -1, 1, 0, 0, 1, -1, 1, -1});
  CHECK(placed(route::choice_major_order{}, 0).dropped == 10);
  CHECK(placed(route::choice_major_order{}, -1).dropped == 0);
}

TEST_CASE("place: groups are calls of their own; random order; every executor") {
  placed const grouped(route::token_major_order{}, 1, 2);
  CHECK(grouped.id == ids{1, 0, -1, -1, 0, 2, -1, -1, 0, 1});
  CHECK(grouped.kept == std::vector<std::int64_t>{1, 1, 0, 1, 0, 1, 1, 1, 0});
  route::random_order const random{route::row_noise::of(4, 0, 0)};
  placed const want(random, 2, 3);
  support::for_each_executor([&](char const*, auto const& ex) {
    placed const got(random, 2, 3, ex);
    CHECK(got.id == want.id);
    CHECK(got.slot == want.slot);
  });
  for (std::size_t e = 0; e < 6; ++e) CHECK(want.kept[e] == (want.count[e] < 2 ? want.count[e] : 2));
  bool differs = false;
  for (std::uint64_t seed = 0; seed < 8; ++seed) differs = differs || placed(route::random_order{route::row_noise::of(seed, 0, 0)}, 1).id != placed(random, 1).id;
  CHECK(differs);
  placed bad(random);
  bad.id[0] = 3;
  std::vector<std::int64_t> const limit(3, 1);
  CHECK_THROWS_AS(route::place(fanfold::serial, random, bad.out(), limit), fanfold::argument_error);
}

TEST_CASE("drop_over_budget, survivors, heterogeneous capacity: worked examples") {
  placed all(route::token_major_order{}, -1);
  ids const device{0, 0, 1};
  std::vector<std::int64_t> const budget{5, 9};
  CHECK(route::drop_over_budget(all.out(), device, budget) == 3);
  CHECK(all.id == ids{1, -1, 0, 1, 0, 2, 2, -1, 0, -1});
  route::renormalise_survivors(all.out());
  CHECK(all.weight[0] == 1);
  placed safe(route::token_major_order{}, -1);
  std::vector<std::uint8_t> const protect{1, 0, 0, 0, 1};
  route::drop_over_budget(safe.out(), device, budget, protect);
  CHECK(safe.id[1] == 0);
  CHECK(safe.id[9] == 1);
  auto const c = route::heterogeneous_capacity{.tau = .5}.of(100, 8, 4);
  CHECK(c.ffn == 7);
  CHECK(c.zero == 14);
  CHECK_THROWS_AS(route::heterogeneous_capacity{.tau = 0}.of(1, 1, 1), fanfold::argument_error);
}

TEST_CASE("granularity: worked example of Kairos") {
  std::vector<float> const bias(4);
  routed<float> r(route::kairos(bias, 2), {.5f, 1.5f, .2f, 1, .1f, 0, -1, 2}, 4);
  auto const s = route::granularity{.length = 8}.split(r.out());
  CHECK(s.row_ptr == std::vector<std::int64_t>{0, 2, 3});
  CHECK(s.view[0].weight == 1);
  CHECK(s.view[0].last == 4);
  ids id{0, 2};
  std::vector<float> w{.25f, .75f};
  auto const two = route::granularity{.length = 8}.split(route::assignment<float>{{id.data(), 1, 2}, {w.data(), 1, 2}});
  REQUIRE(two.segment.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    auto const& g = two.segment[i];
    CHECK(g.first == static_cast<std::int64_t>(2 * i));
    auto const& coarse = two.view[static_cast<std::size_t>(g.views)];
    auto const& fine = two.view[static_cast<std::size_t>(g.views) + 1];
    CHECK(coarse.first == 0);
    CHECK(coarse.last == 8);
    CHECK(fine.first == g.first);
    CHECK(fine.last == g.last);
    CHECK(coarse.weight + fine.weight == 1);
  }
  ids nulls{3, -1};
  CHECK(route::granularity{.length = 8}.split(route::assignment<float>{{nulls.data(), 1, 2}, {w.data(), 1, 2}}).segment.size() == 1);
  CHECK_THROWS_AS(route::granularity{.length = 6}.split(r.out()), fanfold::argument_error);
}

TEST_CASE("mixer_gate: worked example, matching, failure") {
  std::vector<double> const context{0, .1, .2, 0, .1, -.1, 2, 1, 2.2, 1.1, 1.9, .9}, loss{.5, .1, .6, .2, .4, .15, .3, .9, .2, .8, .25, .7};
  std::vector<double> centroid{.05, 0, 1, .5}, weight(6, 7);
  matrix_view<double const> const x(context.data(), 6, 2), l(loss.data(), 6, 2);
  auto const fit = route::fit_mixer_gate({.tolerance = 1e-3}, x, l, matrix_view(centroid.data(), 2, 2), matrix_view(weight.data(), 3, 2));
  CHECK(fit.status == route::mixer_gate::status::fitted);
  CHECK(fit.iterations == 2);
  check_near(centroid, std::vector<double>{.1, 0, 2.033333, 1});
  CHECK(fit.label == ids{0, 0, 0, 1, 1, 1});
  CHECK(fit.expert_of_cluster == ids{1, 0});
  check_near(weight, std::vector<double>{.408486, -.408486, .199493, -.199493, -.035465, 1.035465});
  std::vector<float> logits;
  for (std::size_t t = 0; t < 6; ++t)
    for (std::size_t e = 0; e < 2; ++e) logits.push_back(static_cast<float>(context[2 * t] * weight[e] + context[2 * t + 1] * weight[2 + e] + weight[4 + e]));
  routed<float> const r(route::mixer(), logits, 2);
  CHECK(r.id == ids{1, 1, 1, 0, 0, 0});
  CHECK(r.weight[0] == 1);
  std::vector<double> far{.1, .1, 900, 900}, untouched(6, 7);
  auto const failed = route::fit_mixer_gate({}, x, l, matrix_view(far.data(), 2, 2), matrix_view(untouched.data(), 3, 2));
  CHECK(failed.status == route::mixer_gate::status::empty_cluster);
  CHECK(untouched[0] == 7);
  CHECK(far[2] < 1e-3);
  std::vector<double> const c{0, 9}, bad{1, 2, 1.1, 100};
  std::vector<double> start{0, 9}, w(4);
  auto const cost = [&](route::mixer_gate::matching how) {
    auto const m = route::fit_mixer_gate({.match = how}, {c.data(), 2, 1}, {bad.data(), 2, 2}, matrix_view(start.data(), 2, 1), matrix_view(w.data(), 2, 2));
    return bad[static_cast<std::size_t>(m.expert_of_cluster[0])] + bad[2 + static_cast<std::size_t>(m.expert_of_cluster[1])];
  };
  CHECK(cost(route::mixer_gate::matching::greedy) == 101);
  CHECK(cost(route::mixer_gate::matching::optimal) == 3.1);
}

TEST_CASE("random_priorities, draw_centroids: keyed by row and place, within their range") {
  auto const noise = route::row_noise::of(4, 0, 0);
  std::vector<double> whole(40), tail(30), centroid(24), again(24);
  route::random_priorities(noise, whole);
  route::row_noise later = noise;
  later.row0 += 10;
  route::random_priorities(later, tail);
  CHECK(std::vector<double>(whole.begin() + 10, whole.end()) == tail);
  for (double p : whole) CHECK((p <= 0 && p > -0x1p32));
  route::draw_centroids(noise, matrix_view(centroid.data(), 6, 4));
  route::draw_centroids(noise, matrix_view(again.data(), 4, 6));
  CHECK(centroid == again);
  for (std::size_t i = 0; i < centroid.size(); ++i) {
    CHECK((centroid[i] > -1e-3 && centroid[i] < 1e-3));
    for (std::size_t j = 0; j < i; ++j) CHECK(centroid[i] != centroid[j]);
  }
}

}  // namespace
