#include "fanfold/testing/router_contract.hpp"

#include <doctest/doctest.h>

#include "support/executors.hpp"

namespace {

namespace route = fanfold::route;
namespace contract = fanfold::testing;

auto const every_executor = [](auto const& f) { support::for_each_executor(f); };

template <class L, class Router>
void check(Router const& router, std::int64_t rows, std::int64_t experts) {
  for (auto const& load : contract::router_workloads<L>(rows, experts, 42))
    for (auto const& failure : contract::check_router(router, load, every_executor)) FAIL_CHECK(failure);
}

template <class Router>
void check_shapes(std::int64_t k) {
  for (auto [rows, experts] : {std::pair{33, 8}, {5, 13}, {70, 64}, {17, 100}, {3, 256}})
    if (k <= experts) check<float>(Router{.select = {.k = k}}, rows, experts);
}

TEST_CASE("router contract: softmax, normalised") {
  for (std::int64_t k : {1, 2, 3, 5, 8, 9}) check_shapes<route::token_choice<route::softmax_score, route::top_k, route::sum_norm>>(k);
}

TEST_CASE("router contract: softmax, raw") {
  for (std::int64_t k : {1, 4, 6, 8, 12}) check_shapes<route::token_choice<route::softmax_score, route::top_k, route::raw_weight>>(k);
}

TEST_CASE("router contract: sigmoid, sqrt-softplus, relu, normalised") {
  for (std::int64_t k : {1, 6}) {
    check_shapes<route::token_choice<route::sigmoid_score, route::top_k, route::sum_norm>>(k);
    check_shapes<route::token_choice<route::sqrt_softplus_score, route::top_k, route::sum_norm>>(k);
    check_shapes<route::token_choice<route::relu_score, route::top_k, route::sum_norm>>(k);
  }
}

TEST_CASE("router contract: lowest ids for degenerate rows") {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  check<float>(router{.select = {.k = 2}, .on_degenerate = route::degenerate::lowest_ids}, 40, 16);
  check<float>(router{.select = {.k = 6}, .on_degenerate = route::degenerate::lowest_ids}, 40, 40);
}

TEST_CASE("router contract: other storage types, many experts") {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  check<double>(router{.select = {.k = 3}}, 20, 24);
  check<fanfold::bfloat16>(router{.select = {.k = 8}}, 20, 72);
  check<fanfold::float16>(router{.select = {.k = 2}}, 20, 9);
  check<float>(router{.select = {.k = 8}}, 18, 1024);
  check<float>(router{.select = {.k = 1}}, 18, 1);
  check<float>(router{.select = {.k = 16}}, 3, 2500);
}

TEST_CASE("router contract: finds what is wrong") {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  auto const load = contract::router_workloads<float>(4, 4, 1)[0];
  contract::routed_rows<float> good(4, 2, 4);
  router const r{.select = {.k = 2}};
  route::assign(r, load.view(), good.out(), good.stats.view());
  auto const failures_of = [&](auto const& spoil) {
    auto bad = good;
    spoil(bad);
    std::vector<std::string> failures;
    contract::detail::check_rows(r, load, bad, "test", failures);
    contract::detail::compare("test", good, bad, failures);
    return failures.size();
  };
  CHECK(failures_of([](auto&) {}) == 0);
  CHECK(failures_of([](auto& b) { b.id[1] = b.id[0]; }) > 0);
  CHECK(failures_of([](auto& b) { b.id[1] = 4; }) > 0);
  CHECK(failures_of([](auto& b) { b.id[1] = -1; }) > 0);
  CHECK(failures_of([](auto& b) { b.weight[1] = fanfold::math::quiet_nan<float>(); }) > 0);
  CHECK(failures_of([](auto& b) { b.stats.view().integers[0] = 3; }) > 0);
}

TEST_CASE("router contract: kernels of one's own") {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  router const r{.select = {.k = 3}};
  auto const good = [&](auto logits, auto out) { route::assign(r, logits, out); };
  auto const failures_of = [&](auto const& kernel, double tolerance) {
    std::size_t count = 0;
    for (auto const& load : contract::router_workloads<float>(9, 12, 4)) count += contract::check_routing_kernel(r, load, kernel, tolerance).size();
    return count;
  };
  CHECK(failures_of(good, 0) == 0);
  auto const scaled_by = [&](float factor) {
    return [&, factor](auto logits, auto out) {
      good(logits, out);
      for (std::int64_t t = 0; t < out.rows(); ++t) out.weight(t, 0) *= factor;
    };
  };
  CHECK(failures_of(scaled_by(1.00001f), 0) > 0);
  CHECK(failures_of(scaled_by(1.00001f), 1e-4) == 0);
  CHECK(failures_of(scaled_by(1.01f), 1e-4) > 0);
  auto const last_of_ties = [&](auto logits, auto out) {
    good(logits, out);
    for (std::int64_t t = 0; t < out.rows(); ++t)
      if (logits(t, 0) == logits(t, 11) && out.id(t, 0) == 0) out.id(t, 0) = 11;
  };
  CHECK(failures_of(last_of_ties, 1) > 0);
}

}  // namespace
