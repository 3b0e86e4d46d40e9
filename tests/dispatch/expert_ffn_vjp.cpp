#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::doubles;
using support::ints;
using support::matrix;

doubles randoms(std::int64_t n, unsigned seed) { return support::randoms<double>(n, seed); }
dispatch_plan plan_of(ints const& ids, std::int64_t slots, std::int64_t experts) { return support::plan_of(packed{4}, ids, slots, experts); }

template <class Policy>
void check_gradients(Policy const& policy) {
  std::int64_t const experts = 3, inner = 4, wide = 5, tokens = 5, slots = 2;
  auto plan = plan_of({0, 1, 1, -1, 0, 0, -1, -1, 1, 0}, slots, experts);  // expert 2 is empty
  doubles x = randoms(tokens * inner, 1), w = randoms(tokens * slots, 2), gate = randoms(experts * inner * wide, 3), up = randoms(experts * inner * wide, 4),
          down = randoms(experts * wide * inner, 5), dy = randoms(tokens * inner, 6), y(x.size());
  auto const weights = [&](doubles& a, doubles& b, doubles& c) {
    return ffn_weights<double>{{a.data(), experts, inner, wide}, {b.data(), experts, inner, wide}, {c.data(), experts, wide, inner}};
  };
  auto const loss = [&] {
    expert_ffn(serial, policy, plan.view(), weights(gate, up, down), matrix(x, tokens, inner), matrix(w, tokens, slots), matrix(y, tokens, inner));
    return support::dot(y, dy);
  };
  doubles dx(x.size(), 9.0), dw(w.size(), 9.0), dgate(gate.size(), 0.0), dup(up.size(), 9.0), ddown(down.size(), 9.0);
  expert_ffn_vjp(serial, policy, plan.view(), weights(gate, up, down), matrix(x, tokens, inner), matrix(w, tokens, slots), matrix(dy, tokens, inner),
                 matrix(dx, tokens, inner), matrix(dw, tokens, slots), weights(dgate, dup, ddown));
  support::check_gradient("x", x, dx, loss);
  support::check_gradient("w", w, dw, loss);
  support::check_gradient("gate", gate, dgate, loss);
  support::check_gradient("up", up, dup, loss);
  support::check_gradient("down", down, ddown, loss);
}

}  // namespace

TEST_CASE("expert_ffn_vjp: worked example, silu and clamped") {
  auto plan = plan_of({0, 1}, 2, 2);
  doubles gate{1, -1}, up{.5, 1}, down{1, 2}, x{2}, w{.75, .25}, dy{1}, dx(1), dw(2), dgate(2), dup(2), ddown(2);
  ffn_weights<double> const weights{{gate.data(), 2, 1, 1}, {up.data(), 2, 1, 1}, {down.data(), 2, 1, 1}},
      gradients{{dgate.data(), 2, 1, 1}, {dup.data(), 2, 1, 1}, {ddown.data(), 2, 1, 1}};
  auto const run = [&](auto const& policy) {
    expert_ffn_vjp(serial, policy, plan.view(), weights, matrix(x, 1, 1), matrix(w, 1, 2), matrix(dy, 1, 1), matrix(dx, 1, 1), matrix(dw, 1, 2), gradients);
  };
  run(ffn_policy{});
  CHECK(dx[0] == doctest::Approx(1.450267322).epsilon(1e-9));
  CHECK(dw[0] == doctest::Approx(1.76159416).epsilon(1e-8));
  CHECK(dw[1] == doctest::Approx(-.95362338).epsilon(1e-8));
  CHECK(dgate[0] == doctest::Approx(1.63617637).epsilon(1e-8));
  CHECK(dgate[1] == doctest::Approx(-.1815685).epsilon(1e-6));
  CHECK(dup[0] == doctest::Approx(2.64239123).epsilon(1e-8));
  CHECK(dup[1] == doctest::Approx(-.23840584).epsilon(1e-7));
  CHECK(ddown[0] == doctest::Approx(1.32119562).epsilon(1e-8));
  CHECK(ddown[1] == doctest::Approx(-.11920292).epsilon(1e-7));
  run(ffn_policy{clamped_swiglu{}});
  CHECK(dw[0] == doctest::Approx(3.87131725).epsilon(1e-8));
  CHECK(dw[1] == doctest::Approx(-.38604826).epsilon(1e-7));
  CHECK(dx[0] == doctest::Approx(2.415147358).epsilon(1e-9));
}

