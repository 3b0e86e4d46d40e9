#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/grouped_gemm.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::ints;
using support::matrix;
using support::randoms;

struct routed {
  std::int64_t tokens, slots, experts;
  ints ids;
  floats weight;
  dispatch_plan plan;

  routed(std::int64_t t, std::int64_t k, std::int64_t e, std::int64_t most, unsigned seed)
      : tokens(t), slots(k), experts(e), ids(support::random_ids(t * k, most, seed)), weight(randoms<float>(t * k, seed + 1)), plan(support::plan_of(packed{4}, ids, k, e)) {}
};

template <class A, class B>
void check_near(A const& a, B const& b, double tolerance) {
  CHECK(support::largest_difference(a, b) <= tolerance);
}

// The same product on the host and on every emulated geometry: near the host's, and equal bits among the geometries.
template <class T, class Source, class Bank>
void check_product(plan_view const& p, Source const& source, Bank const& bank, std::int64_t outer, double tolerance) {
  std::vector<T> expected(static_cast<std::size_t>(p.row_bound() * outer), from_arithmetic<T>(arithmetic_t<T>(5))), first;
  grouped_gemm(serial, p, source, bank, row_sink{matrix(expected, p.row_bound(), outer)});
  support::for_each_geometry([&](auto const& ex) {
    std::vector<T> got(expected.size(), from_arithmetic<T>(arithmetic_t<T>(5)));
    grouped_gemm(ex, p, source, bank, row_sink{matrix(got, p.row_bound(), outer)});
    check_near(got, expected, tolerance);
    if (first.empty()) first = support::same_products ? expected : got;
    CHECK(support::same_bits(got, first));
  });
}

}  // namespace

TEST_CASE("emulated grouped_gemm: sizes off every multiple, empty bins, gathered and scaled sources, transposed weights") {
  for (auto [inner, outer] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {17, 5}, {16, 64}, {36, 70}, {0, 3}}) {
    routed r(23, 2, 5, 3, 7);  // bins 3 and 4 are empty
    auto const p = r.plan.view();
    auto const x = randoms<float>(23 * inner, 1), rows = randoms<float>(p.row_bound() * inner, 2), w = randoms<float>(5 * inner * outer, 3);
    weight_bank<float const> const bank(w.data(), 5, inner, outer), flipped = weight_bank<float const>(w.data(), 5, outer, inner).transposed();
    check_product<float>(p, plan_rows{matrix(rows, p.row_bound(), inner)}, bank, outer, 1e-5);
    check_product<float>(p, gathered{matrix(x, 23, inner)}, flipped, outer, 1e-5);
    check_product<float>(p, gathered<float>{matrix(x, 23, inner), matrix(r.weight, 23, 2)}, bank, outer, 1e-5);
  }
}

TEST_CASE("emulated grouped_gemm: bfloat16 and double storage, strided weights") {
  routed r(9, 2, 3, 3, 5);
  auto const p = r.plan.view();
  auto const x = randoms<bfloat16>(9 * 40, 1), w = randoms<bfloat16>(3 * 40 * 24, 2);
  check_product<bfloat16>(p, gathered{matrix(x, 9, 40)}, weight_bank<bfloat16 const>(w.data(), 3, 40, 24), 24, 0.05);
  auto const xd = randoms<double>(9 * 6, 1), wd = randoms<double>(3 * 12 * 14, 2);
  weight_bank<double const> strided(wd.data(), 3, 6, 7);
  strided.inner_stride = 28, strided.outer_stride = 2, strided.expert_stride = 12 * 14;
  check_product<double>(p, gathered{matrix(xd, 9, 6)}, strided, 7, 1e-12);
}

