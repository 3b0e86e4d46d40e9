#include <doctest/doctest.h>

#include "support/device_rules.hpp"

using namespace fanfold::aggregate;
using support::check_on_devices;

TEST_CASE("robust: order statistics and votes under every attack have the host's bits on a device") {
  check_on_devices("coordinate_median", coordinate_median{});
  check_on_devices("coordinate_median, NaN wins", coordinate_median{}, fanfold::nonfinite::propagate);
  check_on_devices("trimmed_mean", trimmed_mean{.f = 2});
  check_on_devices("mean_around_median", mean_around_median{.f = 2});
  check_on_devices("mean_around_median_by_index", mean_around_median_by_index{.f = 2});
  check_on_devices("sign_vote", sign_vote{});
  check_on_devices("sign_vote of bits", sign_vote{zero_sign::positive});
}
