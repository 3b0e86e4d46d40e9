#include "fanfold/kernel/bin.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

struct padded_rows {
  std::int64_t align = 4, most = 5;
  FANFOLD_HD std::int64_t rows(std::int64_t kept) const { return (kept + align - 1) / align * align; }
  FANFOLD_HD std::int64_t limit(std::int64_t) const { return most; }
};

struct bins {
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> counts, kept, row_of, src_of;
  bins(std::size_t keys, std::size_t count, std::size_t rows)
      : offsets(count + 1, -7), counts(count, -7), kept(count, -7), row_of(keys, -7), src_of(rows, -7) {}
  fanfold::bin_view view() { return {offsets, counts, kept, row_of, src_of}; }
  bool operator==(bins const&) const = default;
};

using support::for_each_geometry;

}  // namespace

TEST_CASE("emulated bins equal the host's, with and without padding and limits") {
  support::lcg g(5);
  for (std::size_t n : {0u, 1u, 31u, 257u, 5000u})
    for (std::int64_t count : {1, 3, 64, 900}) {
      std::vector<std::int32_t> keys(n);
      for (auto& k : keys) k = static_cast<std::int32_t>(g.below(count + 1)) - 1;
      std::size_t const room = n + 4 * static_cast<std::size_t>(count);
      bins dense(n, static_cast<std::size_t>(count), room), padded = dense;
      fanfold::bin(fanfold::serial, fanfold::dense_rows{}, keys, dense.view());
      fanfold::bin(fanfold::serial, padded_rows{}, keys, padded.view());
      for_each_geometry([&](auto const& ex) {
        bins a(n, static_cast<std::size_t>(count), room), b = a;
        fanfold::bin(ex, fanfold::dense_rows{}, keys, a.view());
        fanfold::bin(ex, padded_rows{}, keys, b.view());
        fanfold::finish(ex);
        CHECK(a == dense);
        CHECK(b == padded);
      });
    }
}

TEST_CASE("bad keys and too little room are reported, and nothing foreign is touched") {
  std::vector<std::int32_t> const keys{0, 5, -3, 1, 1};
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {});
  bins b(5, 2, 5);
  fanfold::bin(ex, fanfold::dense_rows{}, keys, b.view());
  CHECK_THROWS_AS(fanfold::finish(ex), fanfold::argument_error);
  CHECK(b.row_of == std::vector<std::int32_t>{0, -1, -1, 1, 2});
  bins small(5, 6, 2);
  std::vector<std::int32_t> const good{0, 5, 3, 1, 1};
  fanfold::bin(ex, fanfold::dense_rows{}, good, small.view());
  CHECK_THROWS_AS(fanfold::finish(ex), fanfold::argument_error);
}

TEST_CASE("scatter fold on the emulated device: bins and neighbour fold together") {
  support::lcg g(8);
  std::vector<std::int32_t> index(3000);
  for (auto& i : index) i = static_cast<std::int32_t>(g.below(41)) - 1;
  auto const x = support::reals(index.size(), 3);
  std::vector<float> expected(40), out(40);
  fanfold::scatter_fold(support::float_sum{}, index, x, expected);
  for_each_geometry([&](auto const& ex) {
    fanfold::scatter_fold(ex, support::float_sum{}, index, x, out);
    fanfold::finish(ex);
    CHECK(support::same_bits(out, expected));
  });
}
