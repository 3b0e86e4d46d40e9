#include "fanfold/fold/coordinate_fold.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "reference/order_statistics.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/coordinate_rules.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
using support::around_median;
using support::midpoint_median;
using support::trimmed;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float quiet = std::numeric_limits<float>::quiet_NaN();

struct table {
  std::int64_t n, d;
  std::vector<float> x;
  table(std::int64_t rows, std::int64_t cols, std::uint64_t seed) : n(rows), d(cols), x(support::reals(static_cast<std::size_t>(rows * cols), seed)) {}
  ff::matrix_view<float const> view() const { return {x.data(), n, d}; }
  std::vector<double> column(std::int64_t c) const {
    std::vector<double> v;
    for (std::int64_t i = 0; i < n; ++i) v.push_back(x[static_cast<std::size_t>(i * d + c)]);
    return v;
  }
};

float one(auto const& rule, std::vector<float> const& values, ff::nonfinite policy = ff::nonfinite::as_pos_inf) {
  float out = -7;
  ff::coordinate_fold(rule, ff::matrix_view<float const>(values.data(), static_cast<std::int64_t>(values.size()), 1), ff::view<float>(&out, 1), policy);
  return out;
}

struct rank {
  std::int64_t r;
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    return v[r];
  }
};

std::string error_of(auto const& call) {
  try {
    call();
  } catch (ff::argument_error const& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("coordinate_fold: the worked example") {
  std::vector<float> const x{1, 2, 2, 1, 3, 4, 2, 3, 100, -50};
  std::vector<float> out(6);
  ff::coordinate_fold(ff::together(midpoint_median{}, trimmed{1}, around_median{1}), ff::matrix_view<float const>(x.data(), 5, 2),
                      ff::matrix_view<float>(out.data(), 3, 2));
  CHECK(out == std::vector<float>{2, 2, 7.0f / 3, 2, 2, 2.5f});
  ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(x.data(), 4, 2), ff::matrix_view<float>(out.data(), 1, 2));
  CHECK(out[0] == 2);
  CHECK(out[1] == 2.5f);
}

TEST_CASE("coordinate_fold: ties around the median take the lower value") {
  CHECK(one(around_median{1}, {0, 0, 10, 11, 12}) == 8.25f);
  CHECK(one(around_median{1}, {4, 3, 4, 3}) == doctest::Approx(10.0 / 3));
}

TEST_CASE("coordinate_fold: every number of rows, against sorting") {
  for (std::int64_t n : {1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 16, 17, 19, 20, 21, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 97, 128, 129, 200, 333}) {
    CAPTURE(n);
    std::int64_t const d = 37, f = (n - 1) / 3;
    table const t(n, d, static_cast<std::uint64_t>(n));
    std::vector<float> out(static_cast<std::size_t>(5 * d));
    ff::coordinate_fold(ff::together(midpoint_median{}, trimmed{f}, support::extremes{}, around_median{f}), t.view(),
                        ff::matrix_view<float>(out.data(), 5, d));
    for (std::int64_t c = 0; c < d; ++c) {
      std::vector<double> v = t.column(c);
      auto const at = [&](std::int64_t o) { return static_cast<double>(out[static_cast<std::size_t>(o * d + c)]); };
      REQUIRE(at(0) == doctest::Approx(reference::median(v)).epsilon(1e-6));
      REQUIRE(std::abs(at(1) - reference::trimmed_mean(v, static_cast<std::size_t>(f))) < 2e-6);
      REQUIRE(at(2) == *std::min_element(v.begin(), v.end()));
      REQUIRE(at(3) == *std::max_element(v.begin(), v.end()));
      REQUIRE(std::abs(at(4) - reference::mean_around_median(v, static_cast<std::size_t>(f))) < 2e-6);
    }
  }
}

TEST_CASE("coordinate_fold: sums are the ordered tree of the ascending values") {
  for (std::int64_t n : {5, 32, 33, 64, 65, 200}) {
    CAPTURE(n);
    table const t(n, 1, 3);
    std::vector<float> v = t.x, runs;
    std::sort(v.begin(), v.end());
    for (std::size_t i = 0; i < v.size(); i += 32) {
      float s = v[i];
      for (std::size_t j = i + 1; j < i + 32 && j < v.size(); ++j) s = s + v[j];
      runs.push_back(s);
    }
    while (runs.size() > 1) {
      std::vector<float> next;
      for (std::size_t i = 0; i < runs.size(); i += 2) next.push_back(i + 1 < runs.size() ? runs[i] + runs[i + 1] : runs[i]);
      runs = next;
    }
    CHECK(support::same_bits(one(trimmed{0}, t.x), runs[0] / static_cast<float>(n)));
    CHECK(support::same_bits(one(around_median{0}, t.x), runs[0] / static_cast<float>(n)));
  }
}

TEST_CASE("coordinate_fold: equal bits for every executor, length, stride and row table") {
  for (std::int64_t d : {1, 15, 16, 17, 63, 1000, 20011}) {
    CAPTURE(d);
    std::int64_t const n = 11;
    table const t(n, d, static_cast<std::uint64_t>(d));
    auto const rule = ff::together(midpoint_median{}, trimmed{3});
    std::vector<float> expected(static_cast<std::size_t>(2 * d));
    ff::coordinate_fold(rule, t.view(), ff::matrix_view<float>(expected.data(), 2, d));
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      std::vector<float> out(expected.size());
      ff::coordinate_fold(ex, rule, t.view(), ff::matrix_view<float>(out.data(), 2, d));
      CHECK(support::same_bits(out, expected));
    });
    // every row at an address of its own, in another order; outputs at unrelated addresses
    std::vector<std::vector<float>> apart;
    std::vector<float const*> from;
    for (std::int64_t i = n; i-- > 0;) apart.emplace_back(t.x.begin() + i * d, t.x.begin() + (i + 1) * d);
    for (auto const& row : apart) from.push_back(row.data());
    std::vector<float> a(static_cast<std::size_t>(d)), b(a);
    float* const to[] = {a.data(), b.data()};
    ff::coordinate_fold(rule, ff::rows_view<float const>(from.data(), n, d), ff::rows_view<float>(to, 2, d));
    a.insert(a.end(), b.begin(), b.end());
    CHECK(support::same_bits(a, expected));
  }
}

