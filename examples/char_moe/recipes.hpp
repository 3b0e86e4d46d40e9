#pragma once

#include <cstdint>
#include <vector>

#include "char_moe/text.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/capacity.hpp"
#include "fanfold/route/controllers.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/route/routing_stats.hpp"

// The five contenders. A token passes two experts of `width` hidden units out of 16, or one of twice the width out of 8: the same number of
// parameters and of multiply-adds, but for the router's own matrix (0.3 %).
namespace char_moe {

/// What routing of a layer may use and change: the controller of a bias, the batch's pairs of characters and their table.
struct routing_state {
  ff::route::loss_free_balance balance{0};
  ff::route::routing_stats stats;
  ff::view<std::int32_t const> table, bigrams;
};

struct dropless_recipe {
  static ff::dispatch::plan_policy<> plan(std::int64_t, bool) { return {}; }
  static ff::route::balance_loss balance() { return {.alpha = 0}; }
  static void after_step(routing_state&) {}
};

struct softmax_top2 : dropless_recipe {
  static constexpr char const* name = "softmax top-2";
  static constexpr std::int64_t experts = 16, chosen = 2;
  static auto router(routing_state const&) { return ff::route::mixtral(chosen); }
  static auto balance() { return ff::route::mixtral_balance(5e-3); }
};

/// One expert a token and room for 1.25 times the fair share; what finds no room passes on the residual path alone.
struct switch_top1 : dropless_recipe {
  static constexpr char const* name = "switch top-1";
  static constexpr std::int64_t experts = 8, chosen = 1;
  static auto router(routing_state const&) { return ff::route::switch_top1(); }
  static auto balance() { return ff::route::switch_balance(1e-2); }
  static auto plan(std::int64_t tokens, bool training) {
    std::int64_t const room = ff::route::capacity_rule::switch_transformer(1.25, 1).of(tokens, experts, 1);
    return ff::dispatch::plan_policy{ff::dispatch::packed{}, ff::dispatch::token_major{}, ff::dispatch::by_rank{.limit = training ? room : tokens}};
  }
};

/// Sigmoid scores, two of four groups, and instead of a loss a bias that rises for experts below their fair share and falls for the others.
struct sigmoid_bias : dropless_recipe {
  static constexpr char const* name = "sigmoid + bias";
  static constexpr std::int64_t experts = 16, chosen = 2;
  static auto router(routing_state const& s) { return ff::route::deepseek_v3(s.balance.state(), 4, 2, chosen, 1.0f); }
  static void after_step(routing_state& s) {
    s.balance.update(s.stats);
  }
};

/// The best expert of each of two groups: both groups always have the same work.
struct grouped_top1 : dropless_recipe {
  static constexpr char const* name = "one a group";
  static constexpr std::int64_t experts = 16, chosen = 2;
  static auto router(routing_state const&) { return ff::route::moge(2, 1); }
  static auto balance() { return ff::route::mixtral_balance(5e-3); }
};

/// No learning at all: the last two characters decide.
struct hashed : dropless_recipe {
  static constexpr char const* name = "hashed pairs";
  static constexpr std::int64_t experts = 8, chosen = 1;
  static auto router(routing_state const& s) { return ff::route::hash_layer(s.table, s.bigrams); }
};

}  // namespace char_moe
