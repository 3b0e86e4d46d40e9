#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::doubles;
using support::floats;
using support::ints;
using support::matrix;
using support::network;
using support::randoms;
using mixtral = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using raw_router = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
using route::expert_kind;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// y += w * network(x), straight from the definition.
void add_network(network<double> const& n, std::int64_t e, double w, double const* x, double* y) {
  auto const view = n.view();
  for (std::int64_t i = 0; i < n.wide; ++i) {
    double g = 0, u = 0;
    for (std::int64_t k = 0; k < n.inner; ++k) g += x[k] * view.gate(e, k, i), u += x[k] * view.up(e, k, i);
    for (std::int64_t k = 0; k < n.inner; ++k) y[k] += w * g * sigmoid(g) * u * view.down(e, i, k);
  }
}

/// The k largest probabilities of a row of logits, ties by lower id, renormalised or not.
struct choice {
  ints id;
  doubles weight;
};
choice choose(double const* logit, std::int64_t n, std::int64_t k, bool normalise) {
  double sum = 0, kept = 0;
  for (std::int64_t e = 0; e < n; ++e) sum += std::exp(logit[e]);
  choice c;
  for (std::int64_t j = 0; j < k; ++j) {
    std::int64_t best = -1;
    for (std::int64_t e = 0; e < n; ++e) {
      bool taken = false;
      for (auto id : c.id) taken = taken || id == e;
      if (!taken && (best < 0 || logit[e] > logit[best])) best = e;
    }
    c.id.push_back(static_cast<std::int32_t>(best));
    c.weight.push_back(std::exp(logit[best]) / sum);
    kept += c.weight.back();
  }
  if (normalise)
    for (auto& w : c.weight) w /= kept;
  return c;
}

void check_near(doubles const& a, doubles const& b, double tolerance = 1e-12) {
  REQUIRE(a.size() == b.size());
  double worst = 0, size = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::fmax(worst, std::abs(a[i] - b[i])), size = std::fmax(size, std::abs(b[i]));
  CHECK(worst <= tolerance * size);
}

}  // namespace

TEST_CASE("moe_layer: the definition in double, statistics, every executor, a logit source") {
  std::int64_t const tokens = 37, experts = 6, inner = 8;
  network<double> const n(experts, inner, 11, 5);
  doubles const x = randoms<double>(tokens * inner, 1), router_matrix = randoms<double>(inner * experts, 2);
  doubles logits(static_cast<std::size_t>(tokens * experts)), expected(x.size()), y(x.size());
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t e = 0; e < experts; ++e)
      for (std::int64_t k = 0; k < inner; ++k)
        logits[static_cast<std::size_t>(t * experts + e)] += x[static_cast<std::size_t>(t * inner + k)] * router_matrix[static_cast<std::size_t>(k * experts + e)];
  std::vector<std::int64_t> count(static_cast<std::size_t>(experts));
  for (std::int64_t t = 0; t < tokens; ++t) {
    auto const c = choose(logits.data() + t * experts, experts, 2, true);
    for (std::size_t j = 0; j < 2; ++j) {
      add_network(n, c.id[j], c.weight[j], x.data() + t * inner, expected.data() + t * inner);
      ++count[static_cast<std::size_t>(c.id[j])];
    }
  }
  moe_layer const layer{mixtral{.select = {.k = 2}}, swiglu_experts{n.view()}, weighted_sum{}};
  packed_ffn<double> const packed_weights(n.view());
  moe_layer const packed_layer{mixtral{.select = {.k = 2}}, swiglu_experts{packed_weights}, weighted_sum{}};
  doubles first;
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    workspace ws;
    route::routing_stats stats(experts);
    layer(ex, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(y, tokens, inner), stats.view(), ws);
    if (first.empty()) first = y;
    CHECK(support::same_bits(y, first));
    CHECK(stats.tokens() == tokens);
    CHECK(stats.dropped() == 0);
    for (std::int64_t e = 0; e < experts; ++e) CHECK(stats.count()[e] == count[static_cast<std::size_t>(e)]);
    CHECK(route::balance_loss{}.value(fetch(ex, stats.view())) > 0);
    packed_layer(ex, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(y, tokens, inner));
    CHECK(support::same_bits(y, first));
  });
  check_near(first, expected);
  layer(serial, matrix(x, tokens, inner), logit_source{weight_bank<double const>(router_matrix.data(), 1, inner, experts)}, matrix(y, tokens, inner));
  check_near(y, expected);
}

