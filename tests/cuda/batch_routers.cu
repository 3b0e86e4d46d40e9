#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/cuda/sort.cuh"
#include "fanfold/kernel/balanced_assign.hpp"
#include "fanfold/kernel/expert_choice.hpp"
#include "fanfold/kernel/placement.hpp"
#include "fanfold/kernel/sinkhorn.hpp"
#include "fanfold/kernel/soft_moe.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
using fanfold::cuda::buffer;
constexpr std::int64_t rows = 192, experts = 12;

template <class Router>
void check_one_slot(Router const& router) {
  auto const logits = support::reals(rows * experts, 1);
  std::vector<std::int32_t> id(rows);
  std::vector<float> weight(rows);
  route::assign(fanfold::serial, router, matrix_view<float const>(logits.data(), rows, experts),
                route::assignment<float>{{id.data(), rows, 1}, {weight.data(), rows, 1}});
  auto const x = support::upload(logits);
  support::on_device([&](fanfold::cuda::executor const& ex) {
    buffer<std::int32_t> device_id(rows);
    buffer<float> device_weight(rows);
    route::assign(ex, router, matrix_view<float const>(x.data(), rows, experts),
                  route::assignment<float>{{device_id.data(), rows, 1}, {device_weight.data(), rows, 1}});
    CHECK(support::download(ex, device_id) == id);
    CHECK(support::same_bits(support::download(ex, device_weight), weight));
  });
}

void check_choice(route::expert_choice const& router) {
  auto const logits = support::reals(rows * experts, 2);
  std::int64_t const places = router.places(rows, experts);
  std::vector<std::int32_t> token(static_cast<std::size_t>(experts * places));
  std::vector<float> weight(token.size());
  route::assign(fanfold::serial, router, matrix_view<float const>(logits.data(), rows, experts),
                route::expert_assignment<float>{{token.data(), experts, places}, {weight.data(), experts, places}});
  auto const x = support::upload(logits);
  support::on_device([&](fanfold::cuda::executor const& ex) {
    buffer<std::int32_t> device_token(experts * places);
    buffer<float> device_weight(experts * places);
    route::assign(ex, router, matrix_view<float const>(x.data(), rows, experts),
                  route::expert_assignment<float>{{device_token.data(), experts, places}, {device_weight.data(), experts, places}});
    CHECK(support::download(ex, device_token) == token);
    CHECK(support::same_bits(support::download(ex, device_weight), weight));
  });
}

}  // namespace

TEST_CASE("routers that look at the whole batch give the host's bits on the device") {
  check_one_slot(route::balanced_assign{});
  check_one_slot(route::sinkhorn_router{});
  check_choice({.experts_per_token = 2});
  check_choice({.experts_per_token = 2, .most_experts = 3, .group_size = 50});
}

TEST_CASE("capacities drop the same choices on the device") {
  std::vector<std::int32_t> id;
  std::vector<float> weight;
  for (std::int64_t i = 0; i < 2 * rows; ++i) {
    id.push_back(static_cast<std::int32_t>((i / 2 * 5 + i % 2) % experts));
    weight.push_back(static_cast<float>(i * 29 % 13 + 1) / 16);
  }
  std::vector<std::int64_t> const capacity(experts, 20);
  auto const room = support::upload(capacity);
  auto const check = [&](auto const& order) {
    auto host_id = id;
    auto host_weight = weight;
    route::place(fanfold::serial, order, route::assignment<float>{{host_id.data(), rows, 2}, {host_weight.data(), rows, 2}}, capacity);
    support::on_device([&](fanfold::cuda::executor const& ex) {
      auto device_id = support::upload(id);
      auto device_weight = support::upload(weight);
      route::place(ex, order, route::assignment<float>{{device_id.data(), rows, 2}, {device_weight.data(), rows, 2}},
                   fanfold::view<std::int64_t const>(room));
      CHECK(support::download(ex, device_id) == host_id);
      CHECK(support::same_bits(support::download(ex, device_weight), host_weight));
    });
  };
  check(route::by_score_order{});
  check(route::batch_prioritised_order{});
}

TEST_CASE("soft mixtures have the same weights on the device") {
  auto const x = support::reals(rows * 40, 3), mu = support::reals(experts * 40, 4);
  std::vector<float> dispatch(rows * experts), combine(rows * experts);
  route::mixing_weights(fanfold::serial, route::soft_moe<float>{{mu.data(), experts, 40}, 2}, matrix_view<float const>(x.data(), rows, 40),
                        matrix_view<float>(dispatch.data(), rows, experts), matrix_view<float>(combine.data(), rows, experts));
  auto const device_x = support::upload(x), device_mu = support::upload(mu);
  support::on_device([&](fanfold::cuda::executor const& ex) {
    buffer<float> device_dispatch(rows * experts), device_combine(rows * experts);
    route::mixing_weights(ex, route::soft_moe<float>{{device_mu.data(), experts, 40}, 2}, matrix_view<float const>(device_x.data(), rows, 40),
                          matrix_view<float>(device_dispatch.data(), rows, experts), matrix_view<float>(device_combine.data(), rows, experts));
    CHECK(support::same_bits(support::download(ex, device_dispatch), dispatch));
    CHECK(support::same_bits(support::download(ex, device_combine), combine));
  });
}
