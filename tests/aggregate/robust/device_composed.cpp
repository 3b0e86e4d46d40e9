#include <doctest/doctest.h>

#include <vector>

#include "support/device_rules.hpp"

using namespace fanfold::aggregate;
using support::check_on_devices;
using support::table;

TEST_CASE("robust: clipping and bucketing under every attack have the host's bits on a device") {
  check_on_devices("norm_clip + average", compose(norm_clip{2.0}, average{}));
  check_on_devices("adaptive_robust_clip + trimmed_mean", compose(adaptive_robust_clip{.f = 2}, trimmed_mean{.f = 2}));
  check_on_devices("adaptive_robust_clip + geometric_median", compose(adaptive_robust_clip{.f = 2}, geometric_median{}));
  check_on_devices("bucketing + geometric_median", compose(bucketing{.size = 2, .seed = 3}, geometric_median{}));
}

TEST_CASE("robust: rows as a pre-aggregation makes them have the host's bits on a device") {
  auto const check = [](auto const& rule) {
    for (auto const& x : support::attacked_tables()) {
      if (x.attack == "nan" || x.attack == "infinity") continue;
      table<float> expected(rule.rows_after(11), 150);
      mix_rows(fanfold::serial, rule, x.rows.view(), expected.view());
      support::for_each_device([&](auto const& ex) {
        table<float> out(expected.rows, 150);
        mix_rows(ex, rule, x.rows.view(), out.view());
        fanfold::finish(ex);
        CHECK(support::same_bits(out.data, expected.data));
      });
    }
  };
  check(nearest_neighbour_mixing{.f = 2});
  check(bucketing{.size = 3, .seed = 3});
}
