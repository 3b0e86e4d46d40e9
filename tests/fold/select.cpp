#include "fanfold/fold/select.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
using indices = std::vector<std::int32_t>;

template <class A>
struct answer {
  indices index;
  A threshold;
  std::int64_t above;
};

template <class E, class P, class T>
auto run(E const& ex, P const& order, std::vector<T> const& x) {
  using A = ff::arithmetic_t<T>;
  answer<A> a{indices(static_cast<std::size_t>(order.count), -7), A(-7), -7};
  ff::select(ex, order, x, ff::selection_view<A>{a.index, ff::view<A>(&a.threshold, 1), ff::view<std::int64_t>(&a.above, 1)});
  return a;
}

// Worth of an item in the order, greatest first, by plain comparisons; NaN last.
double worth(ff::largest, double x) { return x; }
double worth(ff::smallest, double x) { return -x; }
double worth(ff::largest_magnitude, double x) { return std::abs(x); }

template <class P, class T>
void check_against_sorting(P const& order, std::vector<T> const& x, auto const& ex) {
  auto const value = [&](std::int32_t i) { return worth(order, static_cast<double>(ff::to_arithmetic(x[static_cast<std::size_t>(i)]))); };
  indices sorted(x.size());
  std::iota(sorted.begin(), sorted.end(), 0);
  std::stable_sort(sorted.begin(), sorted.end(), [&](std::int32_t a, std::int32_t b) {
    double const u = value(a), v = value(b);
    return v != v ? u == u : u > v;
  });
  sorted.resize(static_cast<std::size_t>(order.count));
  auto const a = run(ex, order, x);
  if (order.count > 0) {
    double const last = value(sorted.back());
    std::int64_t above = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      double const v = value(static_cast<std::int32_t>(i));
      above += last != last ? v == v : v > last;
    }
    REQUIRE(a.above == above);
    REQUIRE(support::same_bits(worth(order, static_cast<double>(a.threshold)) + 0.0, last + 0.0));
  }
  std::sort(sorted.begin(), sorted.end());
  REQUIRE(a.index == sorted);
}

std::string error_of(auto const& call) {
  try {
    call();
  } catch (ff::argument_error const& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("select: a small example, ties to the lower index") {
  std::vector<float> const x{3, -5, 2, 5, -5, 2, 0};
  auto a = run(ff::serial, ff::largest{.count = 3}, x);
  CHECK(a.index == indices{0, 2, 3});
  CHECK(a.threshold == 2);
  CHECK(a.above == 2);
  a = run(ff::serial, ff::largest_magnitude{.count = 2}, x);
  CHECK(a.index == indices{1, 3});
  CHECK(a.threshold == 5);
  CHECK(a.above == 0);
  a = run(ff::serial, ff::smallest{.count = 3}, x);
  CHECK(a.index == indices{1, 4, 6});
  CHECK(a.threshold == 0);
}

TEST_CASE("select: against sorting, for every policy, length and count") {
  for (std::size_t n : {1u, 2u, 255u, 256u, 257u, 5000u}) {
    auto const fine = support::reals(n, n);
    std::vector<float> coarse;
    for (float v : fine) coarse.push_back(std::floor(v * 4));
    for (std::int64_t count : {std::int64_t{0}, std::int64_t{1}, static_cast<std::int64_t>(n / 100 + 1), static_cast<std::int64_t>(n / 2),
                               static_cast<std::int64_t>(n)}) {
      CAPTURE(n);
      CAPTURE(count);
      for (auto const& x : {fine, coarse}) {
        check_against_sorting(ff::largest{count}, x, ff::serial);
        check_against_sorting(ff::smallest{count}, x, ff::serial);
        check_against_sorting(ff::largest_magnitude{count}, x, ff::serial);
      }
    }
  }
}

TEST_CASE("select: the same for every executor") {
  auto x = support::reals(400003, 1);
  for (std::size_t i = 0; i < x.size(); i += 3) x[i] = 0.75f;
  auto const expected = run(ff::serial, ff::largest{.count = 100000}, x);
  check_against_sorting(ff::largest{.count = 100000}, x, ff::serial);
  CHECK(expected.threshold == 0.75f);
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    auto const a = run(ex, ff::largest{.count = 100000}, x);
    CHECK(a.index == expected.index);
    CHECK(support::same_bits(a.threshold, expected.threshold));
    CHECK(a.above == expected.above);
  });
}

