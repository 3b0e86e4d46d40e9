#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "fanfold/route/token_graph.hpp"

/// \file
/// Every token router that has a name, for tests that hold for all of them. tests/route/router_list.cpp compares the names with the headers.

namespace support {

namespace route = fanfold::route;

/// Parameters for `rows` rows of `experts` experts with about `k` choices, and the memory they point to.
struct router_inputs {
  std::int64_t rows, experts, k, groups = 1;
  std::vector<float> bias, factor, noise_scale;
  std::vector<std::uint8_t> open;
  std::vector<route::expert_kind> kinds;
  std::vector<std::int32_t> experts_of, token;
  route::row_noise noise = route::row_noise::of(7, 3, 1);

  router_inputs(std::int64_t t, std::int64_t e, std::int64_t slots) : rows(t), experts(e), k(std::min(slots, e)) {
    for (std::int64_t g = 1; g <= 8; ++g) groups = e % g == 0 ? g : groups;
    for (std::int64_t i = 0; i < e; ++i) {
      bias.push_back(static_cast<float>((i * 7) % 11 - 5) / 16);
      factor.push_back(static_cast<float>((i * 5) % 7 + 1) / 4);
      open.push_back(i % 3 == 1 ? 0 : 1);
      kinds.push_back(i % 4 == 2 ? route::expert_kind::null : i % 4 == 3 ? route::expert_kind::copy : route::expert_kind::real);
    }
    for (std::int64_t i = 0; i < t * e; ++i) noise_scale.push_back(static_cast<float>(i % 9) / 4 - 1);
    for (std::int64_t i = 0; i < 50; ++i) experts_of.push_back(static_cast<std::int32_t>((i * 13) % (e + 1)) - (i == 49 ? 9 : 0));
    for (std::int64_t i = 0; i < t; ++i) token.push_back(static_cast<std::int32_t>((i * 17) % 52) - 1);
  }
  std::int64_t group_size() const { return experts / groups; }
  std::int64_t keep() const { return std::max((k + group_size() - 1) / group_size(), (groups + 1) / 2); }
  std::int64_t k_each() const { return std::clamp(k / groups, std::int64_t{1}, group_size()); }
};

template <class A, class B>
inline constexpr bool same = std::is_same_v<A, B>;

inline constexpr int router_parts = 6;

/// f(names, make) for the routers of a part; make(inputs) gives a router. Names that stand together are one type.
template <int Part, class F>
void for_each_named_router(F const& f) {
  using inputs = router_inputs const&;
  if constexpr (Part == 0) {
    static_assert(same<route::mixtral_router, route::qwen3_moe_router> && same<route::mixtral_router, route::rmoe_router>);
    static_assert(same<route::mixtral_router, route::lora_mixer_router> && same<route::mixtral_router, route::xmoe_router>);
    static_assert(same<route::mixtral_router, route::fsmoe_xmoe_router>);
    f("mixtral_router qwen3_moe_router rmoe_router lora_mixer_router xmoe_router fsmoe_xmoe_router", [](inputs i) { return route::mixtral(i.k); });
    static_assert(same<route::olmoe_router, route::qwen2_moe_router> && same<route::olmoe_router, route::deepseek_moe_router>);
    static_assert(same<route::olmoe_router, route::dit_moe_router> && same<route::olmoe_router, route::moepp_router>);
    static_assert(same<route::olmoe_router, route::switch_router> && same<route::olmoe_router, route::promoe_softmax_router>);
    f("olmoe_router qwen2_moe_router deepseek_moe_router dit_moe_router moepp_router switch_router promoe_softmax_router",
      [](inputs i) { return route::olmoe(i.k); });
    f("mixer_router", [](inputs) { return route::mixer(); });
    f("lora_mixer_training_router", [](inputs) { return route::lora_mixer_training(); });
  } else if constexpr (Part == 1) {
    f("deepseek_v2_router", [](inputs i) { return route::deepseek_v2(i.groups, i.keep(), i.k); });
    f("deepseek_v3_router", [](inputs i) { return route::deepseek_v3(i.bias, i.groups, i.keep(), i.k); });
    f("moge_router", [](inputs i) { return route::moge(i.groups, i.k_each(), i.factor); });
    f("voted_moge_router", [](inputs i) { return route::voted_moge(i.groups, i.open, i.factor); });
  } else if constexpr (Part == 2) {
    static_assert(same<route::shazeer_router, route::fsmoe_gshard_router>);
    f("shazeer_router fsmoe_gshard_router", [](inputs i) {
      return route::shazeer(i.k, fanfold::matrix_view<float const>(i.noise_scale.data(), i.rows, i.experts), i.noise);
    });
    f("vmoe_router", [](inputs i) { return route::vmoe(i.k, i.experts, i.noise); });
    f("kairos_router", [](inputs i) { return route::kairos(i.bias, i.k); });
    f("tutel_router", [](inputs i) { return route::tutel(i.k + 1, i.experts, i.noise, 1); });
  } else if constexpr (Part == 3) {
    f("gshard_router", [](inputs i) { return route::gshard(i.noise); });
    f("deepspeed_router", [](inputs i) { return route::deepspeed(i.noise); });
    f("adamoe_router", [](inputs i) { return route::adamoe(i.kinds, i.k); });
    f("moepp_released_router", [](inputs i) { return route::moepp_released(i.kinds, i.k); });
  } else if constexpr (Part == 4) {
    f("dynmole_router", [](inputs i) { return route::dynmole(.9, .75, std::min<std::int64_t>(i.k, 2)); });
    f("top_p_router", [](inputs i) { return route::dynamic_top_p(.4, i.k); });
    f("remoe_router", [](inputs i) { return route::remoe(i.k); });
    f("blockffn_router", [](inputs i) { return route::blockffn(i.k, i.factor); });
  } else {
    f("promoe_router", [](inputs i) { return route::promoe(i.k); });
    static_assert(same<route::promoe_sigmoid_router, route::sigmoid_top1_router> && same<route::promoe_sigmoid_router, route::fsmoe_sigmoid_router>);
    f("promoe_sigmoid_router sigmoid_top1_router fsmoe_sigmoid_router", [](inputs i) { return route::promoe_sigmoid_router{.select = {i.k}}; });
    f("lora_mixer_hard_router", [](inputs i) { return route::lora_mixer_hard(i.token); });
    f("hash_router", [](inputs i) { return route::hash_layer(i.experts_of, i.token); });
    f("token_graph_router", [](inputs i) { return typename route::token_graph_router<>::choice{.select = {i.k}}; });
  }
}

}  // namespace support
