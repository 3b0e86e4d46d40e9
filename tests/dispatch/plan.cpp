#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/route/placement.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::ids_example;
using support::ints;
using support::weights_example;
using longs = std::vector<std::int64_t>;

route::assignment<float const, std::int32_t const> routes_of(ints const& ids, std::vector<float> const& weights, std::int64_t slots) {
  std::int64_t const tokens = slots == 0 ? 0 : static_cast<std::int64_t>(ids.size()) / slots;
  return {{ids.data(), tokens, slots}, {weights.empty() ? nullptr : weights.data(), tokens, slots}};
}

struct made {
  ints row_of, src_of, counts, kept;
  longs offsets;
  bool operator==(made const&) const = default;
};
made copy(plan_view const& p) {
  using support::contents;
  return {contents(p.row_of, p.row_of.size()), contents(p.src_of, p.rows()), contents(p.counts, p.experts()), contents(p.kept, p.experts()),
          contents(p.offsets, p.experts() + 1)};
}

template <class E, class L, class O = token_major, class D = dropless, class Z = keep_zero>
made make(E const& ex, plan_policy<L, O, D, Z> const& policy, ints const& ids, std::vector<float> const& weights, std::int64_t slots,
          std::int64_t experts) {
  auto const routes = routes_of(ids, weights, slots);
  dispatch_plan plan(policy.layout, routes.rows(), slots, experts);
  make_plan(ex, policy, routes, plan.view());
  CHECK(validate_plan(plan.view(), std::is_same_v<O, token_major>));
  return copy(plan.view());
}
template <class L, class O = token_major, class D = dropless>
made example(plan_policy<L, O, D> const& policy) {
  return make(serial, policy, ids_example, weights_example, 2, 4);
}

}  // namespace

TEST_CASE("make_plan: worked example in every order") {
  made const dense = example(plan_policy{packed{}});
  CHECK(dense.counts == ints{3, 1, 5, 1});
  CHECK(dense.offsets == longs{0, 3, 4, 9, 10});
  CHECK(dense.row_of == ints{4, 0, 5, 3, 1, 6, 9, 7, 8, 2});
  CHECK(dense.src_of == ints{1, 4, 9, 3, 0, 2, 5, 7, 8, 6});

  made const by_slots = example(plan_policy{packed{}, slot_major{}});
  CHECK(by_slots.row_of == ints{4, 1, 5, 3, 0, 7, 9, 8, 6, 2});
  CHECK(by_slots.src_of == ints{4, 1, 9, 3, 0, 2, 8, 5, 7, 6});

  CHECK(example(plan_policy{packed{}, priority<>{}}).row_of == ints{5, 2, 6, 3, 0, 8, 9, 7, 4, 1});
  std::vector<float> const p{.75f, .5f, .6f, .9f, .8f};
  CHECK(example(plan_policy{packed{}, priority{p}}).row_of == ints{5, 2, 6, 3, 0, 8, 9, 7, 4, 1});
  std::vector<double> const q{.75, .5, .6, .9, .8};
  CHECK(example(plan_policy{packed{}, priority{q}}).row_of == ints{5, 2, 6, 3, 0, 8, 9, 7, 4, 1});

  made const aligned = example(plan_policy{packed{4}});
  CHECK(aligned.offsets == longs{0, 4, 8, 16, 20});
  CHECK(aligned.row_of == ints{8, 0, 9, 4, 1, 10, 16, 11, 12, 2});
}

