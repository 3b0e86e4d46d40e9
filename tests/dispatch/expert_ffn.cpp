#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/plan.hpp"
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
using support::plan_of;
using support::randoms;

double gelu_reference(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double gelu_tanh_reference(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))); }
double silu_reference(double x) { return x / (1 + std::exp(-x)); }

/// y by the definition, token by token in double.
template <class Hidden>
doubles reference(network<double> const& n, ints const& ids, doubles const& x, doubles const& w, std::int64_t slots, Hidden hidden) {
  auto const view = n.view();
  std::int64_t const tokens = static_cast<std::int64_t>(ids.size()) / slots;
  doubles y(x.size());
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t s = 0; s < slots; ++s) {
      std::int32_t const e = ids[static_cast<std::size_t>(t * slots + s)];
      if (e < 0) continue;
      for (std::int64_t i = 0; i < n.wide; ++i) {
        double g = 0, u = 0;
        for (std::int64_t k = 0; k < n.inner; ++k) {
          g += x[static_cast<std::size_t>(t * n.inner + k)] * view.gate(e, k, i);
          u += x[static_cast<std::size_t>(t * n.inner + k)] * view.up(e, k, i);
        }
        for (std::int64_t k = 0; k < n.inner; ++k)
          y[static_cast<std::size_t>(t * n.inner + k)] += w[static_cast<std::size_t>(t * slots + s)] * hidden(g, u) * view.down(e, i, k);
      }
    }
  return y;
}

}  // namespace

TEST_CASE("expert_ffn: worked example, silu and clamped") {
  auto plan = plan_of({0, 1}, 2, 2);
  doubles const gate{1, -1}, up{.5, 1}, down{1, 2}, x{2}, w{.75, .25};
  doubles y(1);
  ffn_weights<double const> const weights{{gate.data(), 2, 1, 1}, {up.data(), 2, 1, 1}, {down.data(), 2, 1, 1}};
  expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, 1, 1), matrix(w, 1, 2), matrix(y, 1, 1));
  CHECK(y[0] == doctest::Approx(1.082789773).epsilon(1e-9));
  expert_ffn(serial, ffn_policy{clamped_swiglu{}}, plan.view(), weights, matrix(x, 1, 1), matrix(w, 1, 2), matrix(y, 1, 1));
  CHECK(y[0] == doctest::Approx(2.806975869).epsilon(1e-9));
}

TEST_CASE("expert_ffn: every activation, gated and not, against the definition") {
  network<double> const n(3, 19, 23, 5);
  std::int64_t const tokens = 14, slots = 2;
  ints const ids{0, 1, 1, 0, -1, 0, 0, 0, -1, -1, 1, 0, 0, 1, 1, 1, 0, 1, -1, 1, 0, 0, 1, 0, 0, 1, 1, -1};  // expert 2 is empty
  auto plan = plan_of(ids, slots, 3);
  auto const x = randoms<double>(tokens * 19, 1), w = randoms<double>(tokens * slots, 2);
  packed_ffn<double, true> const gated(n.view());
  packed_ffn<double, false> const ungated(n.view());
  doubles y(x.size()), other(x.size());
  auto const check = [&](auto const& activation, auto hidden) {
    auto const expected = reference(n, ids, x, w, slots, hidden);
    auto const run = [&](auto const& policy, auto const& weights, doubles& out) {
      expert_ffn(serial, policy, plan.view(), weights, matrix(x, tokens, 19), matrix(w, tokens, slots), matrix(out, tokens, 19));
    };
    if constexpr (std::remove_cvref_t<decltype(activation)>::gated)
      run(ffn_policy{activation}, gated, y);
    else
      run(ffn_policy{activation}, ungated, y);
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx(expected[i]).epsilon(1e-12));
    run(ffn_policy{activation}, n.view(), other);
    CHECK(support::same_bits(other, y));
    run(ffn_policy{activation, weighted_sum<by_expert>{}}, n.view(), y);
    run(ffn_policy{activation, fused_by_expert{}}, n.view(), other);
    CHECK(support::same_bits(other, y));
  };
  check(glu<silu>{}, [](double g, double u) { return silu_reference(g) * u; });
  check(glu<gelu>{}, [](double g, double u) { return gelu_reference(g) * u; });
  check(glu<gelu_tanh>{}, [](double g, double u) { return gelu_tanh_reference(g) * u; });
  check(glu<identity>{}, [](double g, double u) { return g * u; });
  check(plain<relu>{}, [](double, double u) { return std::fmax(u, 0.0); });
  check(plain<silu>{}, [](double, double u) { return silu_reference(u); });
  check(clamped_swiglu{.limit = 1.5}, [](double g, double u) {
    double const c = std::fmin(g, 1.5);
    return c / (1 + std::exp(-1.702 * c)) * (std::fmax(-1.5, std::fmin(u, 1.5)) + 1);
  });
}

