#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/moe_layer_vjp.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/dispatch_vjp.hpp"
#include "fanfold/kernel/grouped_gemm.hpp"
#include "fanfold/kernel/grouped_gemm_vjp.hpp"
#include "fanfold/kernel/plan.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;
using support::doubles;
using support::floats;
using support::matrix;
using support::network;
using support::randoms;

namespace {

using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using raw_router = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
using route::expert_kind;

/// `run(ex, ws)` gives all gradients in one vector: near the host's, equal bits among geometries, and within a warm workspace.
template <class Run>
void check_backward(Run const& run) {
  workspace host;
  auto const expected = run(serial, host);
  floats first;
  support::for_each_geometry([&](auto const& ex) {
    auto const got = run(ex, ex.scratch());
    CHECK_NOTHROW(finish(ex));
    CHECK(support::largest_difference(got, expected) < 2e-5);
    if (first.empty()) first = support::same_products ? expected : got;
    CHECK(support::same_bits(got, first));
    auto const held = ex.scratch().capacity();
    CHECK(support::same_bits(run(ex, ex.scratch()), first));
    CHECK(ex.scratch().capacity() == held);
  });
}

floats joined(std::initializer_list<floats const*> parts) {
  floats all;
  for (auto const* p : parts) all.insert(all.end(), p->begin(), p->end());
  return all;
}

}  // namespace

TEST_CASE("emulated backward of the layer: orders, drops, brackets, renormalised, with a balance loss") {
  std::int64_t const tokens = 13, experts = 4, inner = 8;
  network<float> const n(experts, inner, 6, 5);
  auto const x = randoms<float>(tokens * inner, 1), logits = randoms<float>(tokens * experts, 2), dy = randoms<float>(tokens * inner, 3);
  doubles const pull{0.3, -0.1, 0.2, 0.05};
  auto const check = [&](auto const& layer) {
    check_backward([&](auto const& ex, workspace& ws) {
      auto d = n.unset();
      floats dx(x.size(), 9.0f), dlogits(logits.size(), 9.0f);
      moe_layer_vjp(ex, layer, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(dy, tokens, inner),
                    moe_gradients{matrix(dx, tokens, inner), matrix(dlogits, tokens, experts), d.view()},
                    route::routing_stats_gradient{.score_sum = view<double const>(pull)}, ws);
      return joined({&dx, &dlogits, &d.gate, &d.up, &d.down});
    });
  };
  check(moe_layer{router{.select = {.k = 2}}, swiglu_experts{n.view()}});
  check(moe_layer{raw_router{.select = {.k = 3}}, ffn_experts{n.view(), clamped_swiglu{.limit = 0.5}, true}, weighted_sum<by_expert>{},
                  plan_policy{capacity{5}, priority<>{}}});
  check(moe_layer{raw_router{.select = {.k = 2}}, swiglu_experts{n.view()}, fused_by_expert{}, plan_policy{masked{6}, token_major{}, by_score{.limit = 4}}, no_shared{},
                  all_real{}, true});
}

TEST_CASE("emulated backward of the layer: shared experts with a gate, special experts, logits from the tokens") {
  std::int64_t const tokens = 10, experts = 6, inner = 8;
  network<float> const n(3, inner, 4, 5), s(1, inner, 5, 7);
  std::vector<expert_kind> const kind{expert_kind::real, expert_kind::copy, expert_kind::real, expert_kind::constant, expert_kind::null, expert_kind::real};
  auto const x = randoms<float>(tokens * inner, 1), router_matrix = randoms<float>(experts * inner, 2), bias = randoms<float>(experts, 3), gate = randoms<float>(inner, 4),
             vector = randoms<float>(experts * inner, 5), mix = randoms<float>(2 * experts * inner, 6), dy = randoms<float>(tokens * inner, 8);
  weight_bank<float const> const rows_of_experts(router_matrix.data(), 1, experts, inner);
  logit_source const source{rows_of_experts.transposed(), bias};
  moe_layer const layer{raw_router{.select = {.k = 3}}, swiglu_experts{n.view()}, weighted_sum{}, packed{}, shared_experts{swiglu_experts{s.view()}, gate},
                        special_experts<float>{kind, matrix(vector, experts, inner), matrix(mix, 2 * experts, inner)}, true};
  check_backward([&](auto const& ex, workspace& ws) {
    auto dn = n.unset(), ds = s.unset();
    floats dx(x.size(), 9.0f), drouter(router_matrix.size(), 9.0f), dbias(bias.size(), 9.0f), dgate(gate.size(), 9.0f), dvector(vector.size(), 9.0f), dmix(mix.size(), 9.0f);
    weight_bank<float> const drows(drouter.data(), 1, experts, inner);
    moe_layer_vjp(ex, layer, matrix(x, tokens, inner), source, matrix(dy, tokens, inner),
                  moe_gradients{matrix(dx, tokens, inner), logit_gradients<float>{drows.transposed(), dbias}, dn.view(), shared_gradients{ds.view(), view<float>(dgate)},
                                special_gradients<float>{matrix(dvector, experts, inner), matrix(dmix, 2 * experts, inner)}},
                  ws);
    return joined({&dx, &drouter, &dbias, &dn.gate, &dn.up, &dn.down, &ds.gate, &ds.up, &ds.down, &dgate, &dvector, &dmix});
  });
}

TEST_CASE("emulated backward of the layer: linear experts, narrow tokens, no tokens") {
  std::int64_t const experts = 5, inner = 6, outer = 3;
  auto const w = randoms<bfloat16>(experts * inner * outer, 1);
  for (std::int64_t tokens : {0, 17}) {
    auto const x = randoms<bfloat16>(tokens * inner, 2);
    auto const logits = randoms<float>(tokens * experts, 3), dy = randoms<float>(tokens * outer, 4);
    moe_layer const layer{router{.select = {.k = 2}}, linear_experts{weight_bank<bfloat16 const>(w.data(), experts, inner, outer)}};
    check_backward([&](auto const& ex, workspace& ws) {
      floats dx(x.size(), 9.0f), dw(w.size(), 9.0f), dlogits(logits.size(), 9.0f), dbias(static_cast<std::size_t>(experts * outer), 9.0f);
      moe_layer_vjp(ex, layer, matrix(x, tokens, inner), matrix(logits, tokens, experts), matrix(dy, tokens, outer),
                    moe_gradients{matrix(dx, tokens, inner), matrix(dlogits, tokens, experts),
                                  linear_gradients<float>{{dw.data(), experts, inner, outer}, matrix(dbias, experts, outer)}},
                    ws);
      return joined({&dx, &dlogits, &dw, &dbias});
    });
  }
}