TEST_CASE("make_plan: worked examples of drops") {
  ints const first3 = example(plan_policy{packed{}, token_major{}, by_rank{.limit = 3}}).row_of;
  CHECK((first3[7] == -1 && first3[8] == -1));
  ints const slots3 = example(plan_policy{packed{}, slot_major{}, by_rank{.limit = 3}}).row_of;
  CHECK((slots3[5] == -1 && slots3[7] == -1));
  made const score = example(plan_policy{packed{}, token_major{}, by_score{.limit = 2}});
  CHECK(score.row_of == ints{3, 0, -1, 2, 1, -1, 5, -1, 4, -1});
  CHECK(score.counts == ints{3, 1, 5, 1});
  CHECK(score.kept == ints{2, 1, 2, 1});
  ints const first2 = example(plan_policy{packed{}, priority<>{}, by_rank{.limit = 2}}).row_of;
  for (int a = 0; a < 10; ++a) CHECK((first2[static_cast<std::size_t>(a)] < 0) == (a == 1 || a == 2 || a == 5 || a == 7));
  CHECK(example(plan_policy{capacity{3}}).row_of == ints{6, 0, 7, 3, 1, 8, 9, -1, -1, 2});
  made const cut = example(plan_policy{masked{3}});
  CHECK(cut.offsets == longs{0, 3, 6, 9, 12});
  CHECK(cut.src_of == ints{1, 4, 9, 3, -1, -1, 0, 2, 5, 6, -1, -1});
  ints const limits{1, 0, 4, 5};
  CHECK(example(plan_policy{packed{}, token_major{}, by_rank{.limits = limits}}).kept == ints{1, 0, 4, 1});
  CHECK(example(plan_policy{packed{}, token_major{}, by_score{.limits = limits}}).kept == ints{1, 0, 4, 1});
  CHECK(example(plan_policy{packed{}, token_major{}, by_rank{.limit = 5}}) == example(plan_policy{packed{}}));
}

TEST_CASE("make_plan: drops of the router's worked example") {
  ints const ids{1, 0, 0, 1, 0, 2, 2, 0, 0, 1};
  std::vector<float> const w{.6f, .4f, .55f, .45f, .8f, .2f, .7f, .3f, .9f, .1f};
  auto const dropped = [&](auto const& policy) {
    made const m = make(serial, policy, ids, w, 2, 3);
    ints result;
    for (std::size_t a = 0; a < 10; ++a)
      if (m.row_of[a] < 0) result.push_back(static_cast<std::int32_t>(a));
    return result;
  };
  CHECK(dropped(plan_policy{packed{}, slot_major{}, by_rank{.limit = 2}}) == ints{1, 7, 8, 9});
  CHECK(dropped(plan_policy{packed{}, priority<>{}, by_rank{.limit = 2}}) == ints{1, 2, 3, 7});
  CHECK(dropped(plan_policy{packed{}, token_major{}, by_rank{.limit = 2}}) == ints{4, 7, 8, 9});
  CHECK(dropped(plan_policy{packed{}, token_major{}, by_score{.limit = 2}}) == ints{1, 2, 7, 9});
}

TEST_CASE("make_plan: survivors by score and at random are those of route::place") {
  std::mt19937 engine(3);
  std::int64_t const tokens = 90, slots = 3, experts = 7;
  ints ids(static_cast<std::size_t>(tokens * slots));
  std::vector<float> w(ids.size());
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 8) - 1;
  for (std::size_t a = 0; a < w.size(); ++a) w[a] = ids[a] < 0 ? 0.0f : static_cast<float>(engine() % 16) / 8.0f;
  longs const limits{30, 5, 0, 12, 100, 1, 20};
  ints const narrow(limits.begin(), limits.end());
  auto const noise = route::row_noise::of(5, 1, 2, 1000);
  auto const check = [&](auto const& order, auto const& drop) {
    ints placed_ids = ids, where(ids.size());
    std::vector<float> placed_weights = w;
    route::placement const out{{where.data(), tokens, slots}, {}, {}};
    route::assignment<float, std::int32_t> const routes{{placed_ids.data(), tokens, slots}, {placed_weights.data(), tokens, slots}};
    route::place(serial, order, routes, limits, out);
    made const m = make(serial, plan_policy{packed{}, token_major{}, drop}, ids, w, slots, experts);
    for (std::size_t a = 0; a < ids.size(); ++a)
      CHECK(where[a] == (m.row_of[a] < 0 ? -1 : m.row_of[a] - static_cast<std::int32_t>(m.offsets[static_cast<std::size_t>(ids[a])])));
  };
  check(route::by_score_order{}, by_score{.limits = narrow});
  check(route::random_order{noise}, at_random{.limits = narrow, .noise = noise});
}