TEST_CASE("moe_layer: worked example of combining; any monoid; linear experts") {
  // f_e(x) = (e + 1) x, routes and weights given through logits that choose them
  std::vector<double> const w{1, 2, 3, 4}, x{1, 2, 3, 4, 5};
  ints const ids{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};
  doubles const weight{.75, .25, .5, .5, .6, .4, .9, .1, .8, .2};
  doubles logits(20, -50.0), y(5);
  for (std::size_t a = 0; a < 10; ++a) logits[a / 2 * 4 + static_cast<std::size_t>(ids[a])] = std::log(weight[a]) + (a % 2 == 0 ? 1e-9 : 0);
  linear_experts const experts{weight_bank<double const>(w.data(), 4, 1, 1)};
  moe_layer{mixtral{.select = {.k = 2}}, experts}(serial, matrix(x, 5, 1), matrix(logits, 5, 4), matrix(y, 5, 1));
  check_near(y, {2.5, 5, 5.4, 15.6, 13}, 1e-8);
  moe_layer{mixtral{.select = {.k = 2}}, experts, combine_policy{maximum<double>{}, ignore_weight{}}}(serial, matrix(x, 5, 1), matrix(logits, 5, 4),
                                                                                                      matrix(y, 5, 1));
  check_near(y, {3, 6, 9, 16, 15});
}

TEST_CASE("moe_layer: capacity drops are counted, dropped tokens get what is shared, weights renormalise on request") {
  std::int64_t const tokens = 20, experts = 3, inner = 5;
  network<double> const n(experts, inner, 4, 5), s(1, inner, 7, 9);
  doubles const x = randoms<double>(tokens * inner, 1), gate = randoms<double>(inner, 3);
  doubles logits(static_cast<std::size_t>(tokens * experts)), y(x.size()), expected(x.size());
  for (std::int64_t t = 0; t < tokens; ++t) logits[static_cast<std::size_t>(t * 3)] = 2 + 0.01 * static_cast<double>(t), logits[static_cast<std::size_t>(t * 3 + 1)] = t % 2 == 0 ? 1 : 0.5;
  std::vector<std::int64_t> used(3), dropped(1);
  for (bool renormalise : {false, true})
    for (bool gated : {false, true}) {
      used.assign(3, 0), dropped.assign(1, 0), expected.assign(expected.size(), 0);
      for (std::int64_t t = 0; t < tokens; ++t) {
        double const* const token = x.data() + t * inner;
        double g = 0;
        for (std::int64_t k = 0; k < inner; ++k) g += token[k] * gate[static_cast<std::size_t>(k)];
        add_network(s, 0, gated ? sigmoid(g) : 1, token, expected.data() + t * inner);
        auto const c = choose(logits.data() + t * 3, 3, 2, true);
        double kept = 0;
        bool keep[2];
        for (std::size_t j = 0; j < 2; ++j) {
          keep[j] = used[static_cast<std::size_t>(c.id[j])]++ < 6;
          if (keep[j]) kept += c.weight[j];
          dropped[0] += !keep[j];
        }
        for (std::size_t j = 0; j < 2; ++j)
          if (keep[j]) add_network(n, c.id[j], renormalise ? c.weight[j] / kept : c.weight[j], token, expected.data() + t * inner);
      }
      route::routing_stats stats(3);
      ffn_experts const shared_network{s.view()};
      shared_experts<ffn_experts<ffn_weights<double const>>, double> const shared{shared_network, gated ? view<double const>(gate) : view<double const>()};
      auto const run = [&](auto const& plan) {
        moe_layer{mixtral{.select = {.k = 2}}, ffn_experts{n.view()}, weighted_sum{}, plan, shared, all_real{}, renormalise}(
            serial, matrix(x, tokens, inner), matrix(logits, tokens, 3), matrix(y, tokens, inner), stats.view());
        check_near(y, expected);
        CHECK(stats.dropped() == dropped[0]);
      };
      run(capacity{6});
      run(masked{6});
      run(plan_policy{packed{4}, token_major{}, by_rank{.limit = 6}});
    }
}

