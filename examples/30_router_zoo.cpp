// A zoo of token routers, all fed with the same tokens.
//
// The tokens are the quarters of real handwritten digits, the experts' logits come from prototypes that k-means has learned on them. Each
// router sends every token to some of sixteen experts. Printed for each: experts a token takes, the load of the busiest expert over an even
// share, how many experts are in use (e to the entropy of the loads), the share of choices that find no room where a buffer holds 1.25 even
// shares, how many choices plain top-k would have made too, and the time. Everything but the time is the same on every machine.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fanfold/dispatch/plan.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/balanced_assign.hpp"
#include "fanfold/route/capacity.hpp"
#include "fanfold/route/controllers.hpp"
#include "fanfold/route/expert_choice.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/route/token_graph.hpp"
#include "support/load_chart.hpp"
#include "zoo/patches.hpp"

namespace {

namespace ff = fanfold;
namespace route = fanfold::route;

constexpr std::int64_t images = 1792, experts = 16;
constexpr double capacity_factor = 1.25;

struct keeper {
  zoo::tokens x;
  std::vector<float> logits;
  std::vector<std::int32_t> rank;  // of each expert in a row's order
  ff::workspace ws;
  chart::load_chart picture{.title = "Fifteen routers, the same 7,168 tokens", .subtitle = "Load of each of 16 experts over an even share", .panels = {}, .capacity = capacity_factor};

  std::int64_t rows() const { return x.size(); }
  ff::matrix_view<float const> view() const { return {logits.data(), rows(), experts}; }

  void rank_experts() {
    using everything = route::token_choice<route::softmax_score, route::all_experts, route::raw_weight>;
    std::vector<std::int32_t> id(logits.size());
    std::vector<float> weight(logits.size());
    route::assign(everything{}, view(), route::assignment<>{{id.data(), rows(), experts}, {weight.data(), rows(), experts}});
    rank.resize(id.size());
    for (std::int64_t t = 0; t < rows(); ++t)
      for (std::int64_t j = 0; j < experts; ++j) rank[static_cast<std::size_t>(t * experts + id[static_cast<std::size_t>(t * experts + j)])] = static_cast<std::int32_t>(j);
  }