TEST_CASE("make_plan: invariants over shapes, routings and layouts, equal for every executor") {
  thread_pool two(2), three(3);
  std::mt19937 engine(7);
  for (std::int64_t tokens : {0, 1, 2, 7, 64, 1000})
    for (std::int64_t slots : {1, 2, 8})
      for (std::int32_t experts : {1, 2, 8, 60, 256, 1024})
        for (int routing = 0; routing < 4; ++routing) {
          ints ids(static_cast<std::size_t>(tokens * slots));
          std::vector<float> w(ids.size());
          for (auto& x : w) x = static_cast<float>(engine() % 64) / 64.0f;
          for (auto& id : ids) {
            auto const u = static_cast<std::int32_t>(engine() % static_cast<unsigned>(experts));
            id = routing == 0 ? u : routing == 1 ? 0 : routing == 2 ? -1 : engine() % 3 == 0 ? -1 : u / 2;
          }
          made const dense = make(serial, plan_policy{packed{}}, ids, w, slots, experts);
          std::int64_t unused = 0;
          for (auto id : ids) unused += id < 0;
          CHECK(dense.offsets.back() + unused == tokens * slots);
          if (experts != 60 && tokens != 1000) continue;
          auto const all = [&](auto const& policy) {
            made const expected = make(serial, policy, ids, w, slots, experts);
            CHECK(make(two.ref(), policy, ids, w, slots, experts) == expected);
            CHECK(make(three.ref(), policy, ids, w, slots, experts) == expected);
#ifdef _OPENMP
            for (int threads : {1, 2, 3, 8}) CHECK(make(openmp_executor{threads}, policy, ids, w, slots, experts) == expected);
#endif
          };
          if (tokens == 1000 && routing % 2 == 1 && experts != 8) continue;
          all(plan_policy{packed{16}});
          all(plan_policy{packed{128}, slot_major{}});
          all(plan_policy{capacity{17}, priority<>{}});
          all(plan_policy{masked{5}, slot_major{}, by_rank{.limit = 3}});
          all(plan_policy{packed{}, token_major{}, by_score{.limit = 3}});
          all(plan_policy{packed{}, token_major{}, at_random{.limit = 3}});
        }
}

TEST_CASE("make_plan: the definition of every order against a direct count") {
  std::mt19937 engine(3);
  std::int64_t const tokens = 500, slots = 4;
  ints ids(2000);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 7) - 1;
  std::vector<float> w(2000);
  for (auto& x : w) x = static_cast<float>(static_cast<int>(engine() % 9) - 4) / 4.0f;  // ties, zeros and negative numbers
  w[0] = -0.0f;
  ints by_priority(500);
  for (int t = 0; t < 500; ++t) by_priority[static_cast<std::size_t>(t)] = t;
  std::stable_sort(by_priority.begin(), by_priority.end(), [&](int a, int b) { return w[static_cast<std::size_t>(a * 4)] > w[static_cast<std::size_t>(b * 4)]; });
  auto const expect = [&](auto const& visit) {
    ints next(6, 0), rank(2000, -1);
    for (std::int64_t i = 0; i < 2000; ++i) {
      auto const a = static_cast<std::size_t>(visit(i));
      if (ids[a] >= 0) rank[a] = next[static_cast<std::size_t>(ids[a])]++;
    }
    return rank;
  };
  auto const ranks = [&](auto const& policy) {
    made const m = make(serial, policy, ids, w, slots, 6);
    ints rank(2000, -1);
    for (std::size_t a = 0; a < 2000; ++a)
      if (m.row_of[a] >= 0) rank[a] = m.row_of[a] - static_cast<std::int32_t>(m.offsets[static_cast<std::size_t>(ids[a])]);
    return rank;
  };
  CHECK(ranks(plan_policy{packed{8}}) == expect([](std::int64_t i) { return i; }));
  CHECK(ranks(plan_policy{packed{8}, slot_major{}}) == expect([](std::int64_t i) { return i % tokens * slots + i / tokens; }));
  CHECK(ranks(plan_policy{packed{8}, priority<>{}}) ==
        expect([&](std::int64_t i) { return by_priority[static_cast<std::size_t>(i % tokens)] * slots + i / tokens; }));
}

