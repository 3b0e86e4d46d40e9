#include "fanfold/route/token_graph.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/causal.hpp"
#include "route/central.hpp"
#include "support/executors.hpp"

namespace {

using ids = std::vector<std::int32_t>;
static_assert(!route::causal_router<route::token_graph_router<>> && route::causal_router<route::token_graph_router<true>>);

std::vector<float> const relation{.6f, .1f, .1f, .2f, .2f, .5f, .2f, .1f, .1f, .1f, .7f, .1f, .3f, .1f, .1f, .5f};
std::vector<double> rows_in_double() {
  std::vector<double> l;
  for (float x : rows_abcd()) l.push_back(std::round(static_cast<double>(x) * 10) / 10);
  return l;
}

template <class Router>
struct related {
  ids id;
  std::vector<double> weight;
  related(Router const& router, std::vector<double> const& l, std::int64_t n = 4) {
    std::int64_t const rows = static_cast<std::int64_t>(l.size()) / n;
    id.assign(static_cast<std::size_t>(rows * router.k), 77);
    weight.assign(id.size(), 77);
    route::assign(fanfold::serial, router, matrix_view<double const>(l.data(), rows, n), out(rows, router.k));
  }
  route::assignment<double> out(std::int64_t rows, std::int64_t k) { return {{id.data(), rows, k}, {weight.data(), rows, k}}; }
};

TEST_CASE("token_graph_router: worked example") {
  related const r(route::token_graph_router<>{.k = 2, .relation = {.dense = {relation.data(), 4, 4}}}, rows_in_double());
  CHECK(r.id == ids{0, 1, 1, 0, 1, 0, 0, 1});
  CHECK(r.weight[0] == doctest::Approx(.468608 / (.468608 + .321777)).epsilon(2e-6));
  CHECK(r.weight[6] == doctest::Approx(.398709 / (.398709 + .367453)).epsilon(2e-6));
  std::vector<float> const self{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
  related const plain(route::token_graph_router<>{.k = 2, .relation = {.dense = {self.data(), 4, 4}}}, rows_in_double());
  routed<double, double> const mixtral_like(mixtral{.select = {.k = 2}}, rows_in_double(), 4);
  CHECK(plain.id == mixtral_like.id);
  check_near(plain.weight, mixtral_like.weight, 1e-12);
  std::vector<float> const even(16, .25f);
  related const alike(route::token_graph_router<>{.k = 2, .relation = {.dense = {even.data(), 4, 4}}}, rows_in_double());
  for (std::size_t t = 1; t < 4; ++t) CHECK(alike.id[2 * t] == alike.id[0]);
}

TEST_CASE("token_graph_router: sparse relations, empty rows, causality") {
  std::vector<std::int64_t> const offsets{0, 0, 2, 3, 3};
  ids const columns{0, 1, 2};
  std::vector<float> const values{.5f, .5f, 1};
  fanfold::csr_view<float> const graph{offsets, columns, values};
  related const r(route::token_graph_router<true>{.k = 1, .relation = {.sparse = graph}}, rows_in_double());
  CHECK(r.id == ids{0, 0, 1, 0});
  CHECK_THROWS_AS(related(route::token_graph_router<true>{.k = 1, .relation = {.dense = {relation.data(), 4, 4}}}, rows_in_double()), fanfold::argument_error);
  std::vector<float> half(16, .125f);
  CHECK_THROWS_AS(related(route::token_graph_router<>{.k = 1, .relation = {.dense = {half.data(), 4, 4}}}, rows_in_double()), fanfold::argument_error);
  related const normalised(route::token_graph_router<>{.k = 1, .relation = {.dense = {half.data(), 4, 4}, .normalise = true}}, rows_in_double());
  CHECK(normalised.id == ids{1, 1, 1, 1});
}

TEST_CASE("token_graph_router: gradients of logits and relation") {
  std::vector<double> const dw{1, -.5, .3, 2, .7, -1, .2, .9};
  auto const l = rows_in_double();
  auto const objective = [&](std::vector<double> const& x, std::vector<float> const& s) {
    related const r(route::token_graph_router<>{.k = 2, .relation = {.dense = {s.data(), 4, 4}}}, x);
    double sum = 0;
    for (std::size_t i = 0; i < 8; ++i) sum += dw[i] * r.weight[i];
    return sum;
  };
  route::token_graph_router<> const router{.k = 2, .relation = {.dense = {relation.data(), 4, 4}}};
  related r(router, l);
  std::vector<double> dl(16), ds(16);
  route::assign_vjp(fanfold::serial, router, matrix_view(l.data(), 4, 4), r.out(4, 2), matrix_view(dw.data(), 4, 2), matrix_view(dl.data(), 4, 4),
                    matrix_view(ds.data(), 4, 4));
  check_central([&](std::vector<double> const& x) { return objective(x, relation); }, l, dl);
  for (std::size_t i = 0; i < 16; ++i) {
    auto up = relation, down = relation;
    up[i] += 1.f / 2048;  // rows still sum to 1 within 1e-3
    down[i] -= 1.f / 2048;
    double const width = static_cast<double>(up[i]) - static_cast<double>(down[i]);
    CHECK(ds[i] == doctest::Approx((objective(l, up) - objective(l, down)) / width).epsilon(1e-4).scale(1e-2));
  }
}

TEST_CASE("similarity and reduce_heads make rows that sum to 1") {
  std::vector<double> const x{1, 0, 0, 1, 1, 1, -1, 2};
  std::vector<double> s(16), heads(32), out(16);
  fanfold::workspace ws;
  matrix_view<double const> const tokens(x.data(), 4, 2);
  std::vector<std::int32_t> const document{0, 0, 1, 1};
  route::relate(fanfold::serial, route::similarity{.tau = .5, .causal = true, .document = document}, tokens, tokens, matrix_view(s.data(), 4, 4), ws);
  CHECK(s[0] == 1);
  CHECK(s[1] == 0);
  CHECK(s[4] + s[5] == doctest::Approx(1));
  CHECK(s[5] == doctest::Approx(1 / (1 + std::exp(-2.))));
  CHECK(s[8] + s[9] == 0);
  for (std::size_t i = 0; i < 16; ++i) {
    heads[i] = .25;
    heads[16 + i] = i % 5 == 0 ? 1 : 0;
  }
  route::reduce_heads(fanfold::serial, route::head_reduce::mean, 2, matrix_view<double const>(heads.data(), 8, 4), matrix_view(out.data(), 4, 4), ws);
  CHECK(out[0] == .625);
  route::reduce_heads(fanfold::serial, route::head_reduce::min_entropy, 2, matrix_view<double const>(heads.data(), 8, 4), matrix_view(out.data(), 4, 4), ws);
  CHECK(out[0] == 1);
  CHECK(out[1] == 0);
}

}  // namespace
