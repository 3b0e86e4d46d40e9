#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "reference/order_statistics.hpp"
#include "support/bits.hpp"
#include "support/coordinate_rules.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

// Computed in float and rounded once, as if the caller had converted.
template <class T>
void check_half() {
  for (std::int64_t n : {3, 20, 70}) {
    std::int64_t const d = 53;
    std::vector<float> const x = support::reals(static_cast<std::size_t>(n * d), 4);
    std::vector<T> stored;
    std::vector<float> widened;
    for (float v : x) {
      stored.push_back(T(v));
      widened.push_back(static_cast<float>(T(v)));
    }
    std::vector<float> expected(static_cast<std::size_t>(d)), wide(expected);
    std::vector<T> out(expected.size());
    ff::coordinate_fold(support::trimmed{1}, ff::matrix_view<float const>(widened.data(), n, d), expected);
    ff::coordinate_fold(support::trimmed{1}, ff::matrix_view<T const>(stored.data(), n, d), out);
    ff::coordinate_fold(support::trimmed{1}, ff::matrix_view<T const>(stored.data(), n, d), wide);
    CHECK(support::same_bits(wide, expected));
    for (std::size_t c = 0; c < expected.size(); ++c) CHECK(out[c].bits == T(expected[c]).bits);
  }
}

}  // namespace

TEST_CASE("coordinate_fold: bfloat16 and float16 rows") {
  check_half<ff::bfloat16>();
  check_half<ff::float16>();
}

TEST_CASE("coordinate_fold: double rows") {
  for (std::int64_t n : {1, 4, 19, 40, 64, 90}) {
    std::int64_t const d = 21, f = (n - 1) / 2;
    std::vector<double> x;
    support::lcg g(static_cast<std::uint64_t>(n));
    for (std::int64_t i = 0; i < n * d; ++i) x.push_back(static_cast<double>(g.real()) + 1e-9 * static_cast<double>(g.real()));
    std::vector<double> out(static_cast<std::size_t>(2 * d));
    ff::coordinate_fold(ff::together(support::midpoint_median{}, support::around_median{f}), ff::matrix_view<double const>(x.data(), n, d),
                        ff::matrix_view<double>(out.data(), 2, d));
    for (std::int64_t c = 0; c < d; ++c) {
      std::vector<double> v;
      for (std::int64_t i = 0; i < n; ++i) v.push_back(x[static_cast<std::size_t>(i * d + c)]);
      CHECK(out[static_cast<std::size_t>(c)] == reference::median(v));
      CHECK(out[static_cast<std::size_t>(d + c)] == doctest::Approx(reference::mean_around_median(v, static_cast<std::size_t>(f))).epsilon(1e-12));
    }
  }
}
