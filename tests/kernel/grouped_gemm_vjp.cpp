#include "fanfold/kernel/grouped_gemm_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/kernel/dispatch_vjp.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;
using support::floats;
using support::largest_difference;
using support::matrix;
using support::plan_of;
using support::randoms;
using support::same_bits;

namespace {

// Compares with the host's result, and the geometries' bits with each other.
template <class Run>
void check_vector_of(Run const& run, double tolerance) {
  auto const expected = run(serial);
  decltype(run(serial)) first;
  support::for_each_geometry([&](auto const& ex) {
    auto const got = run(ex);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(largest_difference(got[i], expected[i]) <= tolerance);
    if (first.empty()) first = support::same_products ? expected : got;
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(same_bits(got[i], first[i]));
  });
}

}  // namespace

TEST_CASE("emulated weight gradients: sizes off every multiple, empty bins, gathered and scaled sources, any strides") {
  for (auto [inner, outer] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {17, 5}, {64, 64}, {36, 70}, {9, 132}}) {
    auto plan = plan_of(packed{4}, support::random_ids(70, 3, 5), 2, 5);  // bins 3 and 4 are empty
    auto const p = plan.view();
    auto const x = randoms<float>(35 * inner, 1), rows = randoms<float>(p.row_bound() * inner, 2), dy = randoms<float>(p.row_bound() * outer, 3), w = randoms<float>(70, 4);
    auto const run = [&](auto const& ex) {
      std::vector<floats> out(4, floats(static_cast<std::size_t>(5 * inner * outer), 9.0f));
      auto const bank = [&](std::size_t i) { return weight_bank<float>(out[i].data(), 5, inner, outer); };
      auto const g = matrix(dy, p.row_bound(), outer);
      grouped_weight_gradient(ex, p, plan_rows{matrix(rows, p.row_bound(), inner)}, g, bank(0));
      grouped_weight_gradient(ex, p, gathered{matrix(x, 35, inner)}, g, bank(1));
      grouped_weight_gradient(ex, p, gathered<float>{matrix(x, 35, inner), matrix(w, 35, 2)}, g, bank(2));
      grouped_weight_gradient(ex, p, plan_rows{matrix(rows, p.row_bound(), inner)}, g, weight_bank<float>(out[3].data(), 5, outer, inner).transposed());
      return out;
    };
    check_vector_of(run, 2e-5);
    auto const out = run(serial);
    for (std::size_t i = static_cast<std::size_t>(3 * inner * outer); i < out[0].size(); ++i) CHECK(out[0][i] == 0.0f);
  }
}

TEST_CASE("emulated weight gradients: narrow and wide storage, a long bin, no rows at all") {
  auto plan = plan_of(packed{}, support::ints(300, 1), 1, 2);
  auto const p = plan.view();
  auto const x = randoms<bfloat16>(300 * 24, 1), dy = randoms<bfloat16>(300 * 16, 2);
  auto const xd = randoms<double>(300 * 6, 1), dyd = randoms<double>(300 * 7, 2);
  check_vector_of(
      [&](auto const& ex) {
        std::vector<floats> out(1, floats(2 * 24 * 16, 9.0f));
        grouped_weight_gradient(ex, p, gathered{matrix(x, 300, 24)}, matrix(dy, 300, 16), weight_bank<float>(out[0].data(), 2, 24, 16));
        return out;
      },
      1e-4);
  check_vector_of(
      [&](auto const& ex) {
        std::vector<support::doubles> out(1, support::doubles(2 * 6 * 7, 9.0));
        grouped_weight_gradient(ex, p, gathered{matrix(xd, 300, 6)}, matrix(dyd, 300, 7), weight_bank<double>(out[0].data(), 2, 6, 7));
        return out;
      },
      1e-12);
  auto none = plan_of(packed{4}, support::ints(8, -1), 2, 3);
  check_vector_of(
      [&](auto const& ex) {
        std::vector<floats> out(2, floats(3 * 4 * 5, 9.0f));
        floats const tokens(16), rows(static_cast<std::size_t>(none.view().row_bound() * 5));
        grouped_weight_gradient(ex, none.view(), gathered{matrix(tokens, 4, 4)}, matrix(rows, none.view().row_bound(), 5), weight_bank<float>(out[0].data(), 3, 4, 5));
        out[1].resize(15);
        grouped_bias_gradient(ex, none.view(), matrix(rows, none.view().row_bound(), 5), matrix(out[1], 3, 5));
        for (auto const& v : out)
          for (float f : v) CHECK(f == 0.0f);
        return out;
      },
      0);
}