TEST_CASE("moe_layer: null, copy and constant experts") {
  std::int64_t const inner = 2;
  network<double> const n(2, inner, 3, 5);
  std::vector<expert_kind> const kind{expert_kind::copy, expert_kind::real, expert_kind::null, expert_kind::constant, expert_kind::real};
  doubles vector(10), gate(20);
  vector[6] = 2, vector[7] = 0;                              // v of expert 3
  gate[12] = .5, gate[13] = 0, gate[14] = 0, gate[15] = .5;  // .5 I
  special_experts<double> const special{kind, matrix(vector, 5, 2), matrix(gate, 10, 2)};
  // token 0: constant alone (weight 1); 1: copy and network 1; 2: null alone; 3: network 0 and null
  doubles const x{1, -1, .5, 2, 3, 4, -1, 1};
  double const off = -1e3;
  doubles const logits{off, off, off, 5, off, 1, off, off, off, 2, off, off, 9, off, off, off, 1, 0, off, off};
  doubles y(8), expected(8);
  expected[0] = 1.268941421, expected[1] = -.731058579;
  double const copy = sigmoid(-1), null = sigmoid(-1);
  expected[2] = copy * x[2], expected[3] = copy * x[3];
  add_network(n, 1, 1 - copy, x.data() + 2, expected.data() + 2);
  add_network(n, 0, 1 - null, x.data() + 6, expected.data() + 6);
  moe_layer const layer{mixtral{.select = {.k = 2}}, ffn_experts{n.view()}, weighted_sum{}, packed{}, no_shared{}, special};
  layer(serial, matrix(x, 4, 2), matrix(logits, 4, 5), matrix(y, 4, 2));
  check_near(y, expected, 1e-9);
  CHECK(!std::signbit(y[4]));  // nothing at all is +0

  // over a shared part, and without a gate: the vector alone
  network<double> const s(1, inner, 3, 8);
  for (std::int64_t t = 0; t < 4; ++t) add_network(s, 0, 1, x.data() + 2 * t, expected.data() + 2 * t);
  expected[0] += 2 - 1.268941421, expected[1] += .731058579;
  special_experts<double> const plain_constant{kind, matrix(vector, 5, 2), {}};
  moe_layer{mixtral{.select = {.k = 2}}, ffn_experts{n.view()}, weighted_sum{}, packed{}, shared_experts{ffn_experts{s.view()}}, plain_constant}(
      serial, matrix(x, 4, 2), matrix(logits, 4, 5), matrix(y, 4, 2));
  check_near(y, expected, 1e-9);
}

TEST_CASE("moe_layer: bfloat16 tokens and results, empty batches, padding rows, one expert") {
  std::int64_t const inner = 16;
  network<bfloat16> const n(4, inner, 24, 5);
  network<bfloat16> const s(1, inner, 24, 6);
  auto const x = randoms<bfloat16>(9 * inner, 1);
  auto const logits = randoms<float>(9 * 4, 2);
  std::vector<bfloat16> y(x.size());
  floats wide(x.size());
  moe_layer const layer{mixtral{.select = {.k = 2}}, swiglu_experts{n.view()}, weighted_sum{}, packed{}, shared_experts{swiglu_experts{s.view()}}};
  layer(serial, matrix(x, 9, inner), matrix(logits, 9, 4), matrix(y, 9, inner));
  layer(serial, matrix(x, 9, inner), matrix(logits, 9, 4), matrix(wide, 9, inner));
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(to_arithmetic(y[i]) == to_arithmetic(from_arithmetic<bfloat16>(wide[i])));
  layer(serial, matrix(x, 0, inner), matrix(logits, 0, 4), matrix(y, 0, inner));
  std::vector<std::uint8_t> const real{1, 1, 0, 1, 1, 1, 1, 1, 0};
  route::routing_stats stats(4);
  moe_layer{mixtral{.select = {.k = 2}}, swiglu_experts{n.view()}}(serial, matrix(x, 9, inner), matrix(logits, 9, 4), matrix(wide, 9, inner), stats.view(),
                                                                  route::row_mask{real});
  CHECK(stats.tokens() == 7);
  for (std::int64_t c = 0; c < inner; ++c) CHECK(wide[static_cast<std::size_t>(2 * inner + c)] == 0);

  network<float> const one(1, inner, 8, 3);
  auto const xf = randoms<float>(4 * inner, 1), lf = randoms<float>(4, 2);
  floats a(xf.size()), b(xf.size());
  moe_layer{raw_router{.select = {.k = 1}}, swiglu_experts{one.view()}}(serial, matrix(xf, 4, inner), matrix(lf, 4, 1), matrix(a, 4, inner));
  shared_experts{swiglu_experts{one.view()}}.run(serial, matrix(xf, 4, inner), matrix(b, 4, inner), *std::make_unique<workspace>());
  CHECK(support::same_bits(a, b));  // E = K = 1, weight 1: a plain network
}

