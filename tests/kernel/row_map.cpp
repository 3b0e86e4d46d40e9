#include "fanfold/kernel/row_map.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "support/bits.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;

using mixtral = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
using olmoe = route::token_choice<route::softmax_score, route::top_k, route::raw_weight>;
using sigmoid = route::token_choice<route::sigmoid_score, route::top_k, route::sum_norm>;

// Ids, weights and statistics of the device form against the host's, with and without statistics and mask.
template <class L, class Router>
void check_device(Router const& router, std::int64_t rows, std::int64_t experts, unsigned threads) {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 3, .descending = threads == 64});
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(rows));
  for (std::size_t t = 0; t < mask.size(); ++t) mask[t] = t % 5 == 3 ? 0 : 1;
  auto const loads = fanfold::testing::router_workloads<L>(rows, experts, 11);
  for (std::size_t i = 0; i < loads.size(); i += threads == 64 ? 1 : 4) {
    auto const& load = loads[i];
    CAPTURE(load.name);
    CAPTURE(rows);
    CAPTURE(experts);
    CAPTURE(threads);
    std::int64_t const k = router.slots(experts);
    fanfold::testing::routed_rows<float> want(rows, k, experts), got(rows, k, experts), bare(rows, k, experts);
    route::row_mask const masked{i % 2 == 0 ? fanfold::view<std::uint8_t const>(mask) : fanfold::view<std::uint8_t const>()};
    route::assign(router, load.view(), want.out(), want.stats.view(), masked);
    route::assign(ex, router, load.view(), got.out(), got.stats.view(), masked);
    route::assign(ex, router, load.view(), bare.out(), masked);
    auto const fetched = fanfold::fetch(ex, got.stats.view());
    std::vector<std::string> failures;
    fanfold::testing::detail::compare("device", want, got, failures);
    for (auto const& f : failures) FAIL_CHECK(f);
    CHECK(bare.id == want.id);
    CHECK(support::same_bits(bare.weight, want.weight));
    CHECK(fetched.choices() == want.stats.choices());

    std::vector<float> dweight(want.weight.size()), host(load.logits.size()), device(host.size(), 5);
    for (std::size_t j = 0; j < dweight.size(); ++j) dweight[j] = static_cast<float>(j % 7) - 3;
    std::vector<double> dscore(static_cast<std::size_t>(experts), .25);
    dscore[0] = -1;
    route::routing_stats_gradient const ds{dscore, .01, -.02};
    matrix_view<float const> const dw(dweight.data(), rows, k);
    route::assign_vjp(router, load.view(), want.out(), dw, matrix_view(host.data(), rows, experts), ds, masked);
    route::assign_vjp(ex, router, load.view(), want.out(), dw, matrix_view(device.data(), rows, experts), ds, masked);
    CHECK(support::same_bits(host, device));
  }
}

TEST_CASE("row map: the device form gives the host's bits") {
  for (unsigned threads : {32u, 64u, 256u}) {
    check_device<float>(mixtral{.select = {.k = 2}}, 41, 8, threads);
    check_device<float>(olmoe{.select = {.k = 8}}, 19, 64, threads);
    check_device<float>(sigmoid{.select = {.k = 5}}, 10, 37, threads);
  }
}

TEST_CASE("row map: the device form for other storage types and shapes") {
  check_device<fanfold::bfloat16>(mixtral{.select = {.k = 3}}, 9, 72, 128);
  check_device<double>(olmoe{.select = {.k = 4}}, 5, 33, 128);
  check_device<float>(mixtral{.select = {.k = 40}}, 2, 129, 32);
  check_device<float>(mixtral{.select = {.k = 1}}, 3, 1, 32);
  check_device<float>(mixtral{.select = {.k = 2}, .on_degenerate = route::degenerate::lowest_ids}, 40, 16, 64);
}

TEST_CASE("row map: rows too long for shared memory use the workspace") { check_device<float>(olmoe{.select = {.k = 2}}, 2, 4500, 32); }

TEST_CASE("row map: several runs a task, several passes over the sums") {
  std::int64_t const rows = 32 * 34 + 5;
  std::vector<float> logits(static_cast<std::size_t>(rows));
  for (std::size_t i = 0; i < logits.size(); ++i) logits[i] = static_cast<float>(i % 97) / 7 - 3;
  fanfold::testing::routed_rows<float> want(rows, 1, 1);
  matrix_view<float const> const x(logits.data(), rows, 1);
  route::assign(olmoe{}, x, want.out(), want.stats.view());
  for (std::int64_t limit : {3, 100}) {
    CAPTURE(limit);
    fanfold::testing::routed_rows<float> got(rows, 1, 1);
    fanfold::workspace ws;
    fanfold::emulate::executor const ex(ws, {.block_threads = 64});
    route::row_map_loop<olmoe> const loop{olmoe{}, {}, got.stats.view()};
    route::detail::route_and_sum(ex, loop, x, got.out(), ws, limit);
    std::vector<std::string> failures;
    fanfold::testing::detail::compare("device", want, got, failures);
    for (auto const& f : failures) FAIL_CHECK(f);
  }
}

TEST_CASE("row map: no rows on a device, and a forbidden NaN") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<float> logits{1, 2, fanfold::math::quiet_nan<float>(), 3};
  fanfold::testing::routed_rows<float> r(2, 1, 2);
  r.stats.view().integers[0] = 9;
  route::assign(ex, mixtral{}, matrix_view(logits.data(), 0, 2), route::assignment<>{{r.id.data(), 0, 1}, {r.weight.data(), 0, 1}}, r.stats.view());
  CHECK(fanfold::fetch(ex, r.stats.view()).tokens() == 0);
  route::assign(ex, mixtral{.nan = route::nan_policy::error}, matrix_view(logits.data(), 2, 2), r.out(), r.stats.view());
  CHECK_THROWS_AS(fanfold::fetch(ex, r.stats.view()), fanfold::argument_error);
  CHECK(r.id == std::vector<std::int32_t>{1, -1});
}

}  // namespace