TEST_CASE("expert_ffn: shared experts as init equal always-selected slots") {
  network<double> const all(3, 8, 12, 5);
  // expert 2 is shared: once as a dense network whose output is init, once as a last slot of weight 1
  std::int64_t const tokens = 6, inner = 8;
  ints const ids{0, 1, 0, 1, 1}, routed{0, 1, 0, 1, 1, -1};
  ints with_shared, only_shared(6, 2);
  doubles const w = randoms<double>(6, 3);
  doubles w_shared;
  for (std::size_t t = 0; t < 6; ++t) {
    with_shared.insert(with_shared.end(), {2, routed[t]});
    w_shared.insert(w_shared.end(), {1.0, w[t]});
  }
  auto const x = randoms<double>(tokens * inner, 1);
  doubles a(x.size()), b(x.size());
  auto slots = plan_of(with_shared, 2, 3), dense = plan_of(only_shared, 1, 3), sparse = plan_of(routed, 1, 3);
  expert_ffn(serial, ffn_policy{}, slots.view(), all.view(), matrix(x, tokens, inner), matrix(w_shared, tokens, 2), matrix(a, tokens, inner));
  matrix_view<double const> const one;
  expert_ffn(serial, ffn_policy{}, dense.view(), all.view(), matrix(x, tokens, inner), one, matrix(b, tokens, inner));
  expert_ffn(serial, ffn_policy{}, sparse.view(), all.view(), matrix(x, tokens, inner), matrix(w, tokens, 1), matrix(b, tokens, inner), matrix(b, tokens, inner));
  CHECK(support::same_bits(a, b));
}

TEST_CASE("expert_ffn: storage types, weights before the network, executors") {
  std::int64_t const tokens = 50, slots = 2, inner = 40;
  network<bfloat16> const n(4, inner, 70, 5);
  ints ids(100);
  std::mt19937 engine(3);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 5) - 1;
  auto plan = plan_of(ids, slots, 4);
  auto const x = randoms<bfloat16>(tokens * inner, 1);
  auto const w = randoms<float>(tokens * slots, 2);
  packed_ffn<bfloat16> const packed_weights(n.view());
  std::vector<float> first;
  support::for_each_executor([&](char const* name, auto const& ex) {
    std::vector<float> y(x.size());
    expert_ffn(ex, ffn_policy{}, plan.view(), packed_weights, matrix(x, tokens, inner), matrix(w, tokens, slots), matrix(y, tokens, inner));
    if (first.empty()) first = y;
    CHECK_MESSAGE(support::same_bits(y, first), name);
  });
  network<double> wide(4, inner, 70, 5);
  doubles x_wide(x.size()), w_wide(w.begin(), w.end());
  for (std::size_t i = 0; i < x.size(); ++i) x_wide[i] = static_cast<double>(to_arithmetic(x[i]));
  for (auto [to, from] : {std::pair{&wide.gate, &n.gate}, {&wide.up, &n.up}, {&wide.down, &n.down}})
    for (std::size_t i = 0; i < from->size(); ++i) (*to)[i] = static_cast<double>(to_arithmetic((*from)[i]));
  auto const expected = reference(wide, ids, x_wide, w_wide, slots, [](double g, double u) { return silu_reference(g) * u; });
  double worst = 0, size = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::fmax(worst, std::abs(expected[i] - static_cast<double>(first[i]))), size = std::fmax(size, std::abs(expected[i]));
  CHECK(worst < 0.02 * size);

  // before the network: the same as plain experts on scaled tokens
  network<double> const small(4, 6, 9, 5);
  doubles const tokens6 = randoms<double>(tokens * 6, 4), ones(100, 1.0);
  doubles y(tokens6.size());
  expert_ffn(serial, ffn_policy{glu<silu>{}, weighted_sum{}, true}, plan.view(), small.view(), matrix(tokens6, tokens, 6), matrix(w_wide, tokens, slots), matrix(y, tokens, 6));
  doubles sum(y.size());
  for (std::int64_t s = 0; s < slots; ++s) {
    doubles x_scaled = tokens6;
    ints one_slot(50);
    for (std::int64_t t = 0; t < tokens; ++t) {
      one_slot[static_cast<std::size_t>(t)] = ids[static_cast<std::size_t>(t * slots + s)];
      for (std::int64_t k = 0; k < 6; ++k) x_scaled[static_cast<std::size_t>(t * 6 + k)] *= w_wide[static_cast<std::size_t>(t * slots + s)];
    }
    auto const part = reference(small, one_slot, x_scaled, ones, 1, [](double g, double u) { return silu_reference(g) * u; });
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
  }
  for (std::size_t i = 0; i < sum.size(); ++i) CHECK(y[i] == doctest::Approx(sum[i]).epsilon(1e-12));
}

