#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/grouped_gemm.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::matrix;
using network = support::network<float>;
using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;

floats randoms(std::int64_t n, unsigned seed) { return support::randoms<float>(n, seed); }

// The host's statistics to the bit; results to the bit among geometries and near the host's.
template <class Layer, class Logits>
void check_layer(Layer const& layer, floats const& x, std::int64_t inner, Logits const& logits, std::int64_t experts) {
  std::int64_t const tokens = static_cast<std::int64_t>(x.size()) / inner;
  floats expected(x.size()), first;
  route::routing_stats host(experts);
  layer(serial, matrix(x, tokens, inner), logits, matrix(expected, tokens, inner), host.view());
  support::for_each_geometry([&](auto const& ex) {
    floats y(x.size(), 3.0f);
    route::routing_stats memory(experts);
    layer(ex, matrix(x, tokens, inner), logits, matrix(y, tokens, inner), memory.view());
    auto const stats = fetch(ex, memory.view());
    CHECK(stats.dropped() == host.dropped());
    CHECK(stats.choices() == host.choices());
    for (std::int64_t e = 0; e < experts; ++e) CHECK(stats.count()[e] == host.count()[e]);
    CHECK(support::largest_difference(y, expected) < 2e-5);
    if (first.empty()) first = support::same_products ? expected : y;
    CHECK(support::same_bits(y, first));
  });
}

}  // namespace

TEST_CASE("the whole layer in emulation: dropless, logits from the tokens") {
  std::int64_t const tokens = 21, inner = 12;
  network const n(5, inner, 20, 3);
  auto const x = randoms(tokens * inner, 1), logits = randoms(tokens * 5, 2), matrix_of_router = randoms(5 * inner, 7), bias = randoms(5, 8);
  moe_layer const layer{router{.select = {.k = 2}}, swiglu_experts{n.view()}, weighted_sum<by_expert>{}, packed{4}};
  check_layer(layer, x, inner, matrix(logits, tokens, 5), 5);
  weight_bank<float const> const rows_of_experts(matrix_of_router.data(), 1, 5, inner);
  check_layer(layer, x, inner, logit_source{rows_of_experts.transposed(), bias}, 5);
}

TEST_CASE("the whole layer in emulation: capacity, shared experts with a gate, special experts, renormalised") {
  using route::expert_kind;
  std::int64_t const tokens = 18, inner = 8;
  network const n(3, inner, 9, 3), s(1, inner, 10, 4);
  auto const x = randoms(tokens * inner, 1), logits = randoms(tokens * 6, 2), gate = randoms(inner, 5), vector = randoms(6 * inner, 6), mix = randoms(12 * inner, 7);
  std::vector<expert_kind> const kind{expert_kind::real, expert_kind::copy, expert_kind::real, expert_kind::constant, expert_kind::null, expert_kind::real};
  special_experts<float> const special{kind, matrix(vector, 6, inner), matrix(mix, 12, inner)};
  moe_layer const layer{router{.select = {.k = 3}}, swiglu_experts{n.view()}, weighted_sum{}, capacity{4}, shared_experts{swiglu_experts{s.view()}, gate}, special, true};
  check_layer(layer, x, inner, matrix(logits, tokens, 6), 6);
}
