#include "fanfold/route/weight_scale_vjp.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "route/routed.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

// The factors are floats, and weights are linear in them: a large step loses nothing.
template <class Make>
void check_factors(Make const& make, std::int64_t experts) {
  std::int64_t const rows = 70;
  std::vector<double> logits, dweight;
  for (std::int64_t i = 0; i < rows * experts; ++i) logits.push_back(std::sin(static_cast<double>(i) * 1.7) * 2 + .3);
  std::vector<float> factor;
  for (std::int64_t e = 0; e < experts; ++e) factor.push_back(e == 1 ? 0.0f : static_cast<float>(e % 3) / 2 + .5f);
  routed<double, double> r(make(factor), logits, experts);
  for (std::size_t i = 0; i < r.weight.size(); ++i) dweight.push_back(std::cos(static_cast<double>(i) * 2.3));
  matrix_view<double const> const dw(dweight.data(), rows, r.slots);
  std::vector<double> dscale(static_cast<std::size_t>(experts), 99);
  route::weight_scale_vjp(fanfold::serial, make(factor), r.input(), r.out(), dw, dscale);
  for (std::size_t e = 0; e < dscale.size(); ++e) {
    auto up = factor;
    up[e] += 1;
    routed<double, double> const moved(make(up), logits, experts);
    REQUIRE(moved.id == r.id);
    double want = 0;
    for (std::size_t i = 0; i < dweight.size(); ++i) want += dweight[i] * (moved.weight[i] - r.weight[i]);
    CHECK(dscale[e] == doctest::Approx(want).epsilon(1e-9).scale(1));
  }
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<double> other(dscale.size());
    route::weight_scale_vjp(ex, make(factor), r.input(), r.out(), dw, other);
    CHECK(support::same_bits(other, dscale));
  });
}

TEST_CASE("weight_scale_vjp: gamma of BlockFFN, the router scale of MoGE, factors of normalised weights") {
  check_factors([](std::vector<float> const& f) { return route::blockffn(7, f); }, 7);
  check_factors([](std::vector<float> const& f) { return route::moge(4, 1, f); }, 8);
  check_factors([](std::vector<float> const& f) { return route::mixtral_router{.select = {3}, .weight = {.scale = {2.5f, f}}}; }, 9);
}

TEST_CASE("weight_scale_vjp: shapes") {
  routed<float> r(route::mixtral(2), rows_abcd(), 4);
  std::vector<float> const dw(8);
  std::vector<double> wrong(3);
  CHECK_THROWS_AS(route::weight_scale_vjp(fanfold::serial, route::mixtral(2), r.input(), r.out(), matrix_view<float const>(dw.data(), 4, 2), wrong),
                  fanfold::argument_error);
}

}  // namespace
