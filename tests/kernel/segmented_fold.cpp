#include "fanfold/kernel/segmented_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/fold/segmented_fold.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using support::for_each_geometry;
using support::same_bits;

std::vector<std::int64_t> offsets_of(std::vector<std::int64_t> const& lengths) {
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}

}  // namespace

TEST_CASE("segments of every length on the emulated device have the bits of the host") {
  auto const offsets = offsets_of({0, 1, 31, 32, 33, 0, 64, 65, 2047, 2048, 2049, 3, 4097, 0, 6200, 1, 2500});
  auto const rows = offsets.back();
  auto const segments = static_cast<std::int64_t>(offsets.size()) - 1;
  for (std::int64_t width : {1, 3, 4, 8, 20}) {
    auto const data = support::reals(static_cast<std::size_t>(rows * width), 1);
    fanfold::matrix_view<float const> const x(data.data(), rows, width);
    std::vector<float> expected(static_cast<std::size_t>(segments * width)), out(expected.size());
    fanfold::segmented_fold(support::float_sum{}, x, offsets, fanfold::matrix_view<float>(expected.data(), segments, width));
    for_each_geometry([&](auto const& ex) {
      out.assign(out.size(), 9.0f);
      fanfold::segmented_fold(ex, support::float_sum{}, x, offsets, fanfold::matrix_view<float>(out.data(), segments, width));
      fanfold::finish(ex);
      CHECK(same_bits(out, expected));
    });
  }
}

TEST_CASE("a stream in segments, short and long on average, and non-commutative carriers") {
  for (std::int64_t typical : {3, 300}) {
    std::vector<std::int64_t> lengths;
    support::lcg g(9);
    for (int s = 0; s < 60; ++s) lengths.push_back(g.below(2 * typical));
    lengths.push_back(2100);
    auto const offsets = offsets_of(lengths);
    auto const x = support::reals(static_cast<std::size_t>(offsets.back()), 2);
    std::vector<support::affine::state> maps(x.size());
    for (auto& m : maps) m = {g.below(30), g.below(30)};
    std::vector<float> expected(lengths.size()), out(lengths.size());
    std::vector<support::affine::state> composed(lengths.size()), maps_out(lengths.size());
    fanfold::segmented_fold(support::float_sum{}, x, offsets, expected);
    fanfold::segmented_fold(support::affine{}, maps, offsets, composed);
    for_each_geometry([&](auto const& ex) {
      fanfold::segmented_fold(ex, support::float_sum{}, x, offsets, out);
      fanfold::segmented_fold(ex, support::affine{}, maps, offsets, maps_out);
      fanfold::finish(ex);
      CHECK(same_bits(out, expected));
      CHECK(maps_out == composed);
    });
  }
}

TEST_CASE("neighbours, weights, storage types and empty policies") {
  support::lcg g(6);
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> ids;
  std::vector<float> weight;
  for (int r = 0; r < 100; ++r) {
    for (std::int64_t i = g.below(r % 9 == 0 ? 200 : 8); i > 0; --i) {
      ids.push_back(static_cast<std::int32_t>(g.below(50)));
      weight.push_back(g.real());
    }
    offsets.push_back(static_cast<std::int64_t>(ids.size()));
  }
  fanfold::csr_view<float> const graph{offsets, ids, weight};
  std::vector<fanfold::bfloat16> data(50 * 24);
  for (auto& v : data) v = fanfold::from_arithmetic<fanfold::bfloat16>(g.real());
  for (std::int64_t width : {24, 13}) {
    fanfold::matrix_view<fanfold::bfloat16 const> const x(data.data(), 50, width, 24);
    fanfold::weighted_source_rows const message{x, weight};
    std::vector<fanfold::bfloat16> expected(static_cast<std::size_t>(100 * width)), out(expected.size());
    auto const policy = fanfold::empty_policy::value{-1.0f};
    fanfold::neighbour_fold(support::float_sum{}, graph, message, fanfold::matrix_view(expected.data(), 100, width), policy);
    for_each_geometry([&](auto const& ex) {
      fanfold::neighbour_fold(ex, support::float_sum{}, graph, message, fanfold::matrix_view(out.data(), 100, width), policy);
      fanfold::finish(ex);
      CHECK(same_bits(out, expected));
    });
  }
}

TEST_CASE("what only the data can tell is reported by fetch and harms nothing") {
  std::vector<std::int64_t> const offsets{0, 2, 3}, falling{0, 3, 2};
  std::vector<std::int32_t> const ids{0, 1, 9}, good{0, 1, 1};
  std::vector<float> const x{1, 2};
  std::vector<float> out(2);
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {});
  fanfold::source_rows const message{fanfold::matrix_view<float const>(x.data(), 2, 1)};
  fanfold::matrix_view<float> const y(out.data(), 2, 1);
  fanfold::neighbour_fold(ex, support::float_sum{}, fanfold::csr_view<float>{offsets, ids, {}}, message, y);
  CHECK_THROWS_AS(fanfold::fetch(ex, out), fanfold::argument_error);
  CHECK(out[0] == 3);
  fanfold::neighbour_fold(ex, support::float_sum{}, fanfold::csr_view<float>{falling, good, {}}, message, y);
  CHECK_THROWS_AS(fanfold::fetch(ex, out), fanfold::argument_error);
  fanfold::neighbour_fold(ex, support::float_sum{}, fanfold::csr_view<float>{offsets, good, {}}, message, y);
  CHECK(fanfold::fetch(ex, out) == 3);
}
