#include "fanfold/kernel/expert_choice.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/route/expert_choice.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
using weight_form = route::expert_choice::weight_form;

template <class L>
struct choice_result {
  std::vector<std::int32_t> token;
  std::vector<float> weight;
  std::vector<L> dlogits;
};

template <class E, class L>
choice_result<L> choose(E const& ex, route::expert_choice const& router, std::vector<L> const& logits, std::int64_t n, route::row_mask mask = {}) {
  std::int64_t const rows = static_cast<std::int64_t>(logits.size()) / n, places = router.places(rows, n);
  auto const size = static_cast<std::size_t>(n * places);
  choice_result<L> r{std::vector<std::int32_t>(size, 77), std::vector<float>(size, 77), std::vector<L>(logits.size(), L(77))};
  matrix_view<L const> const x(logits.data(), rows, n);
  route::expert_assignment<float> const out{{r.token.data(), n, places}, {r.weight.data(), n, places}};
  route::assign(ex, router, x, out, mask);
  std::vector<float> dweight(size);
  for (std::size_t i = 0; i < size; ++i) dweight[i] = std::sin(static_cast<float>(i) * .7f);
  route::assign_vjp(ex, router, x, out, matrix_view<float const>(dweight.data(), n, places), matrix_view(r.dlogits.data(), rows, n));
  return r;
}

template <class L>
void check_choice(route::expert_choice const& router, std::vector<L> const& logits, std::int64_t n, route::row_mask mask = {}) {
  auto const want = choose(fanfold::serial, router, logits, n, mask);
  support::for_each_geometry([&](auto const& ex) {
    auto const got = choose(ex, router, logits, n, mask);
    CHECK(got.token == want.token);
    CHECK(support::same_bits(got.weight, want.weight));
    CHECK(support::same_bits(got.dlogits, want.dlogits));
  });
}

}  // namespace

TEST_CASE("expert choice on a device: the host's bits for every workload") {
  auto const loads = fanfold::testing::router_workloads<float>(37, 7, 5);
  for (std::size_t i = 0; i < loads.size(); ++i) {
    CAPTURE(loads[i].name);
    auto const form = i % 2 == 0 ? weight_form::score : weight_form::softmax_over_chosen;
    check_choice({.experts_per_token = 1.5, .weight = form, .group_size = i % 3 == 0 ? 16 : 0}, loads[i].logits, 7);
    if (i % 3 == 1) check_choice({.experts_per_token = 2, .weight = form, .most_experts = 2, .group_size = 10}, loads[i].logits, 7);
  }
}

TEST_CASE("expert choice on a device: shapes, doubles, padding, limits") {
  for (std::int64_t n : {1, 2, 33}) {
    auto const loads = fanfold::testing::router_workloads<double>(40, n, 3);
    check_choice({.experts_per_token = 1, .weight = weight_form::softmax_over_chosen}, loads[0].logits, n);
    check_choice({.capacity = 40, .most_experts = 1}, loads[1].logits, n);
  }
  std::vector<float> tied(50 * 4);
  for (std::size_t i = 0; i < tied.size(); ++i) tied[i] = static_cast<float>(i * 7 % 3);
  std::vector<std::uint8_t> real(50, 1);
  real[0] = real[17] = 0;
  check_choice({.capacity = 20}, tied, 4, {real});
  check_choice({.capacity = 20, .weight = weight_form::softmax_over_chosen, .most_experts = 1}, tied, 4, {real});
  check_choice({.capacity = 3}, std::vector<float>{}, 4);
  check_choice({.capacity = 3, .most_experts = 1}, std::vector<float>{1, 2, 3, 4}, 4);
}

TEST_CASE("expert choice on a device: a recorded token out of range is reported and left out") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<float> const logits{1, 2, 3, 4};
  std::vector<std::int32_t> token{0, 5};
  std::vector<float> weight{1, 1}, dweight{1, 1}, dlogits(4);
  route::assign_vjp(ex, route::expert_choice{.capacity = 1}, matrix_view<float const>(logits.data(), 2, 2),
                    route::expert_assignment<float>{{token.data(), 2, 1}, {weight.data(), 2, 1}}, matrix_view<float const>(dweight.data(), 2, 1),
                    matrix_view(dlogits.data(), 2, 2));
  CHECK_THROWS_WITH_AS(fanfold::finish(ex), doctest::Contains("out of range"), fanfold::argument_error);
  CHECK(dlogits[0] != 0);
  CHECK(dlogits[2] == 0);
}