TEST_CASE("make_plan: rows of ids that are not adjacent") {
  ints wide(15, 99);
  for (std::size_t t = 0; t < 5; ++t)
    for (std::size_t s = 0; s < 2; ++s) wide[t * 3 + s] = ids_example[t * 2 + s];
  route::assignment<float const, std::int32_t const> const routes{{wide.data(), 5, 2, 3}, {}};
  dispatch_plan plan(packed{}, 5, 2, 4);
  make_plan(packed{}, routes, plan.view());
  CHECK(copy(plan.view()) == example(plan_policy{packed{}}));
  make_plan(plan_policy{packed{}, slot_major{}}, routes, plan.view());
  CHECK(copy(plan.view()) == example(plan_policy{packed{}, slot_major{}}));
}

TEST_CASE("make_plan: errors leave the plan untouched") {
  dispatch_plan plan(packed{}, 5, 2, 4);
  make_plan(packed{}, routes_of(ids_example, {}, 2), plan.view());
  made const before = copy(plan.view());
  auto const fails = [&](auto const& policy, ints const& ids, std::vector<float> const& w, char const* text) {
    std::string what;
    try {
      make_plan(policy, routes_of(ids, w, 2), plan.view());
    } catch (argument_error const& error) {
      what = error.what();
    }
    CHECK_MESSAGE(what.find(text) != std::string::npos, what);
    CHECK(copy(plan.view()) == before);
  };
  ints bad = ids_example;
  bad[3] = 4;
  fails(packed{}, bad, {}, "key of item 3 is 4");
  bad[3] = -2;
  fails(plan_policy{packed{}, slot_major{}}, bad, {}, "key of item 3 is -2");
  fails(packed{}, ints{1, 2}, {}, "rows of the ids is 1");
  fails(packed{0}, ids_example, {}, "layout");
  fails(masked{2}, ids_example, {}, "masked");
  fails(plan_policy{packed{}, priority<>{}}, ids_example, {}, "weights of the routes");
  fails(plan_policy{packed{}, token_major{}, by_score{.limit = 1}}, ids_example, {}, "weights of the routes");
  auto nan = weights_example;
  nan[4] = std::nanf("");
  fails(plan_policy{packed{}, priority<>{}}, ids_example, nan, "a priority is NaN");
  fails(plan_policy{packed{}, token_major{}, by_score{.limit = 1}}, ids_example, nan, "a weight is NaN");
  fails(packed{8}, ids_example, {}, "size of src_of");
  CHECK_THROWS_AS(dispatch_plan(capacity{-1}, 5, 2, 4), argument_error);
}

TEST_CASE("make_plan: properties of concatenation and relabelling") {
  std::mt19937 engine(5);
  ints a(60), b(90);
  for (auto& id : a) id = static_cast<std::int32_t>(engine() % 6) - 1;
  for (auto& id : b) id = static_cast<std::int32_t>(engine() % 6) - 1;
  ints both = a;
  both.insert(both.end(), b.begin(), b.end());
  made const pa = make(serial, plan_policy{packed{}}, a, {}, 3, 5), pb = make(serial, plan_policy{packed{}}, b, {}, 3, 5),
             pc = make(serial, plan_policy{packed{}}, both, {}, 3, 5);
  for (std::size_t e = 0; e < 5; ++e) {
    ints expected(pa.src_of.begin() + pa.offsets[e], pa.src_of.begin() + pa.offsets[e + 1]);
    for (auto r = pb.offsets[e]; r < pb.offsets[e + 1]; ++r) expected.push_back(pb.src_of[static_cast<std::size_t>(r)] + 60);
    CHECK(ints(pc.src_of.begin() + pc.offsets[e], pc.src_of.begin() + pc.offsets[e + 1]) == expected);
  }
  ints relabelled = a;
  for (auto& id : relabelled) id = id < 0 ? id : 4 - id;
  made const pr = make(serial, plan_policy{packed{}}, relabelled, {}, 3, 5);
  for (std::size_t e = 0; e < 5; ++e)
    CHECK(ints(pa.src_of.begin() + pa.offsets[e], pa.src_of.begin() + pa.offsets[e + 1]) ==
          ints(pr.src_of.begin() + pr.offsets[4 - e], pr.src_of.begin() + pr.offsets[5 - e]));
}

