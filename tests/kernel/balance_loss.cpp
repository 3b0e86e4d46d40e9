#include "fanfold/kernel/balance_loss.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/controllers.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::view;

route::routing_stats sample_stats(std::int64_t n, std::int64_t seed) {
  route::routing_stats s(n);
  auto const v = s.view();
  for (std::int64_t i = 0; i < v.integers.size(); ++i) v.integers[i] = (i * 37 + seed * 11) % 23 + 1;
  for (std::int64_t i = 0; i < v.reals.size(); ++i) v.reals[i] = static_cast<double>((i * 53 + seed * 7) % 29) / 7;
  return s;
}

void check_loss(route::balance_loss const& loss, route::routing_stats counts, route::routing_stats scores) {
  auto const want = loss.gradient(counts, scores);
  support::for_each_geometry([&](auto const& ex) {
    std::vector<double> gradient(want.size(), 77);
    double value = 77;
    route::evaluate(ex, loss, counts.view(), scores.view(), gradient, view<double>(&value, 1));
    CHECK(support::same_bits(gradient, want));
    CHECK(support::same_bits(value, loss.value(counts, scores)));
    fanfold::finish(ex);
  });
}

}  // namespace

TEST_CASE("balance losses on a device: the host's values and gradients") {
  for (std::int64_t n : {1, 7, 100}) {
    auto const counts = sample_stats(n, 1), scores = sample_stats(n, 2);
    std::vector<double> weight(static_cast<std::size_t>(n));
    std::vector<std::int32_t> group(weight.size());
    for (std::size_t e = 0; e < weight.size(); ++e) {
      weight[e] = static_cast<double>(e % 5) * .3 + .1;
      group[e] = static_cast<std::int32_t>(e % 3 < static_cast<std::size_t>(n) ? e % 3 : 0);
    }
    check_loss({}, counts, scores);
    check_loss(route::switch_balance(), counts, scores);
    check_loss(route::gshard_balance(), counts, scores);
    check_loss(route::megatron_balance(2), counts, counts);
    check_loss(route::moepp_balance(weight), counts, scores);
    check_loss({.count = route::counted::first_choices, .group = group}, counts, scores);
    check_loss({}, route::routing_stats(n), scores);
    check_loss({}, counts, route::routing_stats(n));
  }
}

TEST_CASE("controllers on a device: the host's biases; statistics merge") {
  auto counts = sample_stats(70, 1), other = sample_stats(70, 5);
  for (auto step : {route::bias_step::sign, route::bias_step::proportional, route::bias_step::proportional_to_mean}) {
    route::loss_free_balance host(70, 1e-2f, step);
    host.update(counts);
    host.update(other);
    support::for_each_geometry([&](auto const& ex) {
      std::vector<float> bias(70);
      route::update_bias(ex, counts.view(), bias, 1e-2f, step);
      route::update_bias(ex, other.view(), bias, 1e-2f, step);
      route::routing_stats none(70);
      route::update_bias(ex, none.view(), bias, 1e-2f, step);
      for (std::size_t e = 0; e < 70; ++e) CHECK(support::same_bits(bias[e], host.state()[e]));
    });
  }
  std::vector<double> const wanted(70, 1.0 / 70);
  route::target_share share(wanted, 1e-2f);
  share.update(counts);
  auto const merged = merge(counts, other);
  support::for_each_geometry([&](auto const& ex) {
    std::vector<float> bias(70);
    route::update_share(ex, counts.view(), wanted, bias, 1e-2f);
    for (std::size_t e = 0; e < 70; ++e) CHECK(support::same_bits(bias[e], share.state()[e]));
    auto to = counts;
    route::merge(ex, to.view(), other.view());
    CHECK(to.count()[3] == merged.count()[3]);
    CHECK(support::same_bits(to.score_sum()[69], merged.score_sum()[69]));
    CHECK(to.tokens() == merged.tokens());
  });
}
