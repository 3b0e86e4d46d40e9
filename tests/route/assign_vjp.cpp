#include "fanfold/route/assign.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "route/routed.hpp"

namespace {

template <class Router>
std::vector<double> vjp(Router const& router, std::vector<double> const& logits, std::int64_t experts, std::vector<double> const& dweight) {
  routed<double, double> r(router, logits, experts);
  std::vector<double> dlogits(logits.size(), 99);
  route::assign_vjp(router, r.input(), r.out(), matrix_view(dweight.data(), r.rows, r.slots), matrix_view(dlogits.data(), r.rows, experts));
  return dlogits;
}

TEST_CASE("assign_vjp: worked example") {
  std::vector<double> const a{2, 1, .5, -1}, g{1, 0};
  check_near(vjp(mixtral{.select = {.k = 2}}, a, 4, g), std::vector<double>{.196612, -.196612, 0, 0});
  check_near(vjp(olmoe{.select = {.k = 2}}, a, 4, g), std::vector<double>{.238019, -.136646, -.082880, -.018493});
}

// Sum of dweight * weight plus statistics' gradients * statistics; ids must not change within the step.
template <class Router>
double objective(Router const& router, std::vector<double> const& logits, std::int64_t experts, std::vector<double> const& dweight,
                 std::vector<double> const& dscore, double dlse, double dentropy) {
  routed<double, double> const r(router, logits, experts);
  double sum = 0;
  for (std::size_t i = 0; i < dweight.size(); ++i) sum += dweight[i] * r.weight[i];
  for (std::int64_t e = 0; e < experts; ++e) sum += dscore[static_cast<std::size_t>(e)] * r.stats.score_sum()[e];
  return sum + dlse * r.stats.lse_sq_sum() + dentropy * r.stats.entropy_sum();
}

template <class Router>
void check_gradient(Router const& router) {
  std::int64_t const experts = 5, rows = 4;
  std::vector<double> logits, dweight, dscore;
  for (int i = 0; i < rows * experts; ++i) logits.push_back(std::sin(i * 1.7) * 2 + .3);
  for (int i = 0; i < rows * router.slots(experts); ++i) dweight.push_back(std::cos(i * 2.3));
  for (int i = 0; i < experts; ++i) dscore.push_back(std::sin(i * .9 + 1));
  routed<double, double> r(router, logits, experts);
  std::vector<double> dlogits(logits.size());
  route::assign_vjp(router, r.input(), r.out(), matrix_view(dweight.data(), rows, r.slots), matrix_view(dlogits.data(), rows, experts),
                    route::routing_stats_gradient{dscore, .07, -.4});
  for (std::size_t i = 0; i < logits.size(); ++i) {
    double const h = 1e-6;
    auto up = logits, down = logits;
    up[i] += h;
    down[i] -= h;
    double const want = (objective(router, up, experts, dweight, dscore, .07, -.4) - objective(router, down, experts, dweight, dscore, .07, -.4)) / (2 * h);
    CAPTURE(i);
    CHECK(dlogits[i] == doctest::Approx(want).epsilon(1e-6).scale(1e-2));
  }
}

template <class Score, class Weight>
void check_gradient_of() {
  std::vector<float> const scales{1, 2, .5f, 1, 3};
  check_gradient(route::token_choice<Score, route::top_k, Weight>{.select = {.k = 3}, .weight = {.scale = {2.5f, scales}}});
  check_gradient(route::token_choice<Score, route::top_k, Weight>{.select = {.k = 1}});
}

TEST_CASE("assign_vjp: central differences of every score and weight map") {
  check_gradient_of<route::softmax_score, route::sum_norm>();
  check_gradient_of<route::softmax_score, route::raw_weight>();
  check_gradient_of<route::softmax_score, route::softmax_of_selected>();
  check_gradient_of<route::softmax_score, route::constant_weight>();
  check_gradient_of<route::sigmoid_score, route::sum_norm>();
  check_gradient_of<route::sigmoid_score, route::raw_weight>();
  check_gradient_of<route::sqrt_softplus_score, route::sum_norm>();
  check_gradient_of<route::identity_score, route::raw_weight>();
  check_gradient_of<route::identity_score, route::softmax_of_selected>();
  check_gradient_of<route::relu_score, route::raw_weight>();
  check_gradient_of<route::relu_score, route::sum_norm>();
}

TEST_CASE("assign_vjp: zero for degenerate, infinite, padded rows and non-finite entries") {
  std::vector<double> const logits{not_a_number, -infinity, not_a_number, infinity, 0, 1, 1, -infinity, 2, 1, 2, 3};
  std::vector<std::int32_t> id{0, 1, 0, 2, 2, 0, 2, 1};
  std::vector<double> weight(8), dweight{1, 2, 3, 4, 5, 6, 7, 8}, dlogits(12, 9);
  std::vector<std::uint8_t> const real{1, 1, 1, 0};
  olmoe const router{.select = {.k = 2}};
  route::assign_vjp(router, matrix_view(logits.data(), 4, 3), route::assignment<double>{{id.data(), 4, 2}, {weight.data(), 4, 2}},
                    matrix_view(dweight.data(), 4, 2), matrix_view(dlogits.data(), 4, 3), route::row_mask{real});
  for (int i : {0, 1, 2, 3, 4, 5, 7, 9, 10, 11}) CHECK(dlogits[static_cast<std::size_t>(i)] == 0);
  CHECK(dlogits[6] == doctest::Approx(.196612).epsilon(1e-5));
  CHECK(dlogits[8] == doctest::Approx(-.196612).epsilon(1e-5));
}

}  // namespace
