#include "fanfold/fold/segmented_scan.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

TEST_CASE("each segment is scanned from its own start on every executor") {
  std::vector<std::int64_t> offsets{3};
  for (std::int64_t n : {0, 1, 31, 33, 0, 2048, 2049, 5000, 0, 140000, 7}) offsets.push_back(offsets.back() + n);
  auto const n = static_cast<std::size_t>(offsets.back()) + 2;
  auto const x = support::reals(n, 1);
  support::float_sum const m;
  for (auto const init : {std::optional<float>(), std::optional<float>(0.25f)})
    for (auto const kind : {fanfold::scan_kind::inclusive, fanfold::scan_kind::exclusive}) {
      std::vector<float> expected(n, 9.0f);
      for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
        std::vector<float> const part(x.begin() + offsets[s], x.begin() + offsets[s + 1]);
        if (part.empty()) continue;
        auto const y = kind == fanfold::scan_kind::inclusive ? reference::inclusive_scan(m, part, init) : reference::exclusive_scan(m, part, init);
        for (std::size_t i = 0; i < y.size(); ++i) expected[static_cast<std::size_t>(offsets[s]) + i] = y[i];
      }
      support::for_each_executor([&](char const* name, auto const& ex) {
        CAPTURE(name);
        std::vector<float> y(n, 9.0f);
        if (init)
          fanfold::segmented_scan(ex, m, x, offsets, y, kind, *init);
        else
          fanfold::segmented_scan(ex, m, x, offsets, y, kind);
        CHECK(support::same_bits(y, expected));
      });
    }
}

TEST_CASE("edges and errors of segmented scans") {
  support::float_sum const m;
  std::vector<float> const x{1, 2, 3};
  std::vector<float> y(3, 5.0f), small(2);
  using offsets = std::vector<std::int64_t>;
  fanfold::segmented_scan(m, x, offsets{0}, y, fanfold::scan_kind::inclusive);
  fanfold::segmented_scan(m, x, offsets{}, y, fanfold::scan_kind::inclusive);
  CHECK_THROWS_AS(fanfold::segmented_scan(m, x, offsets{0, 4}, y, fanfold::scan_kind::inclusive), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::segmented_scan(m, x, offsets{0, 3}, small, fanfold::scan_kind::inclusive), fanfold::argument_error);
  CHECK(y == std::vector<float>{5, 5, 5});
}
