#include <doctest/doctest.h>

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/fold_by_key.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/fold/segmented_scan.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/kernel/fold_by_key.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/kernel/scatter_fold.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/counted.hpp"
#include "fanfold/monoid/mapped.hpp"
#include "fanfold/monoid/product_monoid.hpp"
#include "fanfold/monoid/reproducible_moments.hpp"
#include "fanfold/monoid/segmented_lift.hpp"
#include "fanfold/monoid/state_of.hpp"
#include "fanfold/monoid/vector_of.hpp"
#include "fanfold/monoid/vote.hpp"
#include "support/executors.hpp"

namespace {

using namespace fanfold;

using sum = binned_sum<float>;
constexpr std::uint64_t most = 0xffffffffu;

/// A plain sum that is said to hold four items, so that the limit is met with real data.
struct small_sum : plus<float> {
  static constexpr std::uint64_t max_items = 4;
};

static_assert(item_limit<plus<float>> == ~std::uint64_t{0} && item_limit<binned_sum<float, 2, int128>> == ~std::uint64_t{0});
static_assert(item_limit<sum> == most && item_limit<exact_sum<double>> == most && item_limit<reproducible_moments<>> == most);
static_assert(item_limit<weighted_vote<3>> == most && item_limit<vector_of<sum, 2>> == most && item_limit<counted<sum>> == most);
static_assert(item_limit<state_of<sum>> == most && item_limit<product_monoid<plus<float>, sum>> == most && item_limit<segmented_lift<sum>> == most);

template <class F>
void refused(F const& call) {
  CHECK_THROWS_WITH_AS(call(), doctest::Contains("number of items"), argument_error);
}

template <class F>
void for_each_kind(F const& f) {
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    f(ex);
  });
  workspace ws;
  CAPTURE("emulated");
  f(emulate::executor(ws, {.block_threads = 64}));
}

}  // namespace

TEST_CASE("more items than a binned sum holds are refused before anything is read or written") {
  // the views claim 2^32 items; memory for one is there
  float one = 1.0f, out = 7.0f;
  std::int64_t const n = std::int64_t{1} << 32;
  view<float const> const x(&one, n);
  for_each_kind([&](auto const& ex) {
    refused([&] { fold(ex, sum{}, x, view<float>(&out, 1)); });
    CHECK(out == 7.0f);
  });
  refused([&] { static_cast<void>(fold(sum{}, x)); });
}

TEST_CASE("every loop minds the limit of its carrier") {
  std::vector<float> const x{1, 2, 3, 4, 5};
  std::vector<std::int64_t> const offsets{0, 5};
  std::vector<std::int32_t> const same(5, 0);
  small_sum const a;
  for_each_kind([&](auto const& ex) {
    std::vector<float> out(5, 7.0f);
    std::vector<std::int32_t> keys(5, 9);
    view<float> const answer(out.data(), 1);
    refused([&] { fold(ex, a, x, answer); });
    refused([&] { segmented_fold(ex, a, x, offsets, answer); });
    refused([&] { neighbour_fold(ex, a, csr_view<float const>{offsets, same, {}}, source_rows{matrix_view<float const>(x.data(), 5, 1)}, matrix_view<float>(out.data(), 1, 1)); });
    refused([&] { scatter_fold(ex, a, same, x, answer); });
    refused([&] { scan(ex, a, x, out, scan_kind::inclusive); });
    refused([&] { segmented_scan(ex, a, x, offsets, out, scan_kind::inclusive); });
    if constexpr (host_executor<std::remove_cvref_t<decltype(ex)>>)
      refused([&] { fold_by_key(ex, a, same, x, keys, out); });
    else
      refused([&] {
        std::vector<std::int64_t> count(1);
        fold_by_key(ex, a, same, x, keys, out, count);
      });
    CHECK(out == std::vector<float>(5, 7.0f));
    CHECK(keys == std::vector<std::int32_t>(5, 9));
  });
}

TEST_CASE("segments within the limit pass, however many rows there are in all") {
  std::vector<float> const x{1, 2, 3, 4, 5};
  std::vector<float> out(2);
  segmented_fold(small_sum{}, x, std::vector<std::int64_t>{0, 4, 5}, out);
  CHECK(out == std::vector<float>{10, 5});
}