TEST_CASE("moe_layer: a second call with a warm workspace allocates nothing") {
  std::int64_t const tokens = 33, inner = 12;
  network<float> const n(4, inner, 20, 5), s(1, inner, 8, 6);
  packed_ffn<float> const weights(n.view());
  std::vector<expert_kind> kind(5, expert_kind::real);
  kind[2] = expert_kind::copy;
  auto const x = randoms<float>(tokens * inner, 1), logits = randoms<float>(tokens * 5, 2);
  floats y(x.size());
  route::routing_stats stats(5);
  moe_layer const layer{mixtral{.select = {.k = 2}}, swiglu_experts{weights}, weighted_sum{}, capacity{20}, shared_experts{swiglu_experts{s.view()}},
                        special_experts<float>{kind, {}, {}}, true};
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    workspace ws;
    auto const step = [&] { layer(ex, matrix(x, tokens, inner), matrix(logits, tokens, 5), matrix(y, tokens, inner), stats.view(), ws); };
    step();
    support::allocation_count const count;
    step();
    CHECK(count.get() == 0);
  });
}

TEST_CASE("moe_layer: properties of the networks: dense mixture, one plain network, nothing but shared ones") {
  std::int64_t const tokens = 9, inner = 6, wide = 7;
  network<double> const n(3, inner, wide, 5), s(1, inner, 4, 6);
  auto const x = randoms<double>(tokens * inner, 1), logits = randoms<double>(tokens * 3, 2);
  doubles y(x.size()), expected(x.size());
  // K = E with softmax weights: every network on every token
  moe_layer{raw_router{.select = {.k = 3}}, swiglu_experts{n.view()}}(serial, matrix(x, tokens, inner), matrix(logits, tokens, 3), matrix(y, tokens, inner));
  for (std::int64_t t = 0; t < tokens; ++t) {
    double sum = 0;
    for (std::int64_t e = 0; e < 3; ++e) sum += std::exp(logits[static_cast<std::size_t>(t * 3 + e)]);
    for (std::int64_t e = 0; e < 3; ++e) add_network(n, e, std::exp(logits[static_cast<std::size_t>(t * 3 + e)]) / sum, x.data() + t * inner, expected.data() + t * inner);
  }
  check_near(y, expected);
  // E = K = 1: the plain network
  doubles const one(static_cast<std::size_t>(tokens));
  moe_layer{mixtral{.select = {.k = 1}}, swiglu_experts{n.part(1, 1)}}(serial, matrix(x, tokens, inner), matrix(one, tokens, 1), matrix(y, tokens, inner));
  expected.assign(expected.size(), 0.0);
  for (std::int64_t t = 0; t < tokens; ++t) add_network(n, 1, 1, x.data() + t * inner, expected.data() + t * inner);
  check_near(y, expected);
  // no capacity at all: the shared network alone
  moe_layer{mixtral{.select = {.k = 2}}, swiglu_experts{n.view()}, weighted_sum{}, capacity{0}, shared_experts{swiglu_experts{s.view()}}}(
      serial, matrix(x, tokens, inner), matrix(logits, tokens, 3), matrix(y, tokens, inner));
  expected.assign(expected.size(), 0.0);
  for (std::int64_t t = 0; t < tokens; ++t) add_network(s, 0, 1, x.data() + t * inner, expected.data() + t * inner);
  check_near(y, expected);
}

TEST_CASE("moe_layer: errors come before anything is written") {
  network<float> const n(3, 4, 5, 1);
  auto const x = randoms<float>(2 * 4, 1);
  floats logits(6, 0.0f), y(8, 42.0f), wrong(4);
  moe_layer const layer{mixtral{.select = {.k = 2}}, swiglu_experts{n.view()}};
  CHECK_THROWS_WITH_AS(layer(serial, matrix(x, 2, 4), matrix(wrong, 2, 2), matrix(y, 2, 4)), doctest::Contains("columns of the logits"), argument_error);
  CHECK_THROWS_WITH_AS(layer(serial, matrix(x, 2, 4), matrix(logits, 1, 3), matrix(y, 2, 4)), doctest::Contains("rows of the logits"), argument_error);
  CHECK_THROWS_AS(layer(serial, matrix(x, 2, 4), matrix(logits, 2, 3), matrix(y, 4, 2)), argument_error);
  moe_layer const too_many{mixtral{.select = {.k = 4}}, swiglu_experts{n.view()}};
  CHECK_THROWS_AS(too_many(serial, matrix(x, 2, 4), matrix(logits, 2, 3), matrix(y, 2, 4)), argument_error);
  moe_layer const two_shared{mixtral{.select = {.k = 1}}, swiglu_experts{n.view()}, weighted_sum{}, packed{}, shared_experts{swiglu_experts{n.view()}}};
  CHECK_THROWS_WITH_AS(two_shared(serial, matrix(x, 2, 4), matrix(logits, 2, 3), matrix(y, 2, 4)), doctest::Contains("shared"), argument_error);
  for (float v : y) CHECK(v == 42.0f);
}