TEST_CASE("select: double, bfloat16 and float16 rows") {
  std::vector<double> wide;
  std::vector<ff::bfloat16> brain;
  std::vector<ff::float16> half;
  for (float v : support::reals(3000, 7)) {
    wide.push_back(1.0 + 1e-12 * static_cast<double>(v));
    brain.push_back(ff::bfloat16(v));
    half.push_back(ff::float16(v));
  }
  check_against_sorting(ff::largest{.count = 77}, wide, ff::serial);
  check_against_sorting(ff::smallest{.count = 2999}, wide, ff::serial);
  check_against_sorting(ff::largest_magnitude{.count = 500}, brain, ff::serial);
  check_against_sorting(ff::largest{.count = 500}, half, ff::serial);
}

TEST_CASE("select: NaN last, zeros equal, infinities first") {
  float const nan_value = std::numeric_limits<float>::quiet_NaN(), inf = std::numeric_limits<float>::infinity();
  std::vector<float> const x{nan_value, -0.0f, 0.0f, -inf, -nan_value, inf};
  CHECK(run(ff::serial, ff::largest{.count = 1}, x).index == indices{5});
  CHECK(run(ff::serial, ff::largest{.count = 2}, x).index == indices{1, 5});
  CHECK(run(ff::serial, ff::largest{.count = 4}, x).index == indices{1, 2, 3, 5});
  CHECK(run(ff::serial, ff::smallest{.count = 2}, x).index == indices{1, 3});
  CHECK(run(ff::serial, ff::largest_magnitude{.count = 2}, x).index == indices{3, 5});
  auto const a = run(ff::serial, ff::largest{.count = 5}, x);
  CHECK(a.index == indices{0, 1, 2, 3, 5});
  CHECK(a.threshold != a.threshold);
  CHECK(a.above == 4);
}

TEST_CASE("select: nothing, and outputs that nobody wants") {
  float threshold = 1;
  std::int64_t above = 1;
  ff::select(ff::largest{.count = 0}, std::vector<float>{},
             ff::selection_view<float>{{}, ff::view<float>(&threshold, 1), ff::view<std::int64_t>(&above, 1)});
  CHECK(threshold != threshold);
  CHECK(above == 0);
  std::vector<std::int64_t> index(2);
  ff::select(ff::largest{.count = 2}, std::vector<float>{1, 3, 2}, ff::selection_view<float, std::int64_t>{index, {}, {}});
  CHECK(index == std::vector<std::int64_t>{1, 2});
  ff::select(ff::largest{.count = 2}, std::vector<float>{1, 3, 2}, ff::selection_view<float>{{}, ff::view<float>(&threshold, 1), {}});
  CHECK(threshold == 2);
}

TEST_CASE("select: the stated workspace serves, and bad arguments throw") {
  auto const x = support::reals(200000, 3);
  std::vector<std::byte> block(ff::select_workspace_bytes(200000));
  ff::workspace ws(block.data(), block.size());
  indices index(1000);
  ff::select(ff::largest{.count = 1000}, x, ff::selection_view<float>{index, {}, {}}, ws);
  CHECK(index == run(ff::serial, ff::largest{.count = 1000}, x).index);

  CHECK(error_of([&] { ff::select(ff::largest{.count = 200001}, x, ff::selection_view<float>{}); }).find("count is 200001") != std::string::npos);
  CHECK(error_of([&] { ff::select(ff::largest{.count = -1}, x, ff::selection_view<float>{}); }).find("count is -1") != std::string::npos);
  CHECK(error_of([&] { ff::select(ff::largest{.count = 3}, x, ff::selection_view<float>{index, {}, {}}); }).find("index.size() is 1000") !=
        std::string::npos);
  std::vector<std::int16_t> narrow(3, -7);
  CHECK(error_of([&] { ff::select(ff::largest{.count = 3}, x, ff::selection_view<float, std::int16_t>{narrow, {}, {}}); })
            .find("x.size() is 200000") != std::string::npos);
  CHECK(narrow == std::vector<std::int16_t>(3, -7));
}
