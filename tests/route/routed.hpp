#pragma once

#include "fanfold/route/assign.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

// Shared by the router tests; internal linkage, since each file has its own.
namespace {

using fanfold::matrix_view;
namespace route = fanfold::route;

using mixtral = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using olmoe = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
using sigmoid_router = route::token_choice<route::sigmoid_score, route::top_k, route::sum_norm>;

[[maybe_unused]] constexpr double infinity = std::numeric_limits<double>::infinity();
[[maybe_unused]] constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

template <class L, class W = float>
struct routed {
  std::vector<L> logits;
  std::int64_t rows, experts, slots;
  std::vector<std::int32_t> id;
  std::vector<W> weight;
  route::routing_stats stats;

  template <class Router>
  routed(Router const& router, std::vector<L> l, std::int64_t e)
      : logits(std::move(l)), rows(static_cast<std::int64_t>(logits.size()) / e), experts(e), slots(router.slots(e)), stats(e) {
    id.assign(static_cast<std::size_t>(rows * slots), 99);
    weight.assign(id.size(), W(99));
    route::assign(router, input(), out(), stats.view());
  }
  matrix_view<L const> input() const { return {logits.data(), rows, experts}; }
  route::assignment<W> out() { return {{id.data(), rows, slots}, {weight.data(), rows, slots}}; }
};

[[maybe_unused]] std::vector<float> rows_abcd() { return {2, 1, .5f, -1, .2f, .3f, .1f, 0, -1, 3, 0, 1, 1, 1, -2, .5f}; }

template <class A, class B>
void check_near(A const& a, std::vector<B> const& b, double tolerance = 2e-6) {
  REQUIRE(static_cast<std::size_t>(a.size()) == b.size());
  for (std::size_t i = 0; i < b.size(); ++i) CHECK(static_cast<double>(a[i]) == doctest::Approx(b[i]).epsilon(tolerance).scale(1));
}

}  // namespace