TEST_CASE("emulated bias gradients equal the host's: padding is no row, bins of more than a tile of rows") {
  for (std::int64_t tokens : {1, 40, 5000}) {
    auto ids = support::random_ids(tokens, 3, 2);
    for (auto& id : ids) id = id == 2 ? 0 : id;  // expert 0 gets half, expert 2 none
    auto plan = plan_of(packed{8}, ids, 1, 4);
    auto const p = plan.view();
    for (std::int64_t cols : {1, 8}) {
      auto const dy = randoms<float>(p.row_bound() * cols, 3);
      floats expected(static_cast<std::size_t>(4 * cols));
      grouped_bias_gradient(serial, p, matrix(dy, p.row_bound(), cols), matrix(expected, 4, cols));
      support::for_each_geometry([&](auto const& ex) {
        floats got(expected.size(), 9.0f);
        grouped_bias_gradient(ex, p, matrix(dy, p.row_bound(), cols), matrix(got, 4, cols));
        CHECK(same_bits(got, expected));
      });
    }
  }
}

TEST_CASE("emulated expert_ffn_vjp against the host: gated, plain, weights on the tokens, absent outputs") {
  std::int64_t const experts = 4, inner = 10, wide = 12, tokens = 19;
  support::network<float> const n(experts, inner, wide, 3);
  auto plan = plan_of(packed{4}, support::random_ids(tokens * 2, 3, 8), 2, experts);  // expert 3 is empty
  auto const p = plan.view();
  auto const x = randoms<float>(tokens * inner, 1), w = randoms<float>(tokens * 2, 2), dy = randoms<float>(tokens * inner, 4);
  auto const check = [&](auto const& policy) {
    check_vector_of(
        [&](auto const& ex) {
          auto d = n.unset();
          std::vector<floats> out(2, floats(x.size(), 9.0f));
          out[1].resize(w.size());
          if (!decltype(policy.activation)::gated) d.gate.assign(d.gate.size(), 0.0f);
          expert_ffn_vjp(ex, policy, p, n.view(), matrix(x, tokens, inner), matrix(w, tokens, 2), matrix(dy, tokens, inner), matrix(out[0], tokens, inner),
                         matrix(out[1], tokens, 2), d.view());
          for (auto const& v : {d.gate, d.up, d.down}) out.push_back(v);
          return out;
        },
        1e-4);
  };
  check(ffn_policy{});
  check(ffn_policy{plain<gelu>{}, weighted_sum<by_expert>{}, true});
  check(ffn_policy{clamped_swiglu{.limit = 0.5}, fused_by_expert{}});
  check_vector_of(
      [&](auto const& ex) {
        auto d = n.unset();
        auto weights = d.view();
        weights.gate.data = nullptr, weights.down.data = nullptr;
        expert_ffn_vjp(ex, ffn_policy{}, p, n.view(), matrix(x, tokens, inner), matrix(w, tokens, 2), matrix(dy, tokens, inner), matrix_view<float>(),
                       matrix_view<float>(), weights);
        return std::vector<floats>{d.gate, d.up, d.down};
      },
      1e-4);
}

TEST_CASE("device traffic: gradients of banks") {
  // 100 rows, 2 experts, 128 x 64: two row tiles, one column tile
  CHECK(weight_gradient_traffic(100, 2, 128, 64, 2, 1, 4, 4, 4) == 100 * (128 * 4 + 64 * 4 * 2) + 2 * 128 * 64 * 4);
}
