#include "fanfold/kernel/token_graph.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_graph.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
using fanfold::view;
constexpr std::int64_t rows = 19, experts = 6;

template <class Router>
void check_graph(Router const& router, std::vector<float> const& logits) {
  matrix_view<float const> const x(logits.data(), rows, experts);
  fanfold::testing::routed_rows<float> want(rows, router.k, experts);
  route::assign(fanfold::serial, router, x, want.out(), want.stats.view());
  support::for_each_geometry([&](auto const& ex) {
    fanfold::testing::routed_rows<float> got(rows, router.k, experts);
    route::assign(ex, router, x, got.out(), got.stats.view());
    CHECK(got.id == want.id);
    CHECK(support::same_bits(got.weight, want.weight));
    std::vector<std::string> failures;
    fanfold::testing::detail::compare("device", want, got, failures);
    for (auto const& f : failures) FAIL_CHECK(f);
    fanfold::finish(ex);
  });
}

std::vector<float> relation_of(route::similarity const& s) {
  auto const x = support::reals(rows * 8, 4);
  std::vector<float> out(rows * rows);
  fanfold::workspace ws;
  matrix_view<float const> const tokens(x.data(), rows, 8);
  route::relate(fanfold::serial, s, tokens, tokens, matrix_view(out.data(), rows, rows), ws);
  support::for_each_geometry([&](auto const& ex) {
    std::vector<float> got(out.size());
    route::relate(ex, s, tokens, tokens, matrix_view(got.data(), rows, rows), ex.scratch());
    CHECK(support::same_bits(got, out));
  });
  return out;
}

}  // namespace

TEST_CASE("token graph on a device: similarities and the routes over them") {
  auto logits = support::reals(rows * experts, 1);
  for (std::int64_t e = 0; e < experts; ++e) logits[static_cast<std::size_t>(5 * experts + e)] = -std::numeric_limits<float>::infinity();
  std::vector<std::int32_t> document(rows);
  for (std::size_t t = 0; t < document.size(); ++t) document[t] = t < 7 ? 0 : 1;
  auto const all = relation_of({.tau = .5});
  check_graph(route::token_graph_router<false>{2, {.dense = {all.data(), rows, rows}}}, logits);
  auto const past = relation_of({.causal = true, .document = document});
  check_graph(route::token_graph_router<true>{3, {.dense = {past.data(), rows, rows}, .normalise = true}}, logits);
}

TEST_CASE("token graph on a device: attention heads, sparse relations") {
  std::vector<float> attention = support::reals(3 * rows * rows, 2);
  for (float& a : attention) a = a < 0 ? -a : a;
  matrix_view<float const> const heads(attention.data(), 3 * rows, rows);
  fanfold::workspace ws;
  for (auto how : {route::head_reduce::mean, route::head_reduce::min_entropy}) {
    std::vector<float> want(rows * rows);
    route::reduce_heads(fanfold::serial, how, 3, heads, matrix_view(want.data(), rows, rows), ws);
    support::for_each_geometry([&](auto const& ex) {
      std::vector<float> got(want.size());
      route::reduce_heads(ex, how, 3, heads, matrix_view(got.data(), rows, rows), ex.scratch());
      CHECK(support::same_bits(got, want));
    });
    check_graph(route::token_graph_router<false>{2, {.dense = {want.data(), rows, rows}, .normalise = true}}, support::reals(rows * experts, 3));
  }
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> ids;
  std::vector<float> values;
  for (std::int32_t t = 0; t < rows; ++t) {
    for (std::int32_t j = 0; j <= t && t % 4 != 2; j += 3) {
      ids.push_back(j);
      values.push_back(static_cast<float>(j + 1));
    }
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  check_graph(route::token_graph_router<true>{2, {.sparse = {offsets, ids, values}, .normalise = true}}, support::reals(rows * experts, 5));
}

TEST_CASE("token graph on a device: bad relations are reported and left out") {
  std::vector<float> const logits{1, 2, 3, 0};
  std::vector<std::int32_t> id(2);
  std::vector<float> weight(2);
  std::vector<std::int64_t> const offsets{0, 1, 2};
  std::vector<float> const values{1, 1};
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  auto const route_over = [&](std::vector<std::int32_t> const& ids) {
    route::token_graph_router<true> const router{1, {.sparse = {offsets, ids, values}}};
    route::assign(ex, router, matrix_view<float const>(logits.data(), 2, 2), route::assignment<float>{{id.data(), 2, 1}, {weight.data(), 2, 1}});
    fanfold::finish(ex);
  };
  CHECK_NOTHROW(route_over({0, 0}));
  CHECK(id == std::vector<std::int32_t>{1, 1});
  CHECK_THROWS_WITH_AS(route_over({1, 0}), doctest::Contains("out of range"), fanfold::argument_error);
  CHECK(id[0] == -1);
  CHECK_THROWS_WITH_AS(route_over({0, 7}), doctest::Contains("out of range"), fanfold::argument_error);
}
