#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "support/device_rules.hpp"

using namespace fanfold::aggregate;
using support::check_on_devices;
using support::table;

TEST_CASE("robust: rules that weigh rows under every attack have the host's bits on a device") {
  check_on_devices("geometric_median", geometric_median{});
  check_on_devices("geometric_median of ByzFL", geometric_median{weiszfeld::byzfl});
  check_on_devices("centered_clipping", centered_clipping{.tau = 2, .iterations = 3});
  std::vector<float> const start(150, 0.25f);
  check_on_devices("centered_clipping from a start", centered_clipping{.tau = 2}, previous_output{start});
  check_on_devices("covariance_filter", covariance_filter{.f = 2});
  check_on_devices("flag_aggregate", flag_aggregate{.rank = 2, .lambda = 0.5});
}

TEST_CASE("robust: what is not finite, on a device") {
  float const nan = std::numeric_limits<float>::quiet_NaN();
  table<float> const bad({{1, 2}, {2, 1}, {nan, 3}, {4, nan}, {3, 3}});
  std::vector<float> out(2, 7.0f);
  support::for_each_device([&](auto const& ex) {
    CHECK_THROWS_AS(robust(ex, krum{.f = 1}, bad.view(), out), fanfold::argument_error);
    CHECK_THROWS_AS(robust(ex, geometric_median{}, bad.view(), out, fanfold::nonfinite::reject), fanfold::argument_error);
    CHECK_THROWS_AS(robust(ex, nearest_to_trusted{.f = 1, .index = 2}, bad.view(), out), fanfold::argument_error);
    CHECK(out == std::vector<float>(2, 7.0f));  // nothing was written
    fanfold::finish(ex);
    robust(ex, coordinate_median{}, bad.view(), out, fanfold::nonfinite::reject);
    CHECK_THROWS_AS(fanfold::finish(ex), fanfold::argument_error);  // only the device can tell
    out.assign(2, 7.0f);
  });
}

TEST_CASE("robust: the answer may take the place of a row, on a device too") {
  auto const x = support::attacked_tables()[3].rows;
  auto const expected = support::aggregated(multi_krum{.f = 2}, x);
  support::for_each_device([&](auto const& ex) {
    auto y = x;
    robust(ex, multi_krum{.f = 2}, y.view(), y.view().row(4));
    fanfold::finish(ex);
    CHECK(support::same_bits(std::vector<float>(y.data.begin() + 600, y.data.begin() + 750), expected));
  });
}