TEST_CASE("make_plan: a plan and its scratch fit into the stated bytes") {
  std::vector<std::byte> block(plan_bytes(packed{16}, 5, 2, 4) + plan_workspace_bytes(5, 2, 4) + workspace::alignment);
  workspace ws(block.data(), block.size());
  workspace::frame frame(ws);
  plan_view const plan = take_plan(frame, packed{16}, 5, 2, 4);
  CHECK(plan.row_bound() == packed{16}.bound(10, 4));
  make_plan(serial, plan_policy{packed{16}, priority<>{}}, routes_of(ids_example, weights_example, 2), plan, ws);
  CHECK(validate_plan(plan, false));
  make_plan(serial, plan_policy{packed{16}, token_major{}, by_score{.limit = 1}}, routes_of(ids_example, weights_example, 2), plan, ws);
  CHECK(validate_plan(plan));
}

TEST_CASE("renormalise_kept divides by what survived") {
  dispatch_plan plan(packed{}, 5, 2, 4);
  make_plan(plan_policy{packed{}, token_major{}, by_score{.limit = 2}}, routes_of(ids_example, weights_example, 2), plan.view());
  std::vector<float> out(10);
  renormalise_kept(plan.view(), matrix_view<float const>(weights_example.data(), 5, 2), matrix_view<float>(out.data(), 5, 2));
  CHECK(out == std::vector<float>{.75f / (.75f + .25f), .25f, 0, 1, 1, 0, 1, 0, 1, 0});
}

TEST_CASE("make_plan: weights of exactly 0 are carried, or count as unused slots where asked for") {
  ints ids = ids_example;
  std::vector<float> w = weights_example;
  w[0] = 0, w[5] = -0.0f, w[9] = 0;
  std::vector<float> tiny = weights_example;
  tiny[0] = 1e-45f, tiny[5] = -1;
  ints left = ids;
  left[0] = left[5] = left[9] = -1;
  thread_pool three(3);
  auto const check = [&](auto const& layout, auto const& order, auto const& drop) {
    plan_policy const skipping{layout, order, drop, skip_zero{}};
    plan_policy const plain{layout, order, drop, keep_zero{}};
    made const expected = make(serial, plain, left, w, 2, 4);
    CHECK(make(serial, skipping, ids, w, 2, 4) == expected);
    CHECK(make(three.ref(), skipping, ids, w, 2, 4) == expected);
    CHECK(make(serial, plain, ids, w, 2, 4).counts == ints{3, 1, 5, 1});
    CHECK(make(serial, skipping, ids, tiny, 2, 4) == make(serial, plain, ids, tiny, 2, 4));
  };
  check(packed{}, token_major{}, dropless{});
  check(packed{4}, slot_major{}, by_rank{.limit = 2});
  check(capacity{2}, token_major{}, dropless{});
  check(packed{}, token_major{}, by_score{.limit = 1});
  made const some = make(serial, plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, ids, w, 2, 4);
  CHECK(some.counts == ints{2, 1, 3, 1});
  CHECK(some.row_of == ints{-1, 0, 3, 2, 1, -1, 6, 4, 5, -1});
  CHECK(make(serial, plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, ids, {}, 2, 4) == example(plan_policy{packed{}}));
  std::vector<float> const zeros(10);
  CHECK(make(serial, plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, ids, zeros, 2, 4).row_of == ints(10, -1));
  CHECK(make(serial, plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, {}, {}, 2, 4).row_of == ints{});
  // a wrong id is told, whatever it weighs
  ids[0] = 4;
  CHECK_THROWS_AS(make(serial, plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, ids, w, 2, 4), argument_error);
}
