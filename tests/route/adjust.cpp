#include "fanfold/route/adjust.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "route/routed.hpp"
#include "support/bits.hpp"

namespace {

using ids = std::vector<std::int32_t>;
template <class A>
using softmax_top = route::token_choice<route::softmax_score, route::top_k, route::raw_weight, A>;

static_assert(route::key_adjust<route::no_adjust> && route::key_adjust<route::selection_bias> && route::key_adjust<route::selection_factor>);
static_assert(route::key_adjust<route::selection_mask> && route::key_adjust<route::logit_bias> && !route::key_adjust<int>);

double softmax_of(std::vector<double> const& l, std::size_t e) {
  double sum = 0;
  for (double x : l) sum += std::exp(x);
  return std::exp(l[e]) / sum;
}

TEST_CASE("selection_bias and selection_factor move the choice, not the weight") {
  std::vector<float> const logits{2, 1, 0, -1}, bias{0, 0, .6f, 0}, factor{1, 1, 4, 1};
  std::vector<double> const l{2, 1, 0, -1};
  routed<float> const plain(softmax_top<route::no_adjust>{.select = {2}}, logits, 4);
  CHECK(plain.id == ids{0, 1});
  // scores .644 .237 .087 .032: keys .644 .237 .687 .032 with the bias, .644 .237 .349 .032 with the factor
  routed<float> const biased(softmax_top<route::selection_bias>{.select = {2}, .adjust = {bias}}, logits, 4);
  CHECK(biased.id == ids{2, 0});
  CHECK(biased.weight[0] == doctest::Approx(softmax_of(l, 2)));
  routed<float> const scaled(softmax_top<route::selection_factor>{.select = {2}, .adjust = {factor}}, logits, 4);
  CHECK(scaled.id == ids{0, 2});
  CHECK(scaled.weight[1] == doctest::Approx(softmax_of(l, 2)));
}

TEST_CASE("selection_mask: open experts first, closed ones only where the open do not suffice") {
  std::vector<float> const logits{2, 1, 0, -1};
  std::vector<std::uint8_t> const open{0, 1, 0, 1};
  routed<float> const one(softmax_top<route::selection_mask>{.select = {1}, .adjust = {open}}, logits, 4);
  CHECK(one.id == ids{1});
  CHECK(one.weight[0] == doctest::Approx(softmax_of({2, 1, 0, -1}, 1)));
  routed<float> const three(softmax_top<route::selection_mask>{.select = {3}, .adjust = {open}}, logits, 4);
  CHECK(three.id == ids{1, 3, 0});
}

TEST_CASE("logit_bias: scores and weights see it, statistics keep the clean logits") {
  std::vector<float> const logits{2, 1, 0, -1}, bias{-3, 0, 1.5f, 0};
  routed<float> r(softmax_top<route::logit_bias>{.select = {2}, .adjust = {bias}}, logits, 4);
  CHECK(r.id == ids{2, 1});
  CHECK(r.weight[0] == doctest::Approx(softmax_of({-1, 1, 1.5, -1}, 2)));
  CHECK(r.weight[1] == doctest::Approx(softmax_of({-1, 1, 1.5, -1}, 1)));
  routed<float> const clean(softmax_top<route::no_adjust>{.select = {2}}, logits, 4);
  CHECK(r.stats.lse_sq_sum() == clean.stats.lse_sq_sum());
  routed<float> const none(softmax_top<route::logit_bias>{.select = {1}, .adjust = {bias}}, {-INFINITY, 1, -INFINITY, -INFINITY}, 4);
  CHECK(none.id == ids{1});
}

TEST_CASE("zero adjustments leave every bit") {
  std::vector<float> logits, zero(6, 0), one(6, 1);
  std::vector<std::uint8_t> const open(6, 1);
  for (int i = 0; i < 60; ++i) logits.push_back(static_cast<float>(std::cos(i * 1.9)));
  routed<float> const want(softmax_top<route::no_adjust>{.select = {3}}, logits, 6);
  auto const check = [&](auto const& router) {
    routed<float> const got(router, logits, 6);
    CHECK(got.id == want.id);
    CHECK(support::same_bits(got.weight, want.weight));
  };
  check(softmax_top<route::selection_bias>{.select = {3}, .adjust = {zero}});
  check(softmax_top<route::selection_factor>{.select = {3}, .adjust = {one}});
  check(softmax_top<route::selection_mask>{.select = {3}, .adjust = {open}});
  check(softmax_top<route::logit_bias>{.select = {3}, .adjust = {zero}});
}

TEST_CASE("adjustments of another size are refused by name") {
  std::vector<float> const logits{2, 1, 0, -1}, three(3);
  std::vector<std::uint8_t> const open(5, 1);
  auto const refused = [&](auto const& router, char const* name) {
    CHECK_THROWS_WITH_AS(routed<float>(router, logits, 4), doctest::Contains(name), fanfold::argument_error);
  };
  refused(softmax_top<route::selection_bias>{.adjust = {three}}, "selection_bias");
  refused(softmax_top<route::selection_factor>{.adjust = {three}}, "selection_factor");
  refused(softmax_top<route::selection_mask>{.adjust = {open}}, "selection_mask");
  refused(softmax_top<route::logit_bias>{.adjust = {three}}, "logit_bias");
}

}  // namespace
