#include "fanfold/kernel/plan.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/plan.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

struct problem {
  std::int64_t tokens, slots, experts;
  std::vector<std::int32_t> ids;
  std::vector<double> weights;
  std::vector<float> narrow, priorities;

  problem(std::int64_t t, std::int64_t k, std::int64_t e, std::uint64_t seed) : tokens(t), slots(k), experts(e) {
    support::lcg g(seed);
    for (std::int64_t a = 0; a < t * k; ++a) ids.push_back(static_cast<std::int32_t>(g.below(e + 1)) - 1);
    for (std::int64_t a = 0; a < t * k; ++a) weights.push_back(static_cast<double>(g.below(9)) / 4 - 1);  // ties, negative numbers
    narrow.assign(weights.begin(), weights.end());
    for (std::int64_t i = 0; i < t; ++i) priorities.push_back(static_cast<float>(g.below(5)) - 2);
    if (t > 1) priorities[1] = -0.0f;
  }
  template <class W>
  route::assignment<W const, std::int32_t const> routes(std::vector<W> const& w) const {
    return {{ids.data(), tokens, slots}, {w.data(), tokens, slots}};
  }
};

template <class T>
std::vector<T> contents(view<T> v, std::int64_t n) {
  return {v.data(), v.data() + n};
}

template <class Policy, class W>
void check(problem const& q, Policy const& policy, std::vector<W> const& weights) {
  auto const& layout = policy.layout;
  dispatch_plan expected(layout, q.tokens, q.slots, q.experts);
  make_plan(serial, policy, q.routes(weights), expected.view());
  auto const p = expected.view();
  support::for_each_geometry([&](auto const& ex) {
    dispatch_plan plan(layout, q.tokens, q.slots, q.experts);
    make_plan(ex, policy, q.routes(weights), plan.view());
    finish(ex);
    auto const got = plan.view();
    CHECK(contents(got.offsets, q.experts + 1) == contents(p.offsets, q.experts + 1));
    CHECK(contents(got.counts, q.experts) == contents(p.counts, q.experts));
    CHECK(contents(got.kept, q.experts) == contents(p.kept, q.experts));
    CHECK(contents(got.row_of, got.assignments()) == contents(p.row_of, p.assignments()));
    CHECK(contents(got.src_of, got.rows()) == contents(p.src_of, p.rows()));
  });
}

}  // namespace

TEST_CASE("emulated make_plan equals the host's: layouts, orders and drops") {
  std::vector<std::int32_t> const limits{3, 0, 5, 1, 100, 2, 2};
  for (auto const& q : {problem(60, 3, 7, 1), problem(1, 1, 7, 2), problem(0, 2, 7, 3), problem(5, 0, 7, 4), problem(300, 1, 7, 5)}) {
    check(q, plan_policy{packed{16}}, q.narrow);
    check(q, plan_policy{capacity{9}, token_major{}, dropless{}, skip_zero{}}, q.narrow);
    check(q, plan_policy{capacity{9}, slot_major{}}, q.narrow);
    check(q, plan_policy{masked{3}, slot_major{}, by_rank{.limit = 2}}, q.narrow);
    check(q, plan_policy{packed{}, priority{q.priorities}}, q.narrow);
    check(q, plan_policy{masked{6}, priority<>{}, by_rank{.limits = limits}}, q.narrow);
    check(q, plan_policy{packed{4}, priority<>{}}, q.weights);
    check(q, plan_policy{packed{}, token_major{}, by_score{.limit = 4}}, q.narrow);
    check(q, plan_policy{capacity{2}, slot_major{}, by_score{.limits = limits}}, q.weights);
    check(q, plan_policy{packed{8}, token_major{}, at_random{.limits = limits, .noise = route::row_noise::of(1, 2, 3)}}, q.narrow);
  }
}

TEST_CASE("emulated make_plan: rows of ids that are not adjacent") {
  problem const q(20, 4, 7, 9);
  std::int64_t const tokens = 20, slots = 2;
  route::assignment<float const, std::int32_t const> const routes{{q.ids.data(), tokens, slots, 4}, {q.narrow.data(), tokens, slots, 4}};
  auto const make = [&](auto const& ex, auto const& policy) {
    dispatch_plan plan(policy.layout, tokens, slots, 7);
    make_plan(ex, policy, routes, plan.view());
    return contents(plan.view().row_of, tokens * slots);
  };
  auto const check_policy = [&](auto const& policy) {
    auto const expected = make(serial, policy);
    support::for_each_geometry([&](auto const& ex) { CHECK(make(ex, policy) == expected); });
  };
  check_policy(plan_policy{packed{}});
  check_policy(plan_policy{packed{}, priority<>{}});
  check_policy(plan_policy{packed{}, token_major{}, by_score{.limit = 2}});
}

TEST_CASE("emulated make_plan: NaN where weights decide is reported, and the plan is sound all the same") {
  problem q(12, 2, 7, 3);
  q.narrow[4] = std::nanf("");
  workspace ws;
  emulate::executor const ex(ws, {});
  dispatch_plan plan(packed{}, 12, 2, 7);
  make_plan(ex, plan_policy{packed{}, token_major{}, by_score{.limit = 2}}, q.routes(q.narrow), plan.view());
  CHECK_THROWS_AS(finish(ex), argument_error);
  CHECK(validate_plan(plan.view()));
  make_plan(ex, plan_policy{packed{}, priority<>{}}, q.routes(q.narrow), plan.view());
  CHECK_THROWS_AS(finish(ex), argument_error);
  CHECK(validate_plan(plan.view(), false));
}