  /// Runs a router, `call(out)`, that fills `slots` slots a row, and reports on it.
  template <class Call>
  void show(char const* name, std::int64_t slots, Call const& call) {
    std::vector<std::int32_t> id(static_cast<std::size_t>(rows() * slots));
    std::vector<float> weight(id.size());
    route::assignment<> const out{{id.data(), rows(), slots}, {weight.data(), rows(), slots}};
    double seconds = 1e30;
    for (int run = 0; run < 3; ++run) {
      auto const begin = std::chrono::steady_clock::now();
      call(out);
      seconds = std::fmin(seconds, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    report(name, out, seconds);
  }

  void report(char const* name, route::assignment<> const& out, double seconds) {
    std::int64_t choices = 0, agreed = 0;
    for (std::int64_t t = 0; t < rows(); ++t) {
      std::int64_t taken = 0;
      for (std::int64_t j = 0; j < out.slots(); ++j) taken += out.id(t, j) >= 0 ? 1 : 0;
      for (std::int64_t j = 0; j < out.slots(); ++j)
        if (out.id(t, j) >= 0 && rank[static_cast<std::size_t>(t * experts + out.id(t, j))] < taken) ++agreed;
      choices += taken;
    }
    // room for 1.25 even shares, first choices before second ones
    auto const room = route::capacity_rule::gshard(capacity_factor).of(choices, experts, 1);
    ff::dispatch::plan_policy const policy{ff::dispatch::packed{}, ff::dispatch::slot_major{}, ff::dispatch::by_rank{room}};
    ff::dispatch::dispatch_plan plan(ff::dispatch::packed{}, rows(), out.slots(), experts);
    ff::dispatch::make_plan(ff::serial, policy, out, plan.view(), ws);
    auto const count = plan.view().counts, kept = plan.view().kept;
    double entropy = 0, busiest = 0;
    std::int64_t dropped = 0;
    chart::load_panel panel{name, {}, {}};
    for (std::int64_t e = 0; e < experts; ++e) {
      double const share = static_cast<double>(count[e]) / static_cast<double>(choices);
      if (share > 0) entropy -= share * std::log(share);
      panel.load.push_back(share * experts);
      busiest = std::fmax(busiest, panel.load.back());
      dropped += count[e] - kept[e];
    }
    auto const percent = [](std::int64_t part, std::int64_t all) { return 100 * static_cast<double>(part) / static_cast<double>(all); };
    double const each = static_cast<double>(choices) / static_cast<double>(rows());
    std::printf("%-30s %6.2f %9.2fx %8.1f %9.1f %% %9.1f %% %9.0f\n", name, each, busiest, std::exp(entropy), percent(dropped, choices),
                percent(agreed, choices), 1e9 * seconds / static_cast<double>(rows()));
    char note[96];
    std::snprintf(note, sizeof note, "%.2f a token, %.1f %% dropped", each, percent(dropped, choices));
    panel.note = note;
    picture.panels.push_back(std::move(panel));
  }

  template <class Router>
  void show_router(char const* name, Router const& router) {
    show(name, router.slots(experts), [&](route::assignment<> const& out) { route::assign(router, view(), out, ws); });
  }
};

// The bias of DeepSeek-V3 after some steps of loss-free balancing, each with the counts of all tokens.
std::vector<float> balanced_bias(keeper& k, int steps) {
  route::loss_free_balance bias(experts, 0.002f);
  std::vector<std::int32_t> id(static_cast<std::size_t>(2 * k.rows()));
  std::vector<float> weight(id.size());
  route::routing_stats stats(experts);
  for (int step = 0; step < steps; ++step) {
    route::assign(route::deepseek_v3(std::as_const(bias).state(), 4, 2, 2), k.view(),
                  route::assignment<>{{id.data(), k.rows(), 2}, {weight.data(), k.rows(), 2}}, stats.view(), k.ws);
    bias.update(stats);
  }
  auto const state = std::as_const(bias).state();
  return {state.begin(), state.end()};
}

void show_token_choice(keeper& k) {
  auto const noise = route::row_noise::of(1, 0, 0);
  std::vector<float> const none(k.logits.size()), no_bias(experts), bias = balanced_bias(k, 300);
  k.show_router("Switch, top-1", route::switch_top1());
  k.show_router("Mixtral, top-2", route::mixtral(2));
  k.show_router("noisy top-2", route::shazeer(2, ff::matrix_view<float const>(none.data(), k.rows(), experts), noise));
  k.show_router("GShard, second by chance", route::gshard(noise));
  k.show_router("DeepSeek-V2, 1 of 4 groups", route::deepseek_v2(4, 1, 2, 1));
  k.show_router("DeepSeek-V3, no bias yet", route::deepseek_v3(no_bias, 4, 2, 2));
  k.show_router("DeepSeek-V3, balanced bias", route::deepseek_v3(bias, 4, 2, 2));
  k.show_router("MoGE, one of each half", route::moge(2, 1));
  k.show_router("top-p, p = 0.6", route::dynamic_top_p(0.6, 4));
  // logits above a threshold that leaves two a token: what its controller of the L1 loss would teach
  std::vector<float> sorted = k.logits;
  std::nth_element(sorted.begin(), sorted.begin() + 2 * k.rows(), sorted.end(), std::greater<>());
  std::vector<float> const threshold(experts, -sorted[static_cast<std::size_t>(2 * k.rows())]);
  using remoe = route::token_choice<route::relu_score, route::positive, route::raw_weight, route::logit_bias>;
  k.show_router("ReMoE, above a threshold", remoe{.select = {8}, .adjust = {threshold}});

  // a vocabulary for the hash layer: how much ink a token holds, in sixteenths
  std::vector<std::int32_t> ink, expert_of;
  for (std::int64_t t = 0; t < k.rows(); ++t) {
    float sum = 0;
    for (std::int64_t f = 0; f < zoo::features; ++f) sum += k.x[t][f];
    ink.push_back(static_cast<std::int32_t>(sum * 16));
  }
  for (std::int32_t v = 0; v <= 256; ++v) expert_of.push_back(v % static_cast<std::int32_t>(experts));
  k.show_router("hash layer", route::hash_layer(expert_of, ink));
}

void show_batch_routers(keeper& k) {
  // the patches of an image listen to each other
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> neighbour;
  for (std::int64_t t = 0; t < k.rows(); ++t) {
    for (std::int64_t p = 0; p < zoo::patches_an_image; ++p) neighbour.push_back(static_cast<std::int32_t>(t / zoo::patches_an_image * zoo::patches_an_image + p));
    offsets.push_back(static_cast<std::int64_t>(neighbour.size()));
  }
  std::vector<float> const quarter(neighbour.size(), 0.25f);
  route::token_graph_router<> const graph{.k = 2, .relation = {.sparse = {offsets, neighbour, quarter}}};
  k.show("graph of tokens", 2, [&](route::assignment<> const& out) { route::assign(ff::serial, graph, k.view(), out, k.ws); });
  route::sinkhorn_router const sinkhorn{.k = 2};
  k.show("Sinkhorn, top-2", 2, [&](route::assignment<> const& out) { route::assign(ff::serial, sinkhorn, k.view(), out, k.ws); });
  route::balanced_assign const base{.group_size = 1792};
  k.show("BASE, auction", 1, [&](route::assignment<> const& out) { route::assign(ff::serial, base, k.view(), out, k.ws); });
  route::expert_choice const choice{.experts_per_token = 2};
  std::int64_t const places = choice.places(k.rows(), experts);
  std::vector<std::int32_t> token(static_cast<std::size_t>(experts * places));
  std::vector<float> weight(token.size());
  route::expert_assignment<> const picked{{token.data(), experts, places}, {weight.data(), experts, places}};
  k.show("expert choice", experts, [&](route::assignment<> const& out) {
    route::assign(ff::serial, choice, k.view(), picked, k.ws);
    route::transpose(picked, out);
  });
}

}  // namespace

int main(int argc, char** argv) try {
  keeper k;
  k.x = zoo::cut_patches(EXAMPLE_DATA_DIR "/digits_images.npy", images);
  k.logits = zoo::prototype_logits(k.x, zoo::learn_prototypes(k.x, experts, 4, 1), 0.5f);
  k.rank_experts();
  std::printf("%-30s %6s %10s %8s %11s %11s %9s\n", "router", "a row", "busiest", "in use", "dropped", "as top-k", "ns/token");
  show_token_choice(k);
  show_batch_routers(k);
  std::string const file = argc > 1 ? argv[1] : "router_zoo.svg";
  k.picture.columns = 5;
  chart::write_file(file, chart::render(k.picture));
  std::printf("The loads of all experts: %s\n", file.c_str());
} catch (std::exception const& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}

// args: router_zoo.svg
// output matches: Mixtral, top-2 +2.00 +1.87x +14.9 +9.3 % +100.0 %
// output matches: DeepSeek-V3, balanced bias +2.00 +1.23x +15.9 +0.0 % +51.2 %
// output matches: BASE, auction +1.00 +1.00x +16.0 +0.0 % +68.4 %
// output matches: expert choice +2.00 +1.00x +16.0 +0.0 % +94.0 %