TEST_CASE("plan, gather, combine, expert_ffn: a second call with a warm workspace allocates nothing") {
  std::int64_t const tokens = 40, slots = 2, inner = 24;
  network<float> const n(4, inner, 30, 5);
  ints ids(80);
  for (std::size_t a = 0; a < 80; ++a) ids[a] = static_cast<std::int32_t>(a * 7 % 4);
  auto const x = randoms<float>(tokens * inner, 1), w = randoms<float>(tokens * slots, 2);
  std::vector<float> y(x.size()), rows(static_cast<std::size_t>(80 * inner));
  packed_ffn<float> const weights(n.view());
  dispatch_plan plan(packed{}, tokens, slots, 4);
  workspace ws;
  auto const step = [&] {
    route::assignment<float const, std::int32_t const> const routes{{ids.data(), tokens, slots}, {w.data(), tokens, slots}};
    make_plan(serial, packed{}, routes, plan.view(), ws);
    gather(serial, plan.view(), matrix(x, tokens, inner), matrix(rows, 80, inner), ws);
    fold_combine(serial, weighted_sum{}, plan.view(), matrix(rows, 80, inner), matrix(w, tokens, slots), matrix(y, tokens, inner), ws);
    expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, tokens, inner), matrix(w, tokens, slots), matrix(y, tokens, inner), ws);
    make_plan(serial, plan_policy{packed{}, priority<>{}, by_score{.limit = 15}}, routes, plan.view(), ws);
  };
  step();
  support::allocation_count const count;
  step();
  CHECK(count.get() == 0);
}

TEST_CASE("expert_ffn: errors") {
  network<float> const n(2, 3, 4, 1);
  auto plan = plan_of({0, 1}, 1, 2);
  std::vector<float> x(6), y(6), w(2);
  auto weights = n.view();
  CHECK_THROWS_AS(expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, 3, 2), matrix(w, 2, 1), matrix(y, 2, 3)), argument_error);
  CHECK_THROWS_AS(expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, 2, 3), matrix(w, 2, 1), matrix(y, 3, 2)), argument_error);
  CHECK_THROWS_AS(expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, 2, 3), matrix(w, 2, 1), matrix(x, 2, 3)), argument_error);
  weights.gate = {};
  CHECK_THROWS_AS(expert_ffn(serial, ffn_policy{}, plan.view(), weights, matrix(x, 2, 3), matrix(w, 2, 1), matrix(y, 2, 3)), argument_error);
}

TEST_CASE("expert_ffn: experts of skipped zero weights do not run, so 0 * infinity is not seen") {
  network<float> n(3, 2, 2, 1);
  for (auto& d : n.down) d = d == 0 ? 1.0f : d;
  for (std::size_t i = 8; i < 12; ++i) n.down[i] = std::numeric_limits<float>::infinity();  // of expert 2
  ints const ids{0, 2, 2, 1, 1, 0};
  floats const x{1, -2, 3, 1, 2, 2}, w{.5f, 0, -0.0f, 1, .25f, 0};
  route::assignment<float const, std::int32_t const> const routes{{ids.data(), 3, 2}, {w.data(), 3, 2}};
  auto const run = [&](auto const& policy, auto const& r) {
    dispatch_plan plan(packed{}, 3, 2, 3);
    make_plan(policy, r, plan.view());
    floats y(6);
    expert_ffn(serial, ffn_policy{}, plan.view(), n.view(), matrix(x, 3, 2), matrix(w, 3, 2), matrix(y, 3, 2));
    return y;
  };
  ints left = ids;
  left[1] = left[2] = left[5] = -1;
  floats const skipped = run(plan_policy{packed{}, token_major{}, dropless{}, skip_zero{}}, routes);
  CHECK(support::same_bits(skipped, run(packed{}, support::routes_of(left, 2))));
  floats const kept = run(packed{}, routes);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(std::isfinite(skipped[i]));
    CHECK(std::isnan(kept[i]) == (i < 4));  // tokens 0 and 1 name expert 2
  }
}
