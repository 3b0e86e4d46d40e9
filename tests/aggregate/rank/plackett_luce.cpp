#include "fanfold/aggregate/rank/plackett_luce.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/rank/pairwise_ratings.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;
using ids = std::vector<std::int32_t>;
double const missing = std::numeric_limits<double>::quiet_NaN();

ag::comparisons example() {
  ag::comparisons c(3);
  for (ids const& r : {ids{0, 1, 2}, ids{0, 2, 1}, ids{1, 0, 2}}) c.add_ranking(r);
  return c;
}

void check_near(numbers const& a, numbers const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(2e-9));
}

}  // namespace

TEST_CASE("plackett-luce: the worked example") {
  check_near(ag::plackett_luce_fit(example(), {.alpha = 0, .most_iterations = 1}).weight, {2.090909091, 0.727272727, 0.181818182});
  check_near(ag::plackett_luce_fit(example(), {.alpha = 0.01, .most_iterations = 1}).weight, {2.066213803, 0.737385763, 0.196400434});
  auto const fit = ag::plackett_luce_fit(example(), {.alpha = 0, .tolerance = 1e-13});
  check_near(fit.weight, {2.113999064, 0.613999064, 0.272001873});
  check_near(fit.theta, {1.095623698, -0.140719623, -0.954904075});
  CHECK(fit.log_likelihood == doctest::Approx(-3.955106785).epsilon(1e-9));
  CHECK(fit.converged);
  CHECK(fit.components == 1);
}

TEST_CASE("at alpha = 0 no change of the scores raises the likelihood") {
  support::lcg g(4);
  ag::comparisons data(6);
  for (int r = 0; r < 60; ++r) {
    numbers score(6);
    for (std::size_t s = 0; s < 6; ++s) score[s] = g.below(3) == 0 ? missing : 0.3 * static_cast<double>(s) + g.real();
    if (r % 3 == 0)
      for (double& s : score) s = s == s ? static_cast<double>(s > 0.5) : s;  // zeros and ones
    data.add_scores(score, ag::tied_pairs::both_ways);
  }
  auto const fit = ag::plackett_luce_fit(data, {.alpha = 0, .tolerance = 1e-14, .most_iterations = 1000});
  double sum = 0;
  for (double t : fit.theta) sum += t;
  CHECK(std::fabs(sum) < 1e-12);
  for (std::size_t s = 0; s < 6; ++s) {
    numbers up = fit.weight, down = fit.weight;
    up[s] *= std::exp(1e-4), down[s] *= std::exp(-1e-4);
    double const slope = (ag::detail::plackett_luce_log_likelihood(data, up) - ag::detail::plackett_luce_log_likelihood(data, down)) / 2e-4;
    CHECK(std::fabs(slope) < 1e-6);
  }
}

TEST_CASE("invariances: order of the samples and threads to the bit, one-item rankings, symmetric data, large alpha") {
  support::lcg g(9);
  ag::comparisons data(7), turned(7), longer(7);
  std::vector<numbers> rows;
  for (int r = 0; r < 90; ++r) {
    numbers score(7);
    for (double& s : score) s = g.below(2) == 0 ? missing : g.real();
    rows.push_back(score);
  }
  for (numbers const& r : rows) data.add_scores(r), longer.add_scores(r), longer.add_ranking(ids{3});
  for (std::size_t i = rows.size(); i-- > 0;) turned.add_scores(rows[i]);
  auto const fit = ag::plackett_luce_fit(data);
  CHECK(support::same_bits(ag::plackett_luce_fit(turned).weight, fit.weight));
  CHECK(support::same_bits(ag::plackett_luce_fit(longer).weight, fit.weight));
  ag::comparisons shard(7), rest(7);
  for (std::size_t i = 0; i < rows.size(); ++i) (i % 3 == 0 ? shard : rest).add_scores(rows[i]);
  shard.win(2, 5) += 1, rest.win(5, 2) += 1;
  rest += shard;
  CHECK(rest.rankings() == data.rankings());
  ag::comparisons with_pairs = data;
  with_pairs.win(2, 5) += 1, with_pairs.win(5, 2) += 1;
  CHECK(support::same_bits(ag::plackett_luce_fit(rest).weight, ag::plackett_luce_fit(with_pairs).weight));
  ag::comparisons twice = shard;
  twice += twice;
  CHECK(twice.rankings() == 2 * shard.rankings());
  CHECK(twice.ids.size() == 2 * shard.ids.size());
  CHECK(twice.win(2, 5) == 2);
  CHECK_THROWS_WITH_AS(rest += ag::comparisons(6), doctest::Contains("number of models"), fanfold::argument_error);
  support::for_each_executor(
      [&](char const*, auto const& ex) { CHECK(support::same_bits(ag::plackett_luce_fit(ex, data, {}).theta, fit.theta)); });
  auto const pulled = ag::plackett_luce_fit(data, {.alpha = 1e9});
  for (double t : pulled.theta) CHECK(std::fabs(t) < 1e-6);
  ag::comparisons cycle(3);
  for (ids const& r : {ids{0, 1, 2}, ids{1, 2, 0}, ids{2, 0, 1}}) cycle.add_ranking(r);
  for (double t : ag::plackett_luce_fit(cycle, {.alpha = 0}).theta) CHECK(std::fabs(t) < 1e-9);
}

