#ifdef FANFOLD_TEST_CBLAS
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/adapt/cblas.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;

template <class T>
std::vector<T> randoms(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<T> v(static_cast<std::size_t>(n));
  for (auto& x : v) x = static_cast<T>(static_cast<int>(engine() % 2001) - 1000) / 1024;
  return v;
}

template <class T>
void check_layer(double tolerance) {
  std::int64_t const tokens = 40, experts = 5, inner = 12, wide = 17;
  auto const gate = randoms<T>(experts * inner * wide, 1), up = randoms<T>(experts * inner * wide, 2), down = randoms<T>(experts * inner * wide, 3), x = randoms<T>(tokens * inner, 4);
  auto logits = randoms<T>(tokens * experts, 5);
  for (std::int64_t t = 0; t < tokens; ++t) logits[static_cast<std::size_t>(t * experts + 3)] = -9;  // an empty bin
  // down lies transposed, as checkpoints have it
  ffn_weights<T const> const weights{{gate.data(), experts, inner, wide}, {up.data(), experts, inner, wide}, weight_bank<T const>(down.data(), experts, inner, wide).transposed()};
  std::vector<T> expected(x.size()), y(x.size());
  matrix_view<T const> const xs(x.data(), tokens, inner), ls(logits.data(), tokens, experts);
  auto const compare = [&](auto const& ours, auto const& theirs) {
    ours(serial, xs, ls, matrix_view(expected.data(), tokens, inner));
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      theirs(ex, xs, ls, matrix_view(y.data(), tokens, inner));
      for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::abs(y[i] - expected[i]) < tolerance);
    });
  };
  adapt::cblas_ffn<T> const gated(weights);
  adapt::cblas_ffn<T, false> const ungated(weights);
  compare(moe_layer{router{.select = {.k = 2}}, ffn_experts{weights}}, moe_layer{router{.select = {.k = 2}}, ffn_experts{gated}});
  compare(moe_layer{router{.select = {.k = 1}}, ffn_experts{weights, plain<relu>{}, true}}, moe_layer{router{.select = {.k = 1}}, ffn_experts{ungated, plain<relu>{}, true}});
}

}  // namespace

TEST_CASE("a layer on CBLAS agrees with the built-in products") {
  check_layer<float>(1e-5);
  check_layer<double>(1e-13);
}

TEST_CASE("cblas_bank: errors") {
  std::vector<float> const w(64), x(4);
  std::vector<float> y(4);
  weight_bank<float const> strided(w.data(), 1, 2, 2);
  strided.inner_stride = 8, strided.outer_stride = 2;
  std::vector<std::int32_t> const ids{0, 0};
  dispatch_plan plan(packed{}, 2, 1, 1);
  make_plan(packed{}, route::assignment<float const, std::int32_t const>{{ids.data(), 2, 1}, {}}, plan.view());
  CHECK_THROWS_WITH_AS(grouped_gemm(serial, plan.view(), gathered{matrix_view(x.data(), 2, 2)}, adapt::cblas_bank<float>(strided), row_sink{matrix_view(y.data(), 2, 2)}),
                       doctest::Contains("strides"), argument_error);
}
#endif
