#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "fanfold/kernel/gram.hpp"
#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::table;

namespace {

table<float> rows() {
  auto const exact = support::random_rows(11, 2500, 6);
  table<float> x(11, 2500);
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(exact.data[i]);
  x(3, 17) = std::numeric_limits<float>::quiet_NaN();
  return x;
}

template <class F>
void for_each_device(F&& call) {
  fanfold::workspace ws;
  for (unsigned threads : {32u, 256u})
    for (bool descending : {false, true}) {
      CAPTURE(threads);
      CAPTURE(descending);
      call(fanfold::emulate::executor(ws, {.block_threads = threads, .resident_blocks = 3, .descending = descending}));
    }
}

}  // namespace

TEST_CASE("robust: order statistics on a device have the host's bits") {
  table<float> const x = rows();
  auto const check = [&](auto const& rule) {
    auto const expected = support::aggregated(rule, x);
    for_each_device([&](auto const& ex) {
      std::vector<float> out(2500);
      robust(ex, rule, x.view(), out);
      CHECK(support::same_bits(out, expected));
    });
  };
  check(coordinate_median{});
  check(coordinate_median{median_kind::lower});
  check(trimmed_mean{.f = 2});
  check(mean_around_median{.f = 2});
}

TEST_CASE("robust: distances from a device have the host's bits") {
  table<float> const x = rows();
  auto const check = [&](auto const& rule) {
    auto const expected = partial_distances(fanfold::serial, rule, x.view());
    for_each_device([&](auto const& ex) {
      auto const sums = partial_distances(ex, rule, x.view());
      CHECK(support::same_bits(sums.distance, expected.distance));
      CHECK(support::same_bits(sums.product, expected.product));
    });
  };
  check(krum{.f = 2});
  check(flag_aggregate{});
  check(nearest_to_trusted{.f = 2, .index = 4});
  check(compose(adaptive_robust_clip{.f = 2}, geometric_median{}));
}