TEST_CASE("measurements: ties, zeros and ones, what was never measured") {
  ids const sample{0, 1, 0, 1, 0, 2, 2}, model{0, 0, 1, 2, 2, 1, 2};
  numbers const score{1, .3, 0, .1, 1, .5, missing};
  auto const both = ag::compare_measurements(sample, model, score, 3, 4);
  CHECK(both.rankings() == 2);  // samples 1 and 2; sample 0 has a tie
  CHECK(both.win(0, 1) == 1);
  CHECK(both.win(2, 1) == 1);
  CHECK(both.win(0, 2) == 1);
  CHECK(both.win(2, 0) == 1);
  auto const skip = ag::compare_measurements(sample, model, score, 3, 4, ag::tied_pairs::skip);
  CHECK(skip.win(0, 2) == 0);
  CHECK(skip.win(0, 1) == 1);
  auto const fit = ag::plackett_luce_fit(both);
  CHECK(std::isnan(fit.theta[3]));
  CHECK(fit.component[3] == -1);
  CHECK(fit.theta[0] > fit.theta[2]);
  CHECK(fit.theta[2] > fit.theta[1]);
  CHECK(fit.components == 2);
  CHECK_THROWS_WITH_AS(ag::plackett_luce_fit(both, {.alpha = 0}), doctest::Contains("{0 2} {1}"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::compare_measurements(ids{0, 0}, ids{1, 1}, numbers{1, 2}, 1, 2), doctest::Contains("once a sample"),
                       fanfold::argument_error);
  CHECK_THROWS_AS(ag::compare_measurements(ids{0}, ids{2}, numbers{1}, 1, 2), fanfold::argument_error);
  ag::comparisons c(2);
  CHECK_THROWS_WITH_AS(c.add_ranking(ids{1, 1}), doctest::Contains("named once"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::plackett_luce_fit(example(), {.alpha = -1}), doctest::Contains("alpha"), fanfold::argument_error);
  CHECK(ag::plackett_luce_fit(ag::comparisons(1)).theta == numbers{0});
  CHECK(std::isnan(ag::plackett_luce_fit(ag::comparisons(2)).theta[0]));
}

TEST_CASE("the stationary distribution of widely spread rates") {
  numbers q{0, 1e-12, 0, 1, 0, 1e-12, 0, 1, 0};
  numbers const pi = ag::stationary_distribution({q.data(), 3, 3});
  CHECK(pi[1] / pi[0] == doctest::Approx(1e-12).epsilon(1e-14));
  CHECK(pi[2] / pi[1] == doctest::Approx(1e-12).epsilon(1e-14));
  numbers broken{0, 1, 0, 0};
  CHECK(ag::stationary_distribution({broken.data(), 2, 2}).empty());
}

TEST_CASE("bradley-terry has the maximum of the pairwise plackett-luce model") {
  support::lcg g(6);
  ag::comparisons data(8);
  for (int k = 0; k < 400; ++k) {
    std::int64_t const a = g.below(8), b = g.below(8);
    if (a == b) continue;
    bool const wins = 0.3 * static_cast<double>(a - b) + 1.5 * g.real() > 0;
    data.win(wins ? a : b, wins ? b : a) += 1;
  }
  fanfold::matrix_view<double const> const wins(data.wins.data(), 8, 8);
  auto const newton = ag::bradley_terry_fit(wins);
  auto const spectral = ag::plackett_luce_fit(data, {.alpha = 0, .tolerance = 1e-13, .most_iterations = 10000});
  CHECK(newton.converged);
  CHECK(newton.iterations < 20);
  for (std::size_t s = 0; s < 8; ++s) CHECK(newton.theta[s] == doctest::Approx(spectral.theta[s]).epsilon(1e-8).scale(1));
  CHECK(newton.log_likelihood == doctest::Approx(spectral.log_likelihood).epsilon(1e-12));
  numbers const one_sided{0, 5, 0, 0};
  CHECK_THROWS_WITH_AS(ag::bradley_terry_fit({one_sided.data(), 2, 2}), doctest::Contains("strongly connected"), fanfold::argument_error);
  auto const ridged = ag::bradley_terry_fit({one_sided.data(), 2, 2}, {.ridge = 1});
  CHECK(ridged.converged);
  // 5 sigmoid(-2 t) = t at the maximum
  CHECK(5 / (1 + std::exp(2 * ridged.theta[0])) == doctest::Approx(ridged.theta[0]).epsilon(1e-9));
}

TEST_CASE("elo depends on the order, and its type says so") {
  static_assert(ag::order_dependent<ag::elo>);
  static_assert(!fanfold::monoid<ag::elo>);
  ag::elo once(2);
  once.play({0, 1, 1});
  CHECK(once.ratings() == numbers{1002, 998});
  ag::elo forwards(3, 32), backwards(3, 32);
  std::vector<ag::game> const games{{0, 1, 1}, {1, 2, 1}, {2, 0, 1}, {0, 1, 0.5}};
  forwards.play(games);
  for (std::size_t i = games.size(); i-- > 0;) backwards.play(games[i]);
  CHECK(forwards.ratings() != backwards.ratings());
  double sum = 0;
  for (double r : forwards.ratings()) sum += r;
  CHECK(sum == doctest::Approx(3000));
  CHECK(400 * std::log10(1 / (1 / 0.75 - 1)) == doctest::Approx(190.848501887865));
  ag::elo upset(2, 4);
  for (int i = 0; i < 3000; ++i) upset.play({0, 1, 0.75});
  CHECK(upset.ratings()[0] - upset.ratings()[1] == doctest::Approx(190.848501887865));  // the expectation that 3/4 balances
  CHECK_THROWS_WITH_AS(once.play({0, 0, 1}), doctest::Contains("another player"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(once.play({0, 1, 2}), doctest::Contains("in [0, 1]"), fanfold::argument_error);
}
