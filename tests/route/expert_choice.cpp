#include "fanfold/route/expert_choice.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/causal.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "route/central.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

using ids = std::vector<std::int32_t>;
static_assert(!route::causal_router<route::expert_choice>);

template <class L>
struct chosen {
  std::vector<std::int32_t> token;
  std::vector<L> weight;
  std::int64_t experts, places;

  template <class E>
  chosen(E const& ex, route::expert_choice const& router, std::vector<L> const& l, std::int64_t n, route::row_mask mask = {})
      : experts(n), places(router.places(static_cast<std::int64_t>(l.size()) / n, n)) {
    token.assign(static_cast<std::size_t>(n * places), 77);
    weight.assign(token.size(), L(77));
    route::assign(ex, router, matrix_view<L const>(l.data(), static_cast<std::int64_t>(l.size()) / n, n), out(), mask);
  }
  route::expert_assignment<L> out() { return {{token.data(), experts, places}, {weight.data(), experts, places}}; }
};

TEST_CASE("expert_choice: worked example, transposed both ways") {
  chosen<float> c(fanfold::serial, {.capacity = 2}, rows_abcd(), 4);
  CHECK(c.token == ids{0, 3, 2, 3, 1, 0, 3, 1});
  check_near(c.weight, std::vector<double>{.609460, .376461, .830953, .376461, .236328, .135989, .228335, .213838});
  std::vector<std::int64_t> row(5);
  std::vector<std::int32_t> id(8);
  std::vector<float> weight(8);
  route::transpose(c.out(), 4, route::ragged_assignment<float>{row, id, weight});
  CHECK(row == std::vector<std::int64_t>{0, 2, 4, 5, 8});
  CHECK(id == ids{0, 2, 2, 3, 1, 0, 1, 3});
  ids rectangular(12);
  std::vector<float> w(12);
  route::transpose(c.out(), route::assignment<float>{{rectangular.data(), 4, 3}, {w.data(), 4, 3}});
  CHECK(rectangular == ids{0, 2, -1, 2, 3, -1, 1, -1, -1, 0, 1, 3});
  CHECK_THROWS_AS(route::transpose(c.out(), route::assignment<float>{{rectangular.data(), 4, 2}, {w.data(), 4, 2}}), fanfold::argument_error);
}

TEST_CASE("expert_choice: places") {
  CHECK(route::expert_choice{}.places(10, 4) == 5);
  CHECK(route::expert_choice{.experts_per_token = 1}.places(10, 4) == 3);
  CHECK(route::expert_choice{.experts_per_token = 1, .round = true}.places(10, 4) == 2);
  CHECK(route::expert_choice{.experts_per_token = 1, .group_size = 4}.places(10, 4) == 3);
  CHECK(route::expert_choice{}.places(0, 4) == 0);
  chosen<float> dense(fanfold::serial, {.capacity = 99}, rows_abcd(), 4);
  CHECK(dense.places == 4);
  double sum = 0;
  for (float x : dense.weight) sum += static_cast<double>(x);
  CHECK(sum == doctest::Approx(4));
  std::vector<float> none;
  CHECK_THROWS_AS(chosen<float>(fanfold::serial, {.experts_per_token = -1}, rows_abcd(), 4), fanfold::argument_error);
}

TEST_CASE("expert_choice: limit of a token, groups, padding") {
  chosen<float> limited(fanfold::serial, {.capacity = 2, .most_experts = 2}, rows_abcd(), 4);
  // pairs: C1 A0 D0 D1 B1.. (expert 1 is full), B2, D3 (D has two), A3?  A1 (full), B3, B0 (full), C3, A2 ...
  std::vector<int> of_token(4);
  for (auto t : limited.token)
    if (t >= 0) ++of_token[static_cast<std::size_t>(t)];
  for (int n : of_token) CHECK(n <= 2);
  CHECK(ids(limited.token.begin(), limited.token.begin() + 4) == ids{0, 3, 2, 3});
  auto const l = rows_abcd();
  chosen<float> grouped(fanfold::serial, {.capacity = 1, .group_size = 3}, l, 4);
  chosen<float> first(fanfold::serial, {.capacity = 1}, std::vector<float>(l.begin(), l.begin() + 12), 4);
  CHECK(grouped.places == 2);
  for (std::size_t e = 0; e < 4; ++e) {
    CHECK(grouped.token[2 * e] == first.token[e]);
    CHECK(grouped.token[2 * e + 1] == 3);
  }
  std::vector<std::uint8_t> const real{1, 0, 1, 1};
  chosen<float> masked(fanfold::serial, {.capacity = 4}, l, 4, {real});
  for (auto t : masked.token) CHECK(t != 1);
}

TEST_CASE("expert_choice: hostile logits, and the same on every executor") {
  for (auto const& load : fanfold::testing::router_workloads<float>(70, 7, 9)) {
    CAPTURE(load.name);
    route::expert_choice const router{.experts_per_token = 1.5, .group_size = 16};
    chosen<float> want(fanfold::serial, router, load.logits, 7);
    for (std::int64_t e = 0; e < 7; ++e) {
      std::vector<bool> seen(70);
      for (std::int64_t i = 0; i < want.places; ++i) {
        auto const t = want.token[static_cast<std::size_t>(e * want.places + i)];
        REQUIRE(t >= -1);
        REQUIRE(t < 70);
        if (t < 0) continue;
        CHECK(!seen[static_cast<std::size_t>(t)]);
        seen[static_cast<std::size_t>(t)] = true;
      }
    }
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      chosen<float> got(ex, router, load.logits, 7);
      CHECK(got.token == want.token);
      CHECK(support::same_bits(got.weight, want.weight));
    });
  }
}

TEST_CASE("expert_choice: gradients") {
  std::vector<double> l;
  for (int i = 0; i < 30; ++i) l.push_back(std::sin(i * 1.7) * 2);
  for (auto form : {route::expert_choice::weight_form::score, route::expert_choice::weight_form::softmax_over_chosen}) {
    route::expert_choice const router{.experts_per_token = 2, .weight = form, .group_size = 4};
    chosen<double> c(fanfold::serial, router, l, 5);
    std::vector<double> dw(c.weight.size()), dl(30, 9);
    for (std::size_t i = 0; i < dw.size(); ++i) dw[i] = std::cos(static_cast<double>(i));
    route::assign_vjp(fanfold::serial, router, matrix_view(l.data(), 6, 5), c.out(), matrix_view(dw.data(), 5, c.places), matrix_view(dl.data(), 6, 5));
    check_central(
        [&](std::vector<double> const& x) {
          chosen<double> const at(fanfold::serial, router, x, 5);
          double s = 0;
          for (std::size_t i = 0; i < dw.size(); ++i) s += dw[i] * at.weight[i];
          return s;
        },
        l, dl);
  }
}

}  // namespace
