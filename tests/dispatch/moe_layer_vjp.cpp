#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/moe_layer_vjp.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::check_gradient;
using support::dot;
using support::doubles;
using support::matrix;
using network = support::network<double>;
using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using raw_router = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
using route::expert_kind;

doubles randoms(std::int64_t n, unsigned seed) { return support::randoms<double>(n, seed); }

}  // namespace

TEST_CASE("moe_layer_vjp: tokens, logits and networks against central differences, with a balance loss") {
  std::int64_t const tokens = 9, experts = 4, inner = 5;
  network n(experts, inner, 6, 5), dn(experts, inner, 6, 1);
  auto x = randoms(tokens * inner, 1), logits = randoms(tokens * experts, 2);
  auto const dy = randoms(tokens * inner, 3);
  doubles dx(x.size()), dlogits(logits.size()), y(x.size());
  auto const check = [&](auto const& layer) {
    auto const fold = [&] {
      route::routing_stats stats(experts);
      layer(serial, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(y, tokens, inner), stats.view());
      return stats;
    };
    auto const before = fold();
    route::balance_loss const balance{.alpha = 0.5};
    auto const loss = [&] {
      auto const stats = fold();
      return dot(y, dy) + balance.value(before, stats);
    };
    auto const pull = balance.gradient(before, before);
    moe_layer_vjp(serial, layer, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(dy, tokens, inner),
                  moe_gradients{matrix(dx, tokens, inner), matrix(dlogits, tokens, experts), dn.view()}, route::routing_stats_gradient{.score_sum = view<double const>(pull)});
    check_gradient("x", x, dx, loss);
    check_gradient("logits", logits, dlogits, loss);
    check_gradient("gate", n.gate, dn.gate, loss);
    check_gradient("up", n.up, dn.up, loss);
    check_gradient("down", n.down, dn.down, loss);
  };
  auto const weights = std::as_const(n).view();
  check(moe_layer{router{.select = {.k = 2}}, swiglu_experts{weights}});
  check(moe_layer{raw_router{.select = {.k = 3}}, ffn_experts{weights, clamped_swiglu{.limit = 0.5}, true}, weighted_sum<by_expert>{}, capacity{5}});
  check(moe_layer{raw_router{.select = {.k = 2}}, swiglu_experts{weights}, fused_by_expert{}, capacity{3}, no_shared{}, all_real{}, true});
}

TEST_CASE("moe_layer_vjp: shared experts, special experts and a logit source against central differences") {
  std::int64_t const tokens = 10, experts = 6, inner = 4;
  network n(3, inner, 3, 5), s(1, inner, 5, 7), dn(3, inner, 3, 1), ds(1, inner, 5, 1);
  std::vector<expert_kind> const kind{expert_kind::real, expert_kind::copy, expert_kind::real, expert_kind::constant, expert_kind::null, expert_kind::real};
  auto x = randoms(tokens * inner, 1), router_matrix = randoms(experts * inner, 2), bias = randoms(experts, 3), gate = randoms(inner, 4), vector = randoms(experts * inner, 5),
       mix = randoms(2 * experts * inner, 6);
  auto const dy = randoms(tokens * inner, 8);
  doubles y(x.size()), dx(x.size()), drouter(router_matrix.size()), dbias(bias.size()), dgate(gate.size()), dvector(vector.size()), dmix(mix.size());
  weight_bank<double const> const rows_of_experts(router_matrix.data(), 1, experts, inner);
  logit_source const source{rows_of_experts.transposed(), bias};
  auto const weights = std::as_const(n).view();
  auto const shared_weights = std::as_const(s).view();
  moe_layer const layer{raw_router{.select = {.k = 3}}, swiglu_experts{weights}, weighted_sum{}, packed{}, shared_experts{swiglu_experts{shared_weights}, gate},
                        special_experts<double>{kind, matrix(vector, experts, inner), matrix(mix, 2 * experts, inner)}, true};
  auto const loss = [&] {
    layer(serial, matrix(x, tokens, inner), source, matrix(y, tokens, inner));
    return dot(y, dy);
  };
  weight_bank<double> const drows(drouter.data(), 1, experts, inner);
  moe_gradients const gradients{matrix(dx, tokens, inner), logit_gradients<double>{drows.transposed(), dbias}, dn.view(),
                                shared_gradients{ds.view(), view<double>(dgate)}, special_gradients<double>{matrix(dvector, experts, inner), matrix(dmix, 2 * experts, inner)}};
  moe_layer_vjp(serial, layer, matrix(x, tokens, inner), source, matrix(dy, tokens, inner), gradients);
  check_gradient("x", x, dx, loss);
  check_gradient("router", router_matrix, drouter, loss);
  check_gradient("bias", bias, dbias, loss);
  check_gradient("networks", n.up, dn.up, loss);
  check_gradient("shared", s.down, ds.down, loss);
  check_gradient("shared gate", gate, dgate, loss);
  check_gradient("vector", vector, dvector, loss);
  check_gradient("mix", mix, dmix, loss);
}

TEST_CASE("moe_layer_vjp: linear experts; the same bits on every executor; a warm workspace allocates nothing") {
  std::int64_t const tokens = 40, experts = 5, inner = 6, outer = 3;
  auto w = randoms(experts * inner * outer, 1), x = randoms(tokens * inner, 2), logits = randoms(tokens * experts, 3);
  auto const dy = randoms(tokens * outer, 4);
  doubles y(static_cast<std::size_t>(tokens * outer)), dx(x.size()), dw(w.size()), dlogits(logits.size()), first;
  moe_layer const layer{router{.select = {.k = 2}}, linear_experts{weight_bank<double const>(w.data(), experts, inner, outer)}};
  auto const pull = [&](auto const& ex, workspace& ws) {
    moe_layer_vjp(ex, layer, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(dy, tokens, outer),
                  moe_gradients{matrix(dx, tokens, inner), matrix(dlogits, tokens, experts), linear_gradients<double>{{dw.data(), experts, inner, outer}, {}}}, ws);
  };
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    workspace ws;
    pull(ex, ws);
    doubles all = dx;
    all.insert(all.end(), dw.begin(), dw.end());
    all.insert(all.end(), dlogits.begin(), dlogits.end());
    if (first.empty()) first = all;
    CHECK(support::same_bits(all, first));
    support::allocation_count const count;
    pull(ex, ws);
    CHECK(count.get() == 0);
  });
  auto const loss = [&] {
    layer(serial, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(y, tokens, outer));
    return dot(y, dy);
  };
  check_gradient("x", x, dx, loss);
  check_gradient("w", w, dw, loss);
  check_gradient("logits", logits, dlogits, loss);
}
