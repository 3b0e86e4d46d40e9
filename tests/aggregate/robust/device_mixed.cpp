#include <doctest/doctest.h>

#include "support/device_rules.hpp"

using namespace fanfold::aggregate;
using support::check_on_devices;

TEST_CASE("robust: mixing with the nearest under every attack has the host's bits on a device") {
  nearest_neighbour_mixing const mixing{.f = 2};
  check_on_devices("nearest_neighbour_mixing + krum", compose(mixing, krum{.f = 2}));
  check_on_devices("nearest_neighbour_mixing + trimmed_mean", compose(mixing, trimmed_mean{.f = 2}));
  check_on_devices("nearest_neighbour_mixing + geometric_median", compose(mixing, geometric_median{}));
  check_on_devices("nearest_neighbour_mixing + covariance_filter", compose(mixing, covariance_filter{.f = 2}));
  check_on_devices("clip + mixing + bulyan", compose(adaptive_robust_clip{.f = 2}, mixing, bulyan{.f = 2}));
}
