#include "fanfold/route/balanced_assign.hpp"

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
static_assert(!route::causal_router<route::balanced_assign> && !route::causal_router<route::sinkhorn_router>);

template <class L, class Router>
struct balanced {
  ids id;
  std::vector<L> weight;

  template <class E>
  balanced(E const& ex, Router const& router, std::vector<L> const& l, std::int64_t n, std::int64_t k = 1) {
    std::int64_t const rows = static_cast<std::int64_t>(l.size()) / n;
    id.assign(static_cast<std::size_t>(rows * k), 77);
    weight.assign(id.size(), L(77));
    route::assign(ex, router, matrix_view<L const>(l.data(), rows, n), route::assignment<L>{{id.data(), rows, k}, {weight.data(), rows, k}});
  }
};
template <class L>
balanced<L, route::balanced_assign> base(std::vector<L> const& l, std::int64_t n, route::balanced_assign const& r = {}) {
  return {fanfold::serial, r, l, n};
}
double objective(ids const& id, std::vector<double> const& s, std::int64_t n) {
  double sum = 0;
  for (std::size_t t = 0; t < id.size(); ++t) sum += s[t * static_cast<std::size_t>(n) + static_cast<std::size_t>(id[t])];
  return sum;
}

TEST_CASE("balanced_assign: worked example, ties, the exact form") {
  std::vector<double> const s{2, 1, 1.8, .1, 1.5, 1.4, .9, 1, 1.7, .2, .3, .2};
  CHECK(base(s, 2).id == ids{0, 0, 1, 1, 0, 1});
  CHECK(base(s, 2, {.exact = true}).id == ids{0, 0, 1, 1, 0, 1});
  CHECK(objective(base(s, 2).id, s, 2) == doctest::Approx(8.1));
  CHECK(base(s, 2).weight[2] == doctest::Approx(1 / (1 + std::exp(-1.4))));
  std::vector<double> const tied{1, 2, 0, 2, 1, 2, 1, 0};
  CHECK(base(tied, 2).id == ids{0, 1, 0, 1});
  CHECK(objective(base(tied, 2, {.exact = true}).id, tied, 2) == 6);
  CHECK_THROWS_AS(base(std::vector<double>{1, 2, 3}, 3), fanfold::argument_error);
  CHECK(base(std::vector<double>{1, 2, 3, 0, 9, 1}, 3, {.pad = true}).id == ids{2, 1});
  CHECK(base(std::vector<double>{3, 1, 2}, 1).id == ids{0, 0, 0});
  CHECK(base(std::vector<double>{}, 2).id.empty());
}

TEST_CASE("balanced_assign: exact balance whatever the scores; near the optimum for distinct ones") {
  for (auto const& load : fanfold::testing::router_workloads<double>(28, 4, 3)) {
    CAPTURE(load.name);
    auto const got = base(load.logits, 4);
    std::vector<int> count(4);
    for (auto e : got.id) ++count[static_cast<std::size_t>(e)];
    for (int c : count) CHECK(c == 7);
    for (double w : got.weight) CHECK(w == w);
    support::for_each_executor([&](char const*, auto const& ex) { CHECK(balanced<double, route::balanced_assign>(ex, {}, load.logits, 4).id == got.id); });
  }
  std::vector<double> s;
  for (int i = 0; i < 32 * 4; ++i) s.push_back(std::sin(i * i * .37));
  double const best = objective(base(s, 4, {.exact = true}).id, s, 4), found = objective(base(s, 4).id, s, 4);
  CHECK(found <= best + 1e-12);
  CHECK(found >= best - 8 * 4 * (2 / 50.));
  std::vector<double> const first(s.begin(), s.begin() + 32);
  auto const groups = base(s, 4, {.group_size = 8}).id;
  CHECK(ids(groups.begin(), groups.begin() + 8) == base(first, 4).id);
}