TEST_CASE("emulated grouped_gemm: a row has the same bits whatever else is in the batch") {
  std::int64_t const inner = 33, outer = 20;
  auto const w = randoms<float>(2 * inner * outer, 3), x = randoms<float>(90 * inner, 1);
  weight_bank<float const> const bank(w.data(), 2, inner, outer);
  floats alone(static_cast<std::size_t>(outer)), all(static_cast<std::size_t>(90 * outer));
  workspace ws;
  emulate::executor const ex(ws, {.block_threads = 128});
  auto const run = [&](std::int64_t first, std::int64_t tokens, floats& y) {
    ints const ids(static_cast<std::size_t>(tokens), 1);
    dispatch_plan plan(packed{}, tokens, 1, 2);
    make_plan(packed{}, route::assignment<float const, std::int32_t const>{{ids.data(), tokens, 1}, {}}, plan.view());
    grouped_gemm(ex, plan.view(), gathered{matrix_view(x.data() + first * inner, tokens, inner)}, bank, row_sink{matrix(y, tokens, outer)});
  };
  run(0, 90, all);
  run(77, 1, alone);
  CHECK(support::same_bits(alone, floats(all.begin() + 77 * outer, all.begin() + 78 * outer)));
}

TEST_CASE("emulated expert_ffn: gated, plain and clamped networks against the host") {
  std::int64_t const inner = 20, wide = 36;
  routed r(30, 2, 4, 4, 9);
  auto const p = r.plan.view();
  auto const x = randoms<float>(30 * inner, 1), gate = randoms<float>(4 * inner * wide, 2), up = randoms<float>(4 * inner * wide, 3), down = randoms<float>(4 * wide * inner, 4);
  ffn_weights<float const> const weights{{gate.data(), 4, inner, wide}, {up.data(), 4, inner, wide}, {down.data(), 4, wide, inner}};
  auto const check = [&](auto const& policy) {
    floats expected(x.size()), first;
    expert_ffn(serial, policy, p, weights, matrix(x, 30, inner), matrix(r.weight, 30, 2), matrix(expected, 30, inner));
    support::for_each_geometry([&](auto const& ex) {
      floats y(x.size(), 7.0f);
      expert_ffn(ex, policy, p, weights, matrix(x, 30, inner), matrix(r.weight, 30, 2), matrix(y, 30, inner));
      check_near(y, expected, 2e-5);
      if (first.empty()) first = support::same_products ? expected : y;
      CHECK(support::same_bits(y, first));
    });
  };
  check(ffn_policy{});
  check(ffn_policy{plain<relu>{}, weighted_sum<by_expert>{}, true});
  check(ffn_policy{clamped_swiglu{.limit = 1.0}});
  check(ffn_policy{glu<silu>{}, fused_by_expert{}});
}

TEST_CASE("emulated fused_by_expert: stripes of columns, with and without init, the bits of the unfused bracket") {
  std::int64_t const inner = 3, wide = 4, outer = 1030, tokens = 9;
  routed r(tokens, 3, 4, 3, 9);
  auto const p = r.plan.view();
  auto const x = randoms<float>(tokens * inner, 1), gate = randoms<float>(4 * inner * wide, 2), up = randoms<float>(4 * inner * wide, 3), down = randoms<float>(4 * wide * outer, 4),
             start = randoms<float>(tokens * outer, 5);
  ffn_weights<float const> const weights{{gate.data(), 4, inner, wide}, {up.data(), 4, inner, wide}, {down.data(), 4, wide, outer}};
  workspace ws;
  emulate::executor const ex(ws, {.block_threads = 64});
  auto const run = [&](auto const& combine, bool onto) {
    floats y = onto ? start : floats(start.size(), 7.0f);
    ffn_policy const policy{glu<silu>{}, combine};
    if (onto)
      expert_ffn(ex, policy, p, weights, matrix(x, tokens, inner), matrix(r.weight, tokens, 3), matrix(y, tokens, outer), matrix(y, tokens, outer));
    else
      expert_ffn(ex, policy, p, weights, matrix(x, tokens, inner), matrix(r.weight, tokens, 3), matrix(y, tokens, outer));
    return y;
  };
  for (bool onto : {false, true}) {
    auto const fused = run(fused_by_expert{}, onto), expected = run(weighted_sum<by_expert>{}, onto);
    CHECK(support::same_bits(fused, expected));
  }
}

TEST_CASE("device traffic: grouped_gemm") {
  // 100 rows in 3 row tiles, 128 columns: rows pass twice, weights three times
  CHECK(grouped_gemm_traffic(100, 3, 2, 32, 128, 4, 2, 4) == 100 * 32 * 4 * 2 + 3 * 32 * 128 * 2 + 100 * 128 * 4);
}