TEST_CASE("coordinate_fold: NaN and infinity") {
  CHECK(one(support::trimmed{1}, {1, quiet, 3, 2}) == 2.5f);
  CHECK(one(support::trimmed{1}, {1, -quiet, 3, 2}) == 2.5f);
  CHECK(one(midpoint_median{}, {quiet, 1, quiet}) == inf);
  CHECK(one(midpoint_median{}, {-inf, 1, inf}) == 1);
  CHECK(one(midpoint_median{}, {-inf, -inf, inf}) == -inf);
  float const both = one(midpoint_median{}, {-inf, inf});
  CHECK(both != both);
  float const spread = one(midpoint_median{}, {1, 2, -quiet}, ff::nonfinite::propagate);
  CHECK(spread != spread);
  CHECK(one(midpoint_median{}, {1, inf, -inf}, ff::nonfinite::propagate) == 1);

  std::vector<float> x = support::reals(3 * 40, 1), out(40);
  x[57] = quiet;
  ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(x.data(), 3, 40), out, ff::nonfinite::propagate);
  for (std::size_t c = 0; c < 40; ++c) CHECK((out[c] != out[c]) == (c == 17));
  std::fill(out.begin(), out.end(), 5.0f);
  auto const text = error_of(
      [&] { ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(x.data(), 3, 40), out, ff::nonfinite::reject); });
  CHECK(text.find("row with a NaN is 1") != std::string::npos);
  CHECK(out == std::vector<float>(40, 5.0f));
}

TEST_CASE("coordinate_fold: signed zeros and subnormals keep their order") {
  float const tiny = std::numeric_limits<float>::denorm_min();
  std::vector<float> const x{tiny, 0.0f, -0.0f, -tiny, inf, -inf};
  std::vector<float> const sorted{-inf, -tiny, -0.0f, 0.0f, tiny, inf};
  for (std::size_t r = 0; r < 6; ++r) CHECK(support::same_bits(one(rank{static_cast<std::int64_t>(r)}, x), sorted[r]));
}

TEST_CASE("coordinate_fold: nothing and one") {
  std::vector<float> none, out(3, 1);
  ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(nullptr, 0, 3), out);
  for (float v : out) CHECK(v != v);
  ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(nullptr, 5, 0), none);
  CHECK(one(midpoint_median{}, {-4}) == -4);
}

TEST_CASE("coordinate_fold: properties of trimming") {
  table const t(9, 50, 8);
  std::vector<float> mean(50), middle(50), median(50);
  ff::coordinate_fold(trimmed{0}, t.view(), mean);
  ff::coordinate_fold(trimmed{4}, t.view(), middle);
  ff::coordinate_fold(midpoint_median{}, t.view(), median);
  CHECK(support::same_bits(middle, median));
  for (std::int64_t c = 0; c < 50; ++c)
    CHECK(std::abs(static_cast<double>(mean[static_cast<std::size_t>(c)]) - reference::trimmed_mean(t.column(c), 0)) < 1e-6);
}

TEST_CASE("coordinate_fold: a warm workspace and the output over an input row") {
  table t(6, 100, 2);
  std::vector<float> expected(100);
  ff::coordinate_fold(midpoint_median{}, t.view(), expected);
  ff::workspace ws;
  ff::coordinate_fold(midpoint_median{}, t.view(), ff::view<float>(t.x.data() + 300, 100), ws);
  CHECK(std::equal(expected.begin(), expected.end(), t.x.begin() + 300));
  std::vector<float> out(100);
  support::allocation_count const allocations;
  ff::coordinate_fold(midpoint_median{}, t.view(), out, ws);
  CHECK(allocations.get() == 0);
}

TEST_CASE("coordinate_fold: bad arguments throw before anything is written") {
  table const t(4, 10, 1);
  std::vector<float> out(10, 5.0f);
  CHECK(error_of([&] { ff::coordinate_fold(trimmed{2}, t.view(), out); }).find("f is 2") != std::string::npos);
  CHECK(error_of([&] { ff::coordinate_fold(ff::together(midpoint_median{}, trimmed{2}), t.view(), ff::matrix_view<float>(out.data(), 2, 5)); })
            .find("columns of out is 5") != std::string::npos);
  CHECK(error_of([&] { ff::coordinate_fold(support::extremes{}, t.view(), out); }).find("rows of out is 1") != std::string::npos);
  CHECK(error_of([&] { ff::coordinate_fold(midpoint_median{}, t.view(), ff::view<float>(nullptr, 10)); }).find("data of out is null") !=
        std::string::npos);
  CHECK(error_of([&] { ff::coordinate_fold(midpoint_median{}, ff::matrix_view<float const>(nullptr, 4, 10), out); }).find("data of a row is null") !=
        std::string::npos);
  CHECK(out == std::vector<float>(10, 5.0f));
}
