#include "fanfold/fold/row_group.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "support/bits.hpp"

namespace {

struct element {
  float const* x;
  FANFOLD_HD float operator()(std::int64_t i) const { return x[i]; }
};

// Every lane of every warp writes what it got.
struct fold_everywhere {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, fanfold::view<float const> x, fanfold::view<float> out) const {
    fanfold::warp_lanes<B> const g(b);
    static_assert(fanfold::row_group<fanfold::warp_lanes<B>>);
    out[b.thread()] = g.fold(fanfold::plus<float>{}, x.size(), element{x.data()});
  }
};

static_assert(fanfold::row_group<fanfold::host_lane>);

TEST_CASE("row groups fold in the canonical interleaved tree") {
  for (std::int64_t n : {1, 2, 3, 31, 32, 33, 63, 64, 65, 100, 127, 128, 129, 1000, 2047, 2048, 2049, 4097, 7001, 65536, 65537, 70000}) {
    std::vector<float> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
    float const want = fanfold::fold(fanfold::plus<float>{}, x);
    CAPTURE(n);
    CHECK(support::same_bits(fanfold::host_lane{}.fold(fanfold::plus<float>{}, n, element{x.data()}), want));
    fanfold::workspace ws;
    fanfold::emulate::executor const ex(ws);
    std::vector<float> out(64);
    ex.launch(fold_everywhere{}, 1, 64, fanfold::view<float const>(x), fanfold::view<float>(out));
    for (float got : out) CHECK(support::same_bits(got, want));
  }
}

TEST_CASE("row groups fold nothing to the identity") {
  CHECK(fanfold::host_lane{}.fold(fanfold::plus<float>{}, 0, element{nullptr}) == 0);
}

}  // namespace
