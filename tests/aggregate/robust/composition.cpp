#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

TEST_CASE("robust: composed in weight space is what mixing the rows first gives") {
  for (std::uint32_t tag = 0; tag < 20; ++tag) {
    table<double> const x = random_rows(11, 7, 100 + tag);
    auto const check = [&](auto const& pre, auto const& rule) {
      table<double> rows(pre.rows_after(11), 7);
      mix_rows(fanfold::serial, pre, x.view(), rows.view());
      auto const a = aggregated(compose(pre, rule), x), b = aggregated(rule, rows);
      for (std::size_t c = 0; c < a.size(); ++c) CHECK(a[c] == doctest::Approx(b[c]).epsilon(1e-7).scale(1));
    };
    check(nearest_neighbour_mixing{.f = 2}, geometric_median{});
    check(nearest_neighbour_mixing{.f = 2}, covariance_filter{.f = 2});
    check(nearest_neighbour_mixing{.f = 2}, multi_krum{.f = 2});
    check(nearest_neighbour_mixing{.f = 2}, centered_clipping{.tau = 0.5, .iterations = 3});
    check(nearest_neighbour_mixing{.f = 2}, trimmed_mean{.f = 2});
    check(nearest_neighbour_mixing{.f = 2}, flag_aggregate{.rank = 2, .lambda = 1});
    check(bucketing{.size = 2, .seed = tag}, minimum_diameter_average{.f = 2});
    check(bucketing{.size = 3, .seed = tag}, coordinate_median{});
    check(adaptive_robust_clip{.f = 2}, krum{.f = 2});
    check(adaptive_robust_clip{.f = 2}, bulyan{.f = 2});
    check(norm_clip{1.0}, geometric_median{weiszfeld::byzfl});
    check(norm_clip{1.0}, nearest_to_trusted{.f = 2, .index = 3});
  }
}

TEST_CASE("robust: shards of the coordinates give the same answer") {
  table<double> const x = random_rows(11, 5000, 55);
  std::int64_t const cuts[] = {0, 1700, 1701, 4096, 5000};
  auto const check = [&](auto const& rule, auto const&... options) {
    auto const whole = aggregated(rule, x, options...);
    distance_sums sums;
    auto const shard = [&](int k) { return fanfold::matrix_view<double const>(x.data.data() + cuts[k], 11, cuts[k + 1] - cuts[k], 5000); };
    for (int k = 0; k < 4; ++k) {
      auto part = partial_distances(fanfold::serial, rule, shard(k));
      if (k == 0)
        sums = part;
      else
        sums += part;
    }
    std::vector<double> out(5000);
    for (int k = 0; k < 4; ++k) from_distances(fanfold::serial, rule, sums, shard(k), fanfold::view<double>(out).subview(cuts[k], cuts[k + 1] - cuts[k]));
    for (std::size_t c = 0; c < out.size(); c += 97) CHECK(out[c] == doctest::Approx(whole[c]).epsilon(1e-6).scale(1));
  };
  check(krum{.f = 2});
  check(bulyan{.f = 2});
  check(geometric_median{});
  check(centered_clipping{.tau = 20.0, .iterations = 2});
  check(flag_aggregate{});
  check(nearest_to_trusted{.f = 2, .index = 4});
  check(compose(norm_clip{30}, average{}));
  check(compose(nearest_neighbour_mixing{.f = 2}, trimmed_mean{.f = 2}));
}

TEST_CASE("robust: one step of centered clipping needs distances to the start only") {
  table<double> const x = random_rows(7, 9, 4);
  std::vector<double> const m = aggregated(coordinate_median{}, x);
  for (double tau : {0.5, 2.0, 100.0}) {
    std::vector<double> expected(9);
    for (int start = 0; start < 2; ++start) {  // from zero, then from m
      for (std::size_t c = 0; c < 9; ++c) expected[c] = start * m[c];
      for (std::int64_t i = 0; i < 7; ++i) {
        double square = 0;
        for (std::int64_t c = 0; c < 9; ++c) {
          double const v = x(i, c) - start * m[static_cast<std::size_t>(c)];
          square += v * v;
        }
        double const factor = std::sqrt(square) > tau ? tau / std::sqrt(square) : 1;
        for (std::int64_t c = 0; c < 9; ++c) {
          auto const at = static_cast<std::size_t>(c);
          expected[at] += factor * (x(i, c) - start * m[at]) / 7;
        }
      }
      auto const out = start == 0 ? aggregated(centered_clipping{.tau = tau}, x) : aggregated(centered_clipping{.tau = tau}, x, previous_output{m});
      auto const clipped = aggregated(compose(norm_clip{1e9}, centered_clipping{.tau = tau}), x, previous_output{m});
      for (std::size_t c = 0; c < 9; ++c) {
        CHECK(out[c] == doctest::Approx(expected[c]).epsilon(1e-9).scale(1));
        if (start == 1) CHECK(clipped[c] == doctest::Approx(expected[c]).epsilon(1e-9).scale(1));
      }
    }
  }
}
