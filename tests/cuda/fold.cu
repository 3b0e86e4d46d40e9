#include "fanfold/fold/fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/moments.hpp"
#include "support/bits.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

template <class A, class T>
void check_like_host(A const& a, std::vector<T> const& x) {
  auto const want = fanfold::fold(a, x);
  auto const device_x = support::upload(x);
  support::on_device([&](fanfold::cuda::executor const& ex) {
    fanfold::cuda::buffer<typename A::output> out(1);
    fanfold::fold(ex, a, device_x, out);
    CAPTURE(x.size());
    CHECK(support::same_bits(fanfold::fetch(ex, out), want));
  });
}

}  // namespace

TEST_CASE("a fold on the device gives the host's bits") {
  for (std::size_t n : {0, 1, 31, 33, 64, 65, 2047, 2048, 2049, 20011, 2048 * 1024 + 5}) {
    check_like_host(fanfold::plus<float>{}, support::reals(n, 1));
    check_like_host(support::ordered_float_sum{}, support::reals(n, 2));
  }
  check_like_host(fanfold::moments<2>{}, support::reals(5000, 3));
}
