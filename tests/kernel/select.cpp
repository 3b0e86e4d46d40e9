#include "fanfold/kernel/select.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/select.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

// The host's answer at several block sizes and orders of execution.
template <class P, class T>
void check_select(P const& order, std::vector<T> const& x, std::vector<unsigned> const& sizes) {
  using A = ff::arithmetic_t<T>;
  struct answer {
    std::vector<std::int32_t> index;
    A threshold = A(-7);
    std::int64_t above = -7;
    ff::selection_view<A> view() { return {index, ff::view<A>(&threshold, 1), ff::view<std::int64_t>(&above, 1)}; }
  };
  std::vector<std::int32_t> const unset(static_cast<std::size_t>(order.count), -7);
  answer expected{unset};
  ff::select(order, x, expected.view());
  ff::workspace ws;
  for (unsigned threads : sizes)
    for (bool descending : {false, true}) {
      CAPTURE(x.size());
      CAPTURE(order.count);
      CAPTURE(threads);
      ff::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 2, .descending = descending});
      answer a{unset};
      ff::select(ex, order, x, a.view());
      CHECK(a.index == expected.index);
      CHECK(support::same_bits(a.threshold, expected.threshold));
      CHECK(a.above == expected.above);
    }
}

}  // namespace

TEST_CASE("select on a device: the host's answer for every length and count") {
  for (std::size_t n : {1u, 31u, 33u, 2048u, 2049u, 6000u}) {
    auto const fine = support::reals(n, n);
    std::vector<float> coarse;
    for (float v : fine) coarse.push_back(std::floor(v * 4));
    for (std::int64_t count : {std::int64_t{1}, static_cast<std::int64_t>(n / 3 + 1), static_cast<std::int64_t>(n)}) {
      check_select(ff::largest_magnitude{count}, fine, {32, 256});
      check_select(ff::largest{count}, coarse, {64});
    }
  }
}

TEST_CASE("select on a device: many tiles, doubles, halves, NaN, nothing") {
  check_select(ff::smallest{.count = 20000}, support::reals(70001, 5), {32, 256});
  std::vector<double> wide;
  std::vector<ff::bfloat16> brain;
  for (float v : support::reals(5000, 6)) {
    wide.push_back(1.0 + 1e-12 * static_cast<double>(v));
    brain.push_back(ff::bfloat16(v));
  }
  check_select(ff::largest{.count = 700}, wide, {128});
  check_select(ff::largest{.count = 700}, brain, {128});
  std::vector<float> const odd{std::numeric_limits<float>::quiet_NaN(), -0.0f, 0.0f, 3};
  for (std::int64_t count : {0, 1, 2, 3, 4}) check_select(ff::largest{count}, odd, {32});
}

TEST_CASE("select on a device: the row is read five times") {
  std::int64_t const n = 1 << 24;
  CHECK(ff::select_traffic<float, std::int32_t>(n, 1000) < 5 * 4 * n + n / 2);
}
