#include <doctest/doctest.h>

#include "support/device_rules.hpp"

using namespace fanfold::aggregate;
using support::check_on_devices;

TEST_CASE("robust: rules that select rows under every attack have the host's bits on a device") {
  check_on_devices("krum", krum{.f = 2});
  check_on_devices("multi_krum", multi_krum{.f = 2});
  check_on_devices("bulyan", bulyan{.f = 2});
  check_on_devices("bulyan, one shot", bulyan{.f = 2, .selection = bulyan_selection::one_shot});
  check_on_devices("minimum_diameter_average", minimum_diameter_average{.f = 2});
  check_on_devices("smallest_eigen_average", smallest_eigen_average{.f = 2});
  check_on_devices("nearest_to_trusted", nearest_to_trusted{.f = 2, .index = 3});
}
