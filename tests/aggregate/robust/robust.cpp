#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::table;

namespace {

table<double> example() { return {{{1, 2}, {2, 1}, {3, 4}, {2, 3}, {100, -50}}}; }

template <class T>
void check_near(std::vector<T> const& a, std::vector<double> const& b, double tolerance = 1e-6) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(static_cast<double>(a[i]) == doctest::Approx(b[i]).epsilon(tolerance).scale(1));
}

table<double> mixed(auto const& pre, table<double> const& x) {
  table<double> out(pre.rows_after(x.rows), x.cols);
  mix_rows(fanfold::serial, pre, x.view(), out.view());
  return out;
}

template <class F>
std::string message_of(F&& f) {
  try {
    f();
  } catch (fanfold::argument_error const& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("robust: order statistics of the worked example") {
  table<double> const x = example(), first4({{1, 2}, {2, 1}, {3, 4}, {2, 3}});
  check_near(aggregated(average{}, x), {21.6, -8});
  check_near(aggregated(coordinate_median{}, x), {2, 2});
  check_near(aggregated(trimmed_mean{.f = 1}, x), {7.0 / 3, 2});
  check_near(aggregated(coordinate_median{}, first4), {2, 2.5});
  check_near(aggregated(coordinate_median{median_kind::lower}, first4), {2, 2});
  check_near(aggregated(coordinate_median{median_kind::upper}, first4), {2, 3});
  check_near(aggregated(mean_around_median{.f = 1}, x), {2, 2.5});
  check_near(aggregated(mean_around_median{.f = 1}, table<double>({{0}, {0}, {10}, {11}, {12}})), {8.25});
  check_near(aggregated(mean_around_median{.f = 1}, table<double>({{4}, {3}, {4}, {3}})), {10.0 / 3});
  // the lower weighted median: rows repeated by their weights 1, 1, 1, 4
  table<double> const v({{3}, {1}, {2}, {10}});
  double const* const address[] = {v.view().row(0).data(), v.view().row(1).data(), v.view().row(2).data(), v.view().row(3).data(),
                                   v.view().row(3).data(), v.view().row(3).data(), v.view().row(3).data()};
  double out[1];
  robust(coordinate_median{median_kind::lower}, fanfold::rows_view<double const>(address, 7, 1), out);
  CHECK(out[0] == 10);
  check_near(aggregated(coordinate_median{median_kind::lower}, v), {2});
  CHECK(trimmed_count(0.29, 100) == 29);
}

TEST_CASE("robust: sign votes") {
  table<double> const x({{1, -2, 0}, {-1, -1, 3}, {2, 5, -1}});
  check_near(aggregated(sign_vote{}, x), {1, -1, 0});
  check_near(aggregated(sign_vote{zero_sign::positive}, x), {1, -1, 1});
  double const nan = std::numeric_limits<double>::quiet_NaN();
  check_near(aggregated(sign_vote{}, table<double>({{nan}, {-1}, {-2}})), {-1});
  check_near(aggregated(sign_vote{}, table<double>({{1}, {-1}})), {0});
  check_near(aggregated(sign_vote{zero_sign::positive}, table<double>({{nan}, {-1}})), {1});
}

TEST_CASE("robust: Krum, Multi-Krum and Bulyan of the worked example") {
  table<double> const x = example();
  check_near(aggregated(krum{.f = 1}, x), {1, 2});
  check_near(aggregated(multi_krum{.f = 1}, x), {1.5, 2.5});
  check_near(aggregated(krum{.f = 1, .neighbours = krum_neighbours::byzfl}, x), {2, 3});
  check_near(aggregated(multi_krum{.f = 1, .neighbours = krum_neighbours::byzfl}, x), {2, 2.5});
  check_near(aggregated(multi_krum{.f = 0, .m = 5}, x), {21.6, -8});
  table<double> const line({{10}, {3}, {2}, {8}, {7}, {0}, {1}});
  check_near(aggregated(bulyan{.f = 1}, line), {5.0 / 3});
  check_near(aggregated(bulyan{.f = 1, .selection = bulyan_selection::one_shot}, line), {2});
  check_near(aggregated(bulyan{.f = 0}, x), {21.6, -8});
  check_near(aggregated(krum{.f = 0}, table<double>({{4}, {4}, {4}})), {4});
}

TEST_CASE("robust: subset rules and MoNNA of the worked example") {
  table<double> const x = example();
  check_near(aggregated(minimum_diameter_average{.f = 1}, x), {2, 2.5});
  check_near(aggregated(smallest_eigen_average{.f = 1}, x), {2, 2.5});
  check_near(aggregated(nearest_to_trusted{.f = 1, .index = 0}, x), {2, 2.5});
}

TEST_CASE("robust: the geometric median of the worked example") {
  table<double> const x = example();
  check_near(aggregated(geometric_median{}, x), {2.173296, 2.462623});
  check_near(aggregated(geometric_median{weiszfeld::byzfl}, x), {2.165793, 2.179607});
  check_near(aggregated(geometric_median{weiszfeld::rfa}, x), {2.487227, 2.128924});
  check_near(aggregated(geometric_median{}, table<double>({{1, 2}, {3, 8}})), {2, 5});
  check_near(aggregated(geometric_median{}, table<double>({{7, 7}, {7, 7}, {7, 7}})), {7, 7});
  check_near(aggregated(geometric_median{}, table<double>({{0}, {1}, {5}, {9}, {50}})), {5}, 1e-5);
}

TEST_CASE("robust: clipping of the worked example") {
  table<double> const x = example();
  check_near(aggregated(centered_clipping{.tau = 2, .iterations = 1}, x), {1.356307, 1.010591});
  check_near(aggregated(centered_clipping{.tau = 2, .iterations = 3}, x), {2.338524, 2.085006});
  check_near(aggregated(centered_clipping{.tau = 1e9, .iterations = 1}, x), {21.6, -8});
  std::vector<double> const m = {3, 1};
  check_near(aggregated(centered_clipping{.tau = 0, .iterations = 4}, x, previous_output{m}), {3, 1});
  check_near(aggregated(centered_clipping{.tau = 1e9}, x, previous_output{m}), {21.6, -8});
  table<double> const clipped = mixed(adaptive_robust_clip{.f = 1}, x);
  check_near(clipped.data, {1, 2, 2, 1, 3, 4, 2, 3, 4.472136, -2.236068});
  table<double> const again = mixed(adaptive_robust_clip{.f = 1}, clipped);
  check_near(again.data, clipped.data);
  check_near(mixed(adaptive_robust_clip{.f = 0}, x).data, x.data);
  check_near(mixed(norm_clip{1}, table<double>({{3, 4}, {0.3, 0.4}, {0, 0}})).data, {0.6, 0.8, 0.3, 0.4, 0, 0});
}

TEST_CASE("robust: mixing and bucketing of the worked example") {
  table<double> const x = example();
  check_near(mixed(nearest_neighbour_mixing{.f = 1}, x).data, {2, 2.5, 2, 2.5, 2, 2.5, 2, 2.5, 26.75, -10.5});
  check_near(aggregated(compose(nearest_neighbour_mixing{.f = 1}, trimmed_mean{.f = 1}), x), {2, 2.5});
  check_near(mixed(bucketing{.size = 2, .shuffled = false}, x).data, {1.5, 1.5, 2.5, 3.5, 100, -50});
  check_near(mixed(bucketing{.size = 9}, x).data, {21.6, -8});
  table<double> const all = mixed(bucketing{.size = 1, .seed = 5}, x);
  double sum = 0;
  for (double v : all.data) sum += v;
  CHECK(sum == 68);
  CHECK(all.data != x.data);
}

TEST_CASE("robust: the covariance filter of the worked examples") {
  table<double> const x = example();
  check_near(aggregated(covariance_filter{.f = 1}, x), {2.001240, 2.499133});
  check_near(aggregated(covariance_filter{.f = 0}, x), {21.6, -8});
  table<double> const more({{1, 2}, {2, 1}, {3, 4}, {2, 3}, {100, -50}, {1.5, 2.5}, {2.5, 2.2}, {-60, 10}});
  check_near(aggregated(covariance_filter{.f = 2}, more), {1.815236, 2.264041});
  check_near(aggregated(covariance_filter{.f = 1}, table<double>({{5}, {5}, {5}})), {5});
}

TEST_CASE("robust: the flag aggregator of the worked example") {
  table<double> const x({{1, .2, 0}, {.9, -.1, .1}, {1.1, 0, -.1}, {.8, .1, .2}, {-3, 4, 1}});
  check_near(aggregated(flag_aggregate{.rank = 1, .iterations = 50}, x), {.671469, .003498, .027998}, 2e-6);
  check_near(aggregated(flag_aggregate{.rank = 1, .iterations = 50, .scale = flag_scale::code}, x), {3.357345, .017491, .139990}, 2e-6);
  check_near(aggregated(flag_aggregate{.rank = 1, .iterations = 1, .scale = flag_scale::code}, x), {3.322901, -.093771, .164269}, 2e-6);
  auto const twice = [&](flag_aggregate rule) {
    auto out = aggregated(rule, x);
    for (double& v : out) v *= 2;
    return out;
  };
  check_near(twice({.rank = 2, .iterations = 50, .scale = flag_scale::code}), {3.332084, 1.058657, .165234}, 2e-6);
  check_near(twice({.rank = 2, .lambda = 1, .iterations = 50, .scale = flag_scale::code}), {3.289517, .869364, .794632}, 2e-6);
  check_near(aggregated(flag_aggregate{}, x), {3.339091 / 5, .991202 / 5, .456116 / 5}, 2e-6);
}

TEST_CASE("robust: f that n rows do not allow, and other bad arguments") {
  table<double> const x = example();
  CHECK(message_of([&] { aggregated(krum{.f = 2}, x); }).find("5 with f = 2, must be at least 2 f + 3 = 7") != std::string::npos);
  CHECK_THROWS_AS(aggregated(bulyan{.f = 1}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(trimmed_mean{.f = 3}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(trimmed_mean{.f = -1}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(multi_krum{.f = 1, .m = 6}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(nearest_to_trusted{.f = 1, .index = 5}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(flag_aggregate{.rank = 6}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(flag_aggregate{}, table<double>({{0, 0}})), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(smallest_eigen_average{.f = 2, .max_subsets = 9}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(compose(bucketing{.size = 3}, trimmed_mean{.f = 1}), x), fanfold::argument_error);
  std::vector<double> const w = {1, 1, 1};
  CHECK_THROWS_AS(aggregated(geometric_median{.weights = w}, x), fanfold::argument_error);
  CHECK_THROWS_AS(aggregated(krum{.f = 1}, x, fanfold::nonfinite::propagate), fanfold::argument_error);
  std::vector<double> out(3);
  CHECK_THROWS_AS(robust(krum{.f = 1}, x.view(), out), fanfold::argument_error);
  CHECK_THROWS_AS(robust(krum{}, table<double>(0, 3).view(), out), fanfold::argument_error);
}
