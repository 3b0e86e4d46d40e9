#include "fanfold/fold/map_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/fold/measure.hpp"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/gossip/topology.hpp"
#include "fanfold/kernel/mix.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

namespace ff = fanfold;

TEST_CASE("map_fold on the device gives the host's bits") {
  for (std::int64_t k : {1, 3, 33, 2500})
    for (std::int64_t d : {1, 130, 5000}) {
      if (k > 100 && d > 130) continue;
      CAPTURE(k);
      CAPTURE(d);
      auto const x = support::reals(static_cast<std::size_t>(k * d), 1), w = support::reals(static_cast<std::size_t>(k), 2);
      std::vector<ff::element_range> const segments{{0, d / 3}, {d / 3 + d % 2, d - d / 3 - d % 2}};
      std::vector<float> want(static_cast<std::size_t>(d));
      std::vector<double> want_table(4);
      ff::map_fold(ff::serial, ff::weighted_sum<float>{w}, ff::matrix_view<float const>(x.data(), k, d), ff::matrix_view<float>(want.data(), 1, d), segments,
                   ff::measured<ff::shifted_moments>{.inputs = false, .out = {want_table.data(), 2, 2}});
      auto const device_x = support::upload(x), device_w = support::upload(w);
      support::on_device([&](ff::cuda::executor const& ex) {
        auto out = support::upload(std::vector<float>(static_cast<std::size_t>(d)));
        auto table = support::upload(std::vector<double>(4));
        ff::map_fold(ex, ff::weighted_sum<float>{device_w}, ff::matrix_view<float const>(device_x.data(), k, d),
                     ff::matrix_view<float>(out.data(), 1, d), segments,
                     ff::measured<ff::shifted_moments>{.inputs = false, .out = {table.data(), 2, 2}});
        CHECK(support::same_bits(support::download(ex, out), want));
        CHECK(support::same_bits(support::download(ex, table), want_table));
      });
    }
}

TEST_CASE("a gossip round on the device gives the host's bits") {
  std::int64_t const nodes = 8, d = 5000;
  auto const m = ff::gossip::metropolis_hastings(ff::gossip::ring(8));
  auto const x = support::reals(static_cast<std::size_t>(nodes * d), 3);
  std::vector<ff::gossip::segment> const segments{{0, 3000, 1, 1, ff::gossip::seg_mix | ff::gossip::seg_correct}, {3000, 7, 0, 0, 0}};
  std::vector<float> want(x.size());
  ff::gossip::mix(ff::serial, ff::gossip::variance_corrected{}, m, ff::matrix_view<float const>(x.data(), nodes, d), segments,
                  ff::matrix_view<float>(want.data(), nodes, d));
  auto const device_x = support::upload(x);
  support::on_device([&](ff::cuda::executor const& ex) {
    ff::cuda::buffer<float> next(nodes * d);
    ff::gossip::mix(ex, ff::gossip::variance_corrected{}, m, ff::matrix_view<float const>(device_x.data(), nodes, d), segments,
                    ff::matrix_view<float>(next.data(), nodes, d));
    CHECK(support::same_bits(support::download(ex, next), want));
  });
}
