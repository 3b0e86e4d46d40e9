#include "fanfold/kernel/coordinate_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "support/bits.hpp"
#include "support/coordinate_rules.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

template <class F>
void for_each_device(F const& f) {
  ff::workspace ws;
  for (unsigned threads : {32u, 64u, 256u})
    for (bool descending : {false, true}) {
      CAPTURE(threads);
      CAPTURE(descending);
      f(ff::emulate::executor(ws, {.block_threads = threads, .resident_blocks = 2, .descending = descending}));
    }
}

}  // namespace

TEST_CASE("coordinate_fold on a device: the host's bits for every network and beyond") {
  for (std::int64_t n : {1, 4, 6, 11, 16, 19, 23, 32, 41, 64, 65, 131}) {
    CAPTURE(n);
    std::int64_t const d = 301, f = (n - 1) / 3;
    auto const x = support::reals(static_cast<std::size_t>(n * d), static_cast<std::uint64_t>(n));
    ff::matrix_view<float const> const rows(x.data(), n, d);
    auto const rule = ff::together(support::around_median{f}, support::trimmed{f});
    std::vector<float> expected(static_cast<std::size_t>(2 * d));
    ff::coordinate_fold(rule, rows, ff::matrix_view<float>(expected.data(), 2, d));
    for_each_device([&](ff::emulate::executor const& ex) {
      std::vector<float> out(expected.size());
      ff::coordinate_fold(ex, rule, rows, ff::matrix_view<float>(out.data(), 2, d));
      CHECK(support::same_bits(out, expected));
    });
  }
}

TEST_CASE("coordinate_fold on a device: tables of rows, of more than 256 too") {
  std::int64_t const n = 300, d = 40;
  auto const x = support::reals(static_cast<std::size_t>(n * d), 1);
  std::vector<float const*> table;
  for (std::int64_t i = 0; i < n; ++i) table.push_back(x.data() + i * d);
  std::vector<float> expected(static_cast<std::size_t>(d));
  ff::coordinate_fold(support::trimmed{20}, ff::matrix_view<float const>(x.data(), n, d), expected);
  for_each_device([&](ff::emulate::executor const& ex) {
    std::vector<float> out(expected.size());
    ff::coordinate_fold(ex, support::trimmed{20}, ff::rows_view<float const>(table.data(), n, d), out);
    CHECK(support::same_bits(out, expected));
  });
}

TEST_CASE("coordinate_fold on a device: NaN policies and nothing") {
  std::int64_t const d = 70;
  auto x = support::reals(static_cast<std::size_t>(5 * d), 2);
  x[200] = -std::numeric_limits<float>::quiet_NaN();
  ff::matrix_view<float const> const rows(x.data(), 5, d);
  for (auto policy : {ff::nonfinite::as_pos_inf, ff::nonfinite::propagate}) {
    std::vector<float> expected(static_cast<std::size_t>(d));
    ff::coordinate_fold(support::midpoint_median{}, rows, expected, policy);
    for_each_device([&](ff::emulate::executor const& ex) {
      std::vector<float> out(expected.size());
      ff::coordinate_fold(ex, support::midpoint_median{}, rows, out, policy);
      CHECK(support::same_bits(out, expected));
    });
  }
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  std::vector<float> out(static_cast<std::size_t>(d));
  ff::coordinate_fold(ex, support::midpoint_median{}, rows, out, ff::nonfinite::reject);
  CHECK_THROWS_AS(ff::fetch(ex, out), ff::argument_error);
  ff::coordinate_fold(ex, support::midpoint_median{}, ff::matrix_view<float const>(nullptr, 0, d), out);
  for (float v : out) CHECK(v != v);
}

TEST_CASE("coordinate_fold on a device: reads and writes once") {
  CHECK(ff::coordinate_fold_traffic<float, float>(20, 1000000, 2) == 88000000);
}
