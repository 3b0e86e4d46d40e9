#include "fanfold/aggregate/robust/robust.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "fanfold/kernel/gram.hpp"
#include "fanfold/kernel/map_fold.hpp"
#include "support/bits.hpp"
#include "support/robust_rules.hpp"
#include "support/samples.hpp"

using namespace fanfold::aggregate;

TEST_CASE("robust rules on the device give the host's bits") {
  std::int64_t const n = 11, d = 5000;
  auto x = support::reals(static_cast<std::size_t>(n * d), 4);
  x[7] = std::numeric_limits<float>::quiet_NaN();
  fanfold::matrix_view<float const> const rows(x.data(), n, d);
  auto const device_x = support::upload(x);
  auto const check = [&](char const* name, auto const& rule) {
    CAPTURE(name);
    std::vector<float> want(static_cast<std::size_t>(d));
    robust(fanfold::serial, rule, rows, want);
    support::on_device([&](fanfold::cuda::executor const& ex) {
      fanfold::cuda::buffer<float> out(d);
      robust(ex, rule, fanfold::matrix_view<float const>(device_x.data(), n, d), out);
      CHECK(support::same_bits(support::download(ex, out), want));
    });
  };
  check("krum", krum{.f = 2});
  check("multi_krum", multi_krum{.f = 2});
  check("bulyan", bulyan{.f = 2});
  check("minimum_diameter_average", minimum_diameter_average{.f = 2});
  check("smallest_eigen_average", smallest_eigen_average{.f = 2});
  check("nearest_to_trusted", nearest_to_trusted{.f = 2, .index = 4});
  check("geometric_median", geometric_median{});
  check("centered_clipping", centered_clipping{.tau = 2, .iterations = 3});
  check("covariance_filter", covariance_filter{.f = 2});
  check("flag_aggregate", flag_aggregate{});
  check("sign_vote", sign_vote{});
  check("norm_clip + average", compose(norm_clip{2}, average{}));
  check("adaptive_robust_clip + nearest_neighbour_mixing + krum", compose(adaptive_robust_clip{.f = 2}, nearest_neighbour_mixing{.f = 2}, krum{.f = 2}));
  check("bucketing + geometric_median", compose(bucketing{.size = 2, .seed = 3}, geometric_median{}));
}