TEST_CASE("sinkhorn: worked example") {
  std::vector<double> l;
  for (float x : rows_abcd()) l.push_back(std::round(static_cast<double>(x) * 10) / 10);
  std::vector<double> plan(16);
  fanfold::workspace ws;
  auto const info = route::balance(fanfold::serial, route::sinkhorn{}, matrix_view<double const>(l.data(), 4, 4), matrix_view(plan.data(), 4, 4), ws);
  CHECK(info.converged);
  CHECK(info.iterations == 8);
  check_near(plan, std::vector<double>{.123061, .027922, .086321, .012700, .040173, .027383, .114271, .068175, .004271, .143816, .036496, .065412,
                                       .082495, .050880, .012912, .103713});
  balanced<double, route::sinkhorn_router> const one(fanfold::serial, {}, l, 4);
  CHECK(one.id == ids{0, 2, 1, 3});
  check_near(one.weight, std::vector<double>{.880797, .524979, .952574, .622459});
  balanced<double, route::sinkhorn_router> const two(fanfold::serial, {.k = 2}, l, 4, 2);
  CHECK(two.weight[0] == doctest::Approx(.609460).epsilon(1e-5));
  auto shifted = l;
  for (std::size_t i = 0; i < 4; ++i) shifted[i] += 1000;
  CHECK(balanced<double, route::sinkhorn_router>(fanfold::serial, {}, shifted, 4).id == one.id);
  for (int e = 0; e < 4; ++e) {
    double sum = 0;
    for (int t = 0; t < 4; ++t) sum += plan[static_cast<std::size_t>(4 * t + e)];
    CHECK(sum == doctest::Approx(.25).epsilon(1e-6));
  }
}

TEST_CASE("sinkhorn: every executor, errors, gradients") {
  std::vector<float> l;
  for (int i = 0; i < 300 * 5; ++i) l.push_back(static_cast<float>(std::sin(i * 1.3) * 3));
  balanced<float, route::sinkhorn_router> const want(fanfold::serial, {.k = 2, .group_size = 70}, l, 5, 2);
  support::for_each_executor([&](char const*, auto const& ex) {
    balanced<float, route::sinkhorn_router> const got(ex, {.k = 2, .group_size = 70}, l, 5, 2);
    CHECK(got.id == want.id);
    CHECK(support::same_bits(got.weight, want.weight));
  });
  float const inf = std::numeric_limits<float>::infinity();
  auto const fails = [](std::vector<float> const& x, route::sinkhorn_router const& r) {
    CHECK_THROWS_AS((balanced<float, route::sinkhorn_router>(fanfold::serial, r, x, 2, r.k)), fanfold::argument_error);
  };
  fails({-inf, -inf, 1, 2}, {});
  fails({-inf, 1, -inf, 2}, {});
  fails({inf, 1, 0, 2}, {});
  fails({0, 1, 0, 2}, {.k = 3});
  fails({0, 1, 0, 2}, {.options = {.temperature = 0}});
  std::vector<double> const x{.3, -1, 2, .5, 1, -.2};
  ids const id{1, 2};
  std::vector<double> const w(2), dw{1.5, -.7};
  std::vector<double> dl(6);
  route::assign_vjp(fanfold::serial, route::sinkhorn_router{}, matrix_view(x.data(), 2, 3),
                    route::assignment<double const, std::int32_t const>{{id.data(), 2, 1}, {w.data(), 2, 1}}, matrix_view(dw.data(), 2, 1), matrix_view(dl.data(), 2, 3));
  double const s = 1 / (1 + std::exp(1.));
  CHECK(dl[1] == doctest::Approx(1.5 * s * (1 - s)));
  CHECK(dl[0] == 0);
}

TEST_CASE("linear_sum_assignment: small cases against every permutation") {
  for (int seed = 0; seed < 20; ++seed) {
    std::vector<double> c;
    for (int i = 0; i < 12; ++i) c.push_back(std::floor(std::sin(seed * 13 + i * 7.1) * 5));
    auto const a = fanfold::linear_sum_assignment(matrix_view<double const>(c.data(), 3, 4));
    double best = 1e9;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j)
        for (int k = 0; k < 4; ++k)
          if (i != j && j != k && i != k) best = std::fmin(best, c[static_cast<std::size_t>(i)] + c[static_cast<std::size_t>(4 + j)] + c[static_cast<std::size_t>(8 + k)]);
    CHECK(c[static_cast<std::size_t>(a[0])] + c[static_cast<std::size_t>(4 + a[1])] + c[static_cast<std::size_t>(8 + a[2])] == best);
  }
}

}  // namespace