TEST_CASE("expert_ffn_vjp: central differences") {
  check_gradients(ffn_policy{});
  check_gradients(ffn_policy{glu<gelu>{}, fused_by_expert{}});
  check_gradients(ffn_policy{glu<gelu_tanh>{}});
  check_gradients(ffn_policy{clamped_swiglu{.limit = 1.1}});
  check_gradients(ffn_policy{plain<silu>{}});
  check_gradients(ffn_policy{plain<relu>{}, weighted_sum<by_expert>{}});
  check_gradients(ffn_policy{glu<identity>{}, weighted_sum{}, true});
}

TEST_CASE("expert_ffn_vjp: bfloat16 storage stays near double, the same bits at every thread count") {
  std::int64_t const experts = 2, inner = 6, wide = 10, tokens = 9;
  auto plan = plan_of({0, 1, 1, 0, 0, 1, 0, -1, 1}, 1, experts);
  doubles x = randoms(tokens * inner, 1), gate = randoms(experts * inner * wide, 3), up = randoms(experts * inner * wide, 4), down = randoms(experts * wide * inner, 5),
          dy = randoms(tokens * inner, 6), w = randoms(tokens, 2), dx(x.size()), dw(w.size()), dgate(gate.size()), dup(up.size()), ddown(down.size());
  auto const narrow = [](doubles& v) {
    std::vector<bfloat16> n;
    for (double& value : v) {
      n.push_back(bfloat16(static_cast<float>(value)));
      value = static_cast<double>(static_cast<float>(n.back()));
    }
    return n;
  };
  auto nx = narrow(x), ngate = narrow(gate), nup = narrow(up), ndown = narrow(down), ndy = narrow(dy);
  std::vector<float> nw(w.size());
  for (std::size_t i = 0; i < w.size(); ++i) nw[i] = static_cast<float>(w[i]), w[i] = static_cast<double>(nw[i]);
  auto const weights = [&]<class T>(std::vector<T>& a, std::vector<T>& b, std::vector<T>& c) {
    return ffn_weights<T>{{a.data(), experts, inner, wide}, {b.data(), experts, inner, wide}, {c.data(), experts, wide, inner}};
  };
  expert_ffn_vjp(serial, ffn_policy{}, plan.view(), weights(gate, up, down), matrix(x, tokens, inner), matrix(w, tokens, 1), matrix(dy, tokens, inner),
                 matrix(dx, tokens, inner), matrix(dw, tokens, 1), weights(dgate, dup, ddown));
  std::vector<float> first;
  thread_pool one(1), two(2), three(3);
  for (thread_pool_ref const ex : {one.ref(), two.ref(), three.ref()}) {
    std::vector<float> gx(x.size()), gw(w.size()), ggate(gate.size()), gup(up.size()), gdown(down.size());
    expert_ffn_vjp(ex, ffn_policy{}, plan.view(), weights(ngate, nup, ndown), matrix(nx, tokens, inner), matrix(nw, tokens, 1), matrix(ndy, tokens, inner),
                   matrix(gx, tokens, inner), matrix(gw, tokens, 1), weights(ggate, gup, gdown));
    auto const near = [](std::vector<float> const& got, doubles const& expected) {
      double size = 0, worst = 0;
      for (double v : expected) size = std::fmax(size, std::abs(v));
      for (std::size_t i = 0; i < got.size(); ++i) worst = std::fmax(worst, std::abs(static_cast<double>(got[i]) - expected[i]));
      CHECK(worst < 0.02 * size);
    };
    near(gx, dx), near(gw, dw), near(ggate, dgate), near(gup, dup), near(gdown, ddown);
    gx.insert(gx.end(), gdown.begin(), gdown.end());
    if (first.empty()) first = gx;
    CHECK(support::same_bits(gx, first));
  }
}
