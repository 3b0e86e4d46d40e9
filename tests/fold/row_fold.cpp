#include "fanfold/fold/row_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/message.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

TEST_CASE("a range of rows is the ordered tree a column, whole width or not") {
  auto const data = support::reals(5000 * 8, 4);
  fanfold::columnwise<support::float_sum> const r{};
  auto const row_at = [&](std::int64_t i) { return fanfold::detail::plain_row<float>{data.data() + i * 8}; };
  for (std::int64_t n : {1, 32, 33, 64, 65, 2048, 2049, 5000}) {
    fanfold::detail::row_state<fanfold::columnwise<support::float_sum>, 8> s;
    fanfold::detail::fold_row_range(r, row_at, 0, n, 2, 5, s);
    float out[5];
    fanfold::detail::store_row(r, s, out, 5);
    for (int c = 0; c < 5; ++c) {
      std::vector<float> column;
      for (std::int64_t i = 0; i < n; ++i) column.push_back(data[static_cast<std::size_t>(i * 8 + 2 + c)]);
      CHECK(support::same_bits(out[c], reference::ordered(support::float_sum{}, column)));
    }
  }
}
