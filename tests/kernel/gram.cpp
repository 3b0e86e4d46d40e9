#include "fanfold/kernel/gram.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/gram.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
using doubles = std::vector<double>;

// The same bits as the host at several block sizes, from a matrix and from a table of rows.
template <class P, class T>
void check_square(P const& form, std::vector<T> const& x, std::int64_t n, std::vector<unsigned> const& sizes) {
  std::int64_t const d = static_cast<std::int64_t>(x.size()) / n;
  ff::matrix_view<T const> const rows(x.data(), n, d);
  doubles expected(static_cast<std::size_t>(n * n));
  ff::gram(form, rows, ff::matrix_view<double>(expected.data(), n, n));
  std::vector<T const*> table;
  for (std::int64_t i = 0; i < n; ++i) table.push_back(x.data() + i * d);
  ff::workspace ws;
  for (unsigned threads : sizes)
    for (bool descending : {false, true}) {
      CAPTURE(n);
      CAPTURE(d);
      CAPTURE(threads);
      CAPTURE(descending);
      ff::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 3, .descending = descending});
      doubles out(expected.size(), -1);
      if (descending)
        ff::gram(ex, form, ff::rows_view<T const>(table.data(), n, d), ff::matrix_view<double>(out.data(), n, n));
      else
        ff::gram(ex, form, rows, ff::matrix_view<double>(out.data(), n, n));
      CHECK(support::same_bits(out, expected));
    }
}

std::vector<float> data(std::int64_t n, std::int64_t d) { return support::reals(static_cast<std::size_t>(n * d), static_cast<std::uint64_t>(n + d)); }

}  // namespace

TEST_CASE("gram on a device: the host's bits for every length") {
  for (std::int64_t d : {1, 2, 31, 63, 64, 65, 129, 2047, 2048, 2049, 6200})
    for (std::int64_t n : {1, 3, 6}) check_square(ff::squared_distances{}, data(n, d), n, {32, 128});
}

TEST_CASE("gram on a device: several tiles a task and several tasks") {
  check_square(ff::squared_distances{}, data(2, 2048 * 70 + 5), 2, {64});
  // so many entries that a task takes more than one tile
  std::int64_t const n = 4, d = 2048 * 9 + 100;
  ff::detail::gram_grid grid = ff::detail::gram_grid::of(1024, 1024, d);
  CHECK(grid.step == 4);
  CHECK(grid.tasks == 3);
  auto const x = data(n, d);
  grid.n = grid.m = n;
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  ff::device_rows<float const> const rows(x.data(), nullptr, d, static_cast<std::int64_t>(x.size()) / d, d);
  doubles sums(static_cast<std::size_t>(3 * n * n)), total(static_cast<std::size_t>(n * n)), expected(total);
  ff::view<double> const to(sums);
  ex.launch(ff::detail::gram_tiles_body<ff::dot_products, float>{{}, rows, rows, grid, true, true}, 2, 64u, to);
  ex.launch(ff::detail::gram_pairs_body{}, 1, 32u, ff::as_const(to), ff::view<double>(total), n * n, grid.tasks);
  ff::gram(ff::dot_products{}, ff::matrix_view<float const>(x.data(), n, d), ff::matrix_view<double>(expected.data(), n, n));
  CHECK(support::same_bits(total, expected));
}

TEST_CASE("gram on a device: every form, odd strides and two sets of rows") {
  check_square(ff::dot_products{}, data(5, 2111), 5, {256});
  check_square(ff::centred_products{.reference = 3}, data(5, 4101), 5, {96});
  auto const x = data(7, 3000);
  ff::matrix_view<float const> const a(x.data() + 1, 3, 2100, 3001), b(x.data() + 9001, 3, 2100, 2999);
  doubles expected(9), out(9, 2.0);
  for (double& v : expected) v = 2;
  ff::gram(ff::squared_distances{}, a, b, ff::matrix_view<double>(expected.data(), 3, 3), ff::accumulate);
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {.block_threads = 64});
  ff::gram(ex, ff::squared_distances{}, a, b, ff::matrix_view<double>(out.data(), 3, 3), ff::accumulate);
  CHECK(support::same_bits(out, expected));
}

TEST_CASE("gram on a device: double and bfloat16 rows, no coordinates") {
  std::vector<double> wide;
  std::vector<ff::bfloat16> brain;
  for (float v : data(5, 2300)) {
    wide.push_back(static_cast<double>(v));
    brain.push_back(ff::bfloat16(v));
  }
  check_square(ff::squared_distances{}, wide, 5, {64});
  check_square(ff::dot_products{}, brain, 5, {64});
  doubles out(4, 5.0);
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  ff::gram(ex, ff::dot_products{}, ff::matrix_view<float const>(nullptr, 2, 0), ff::matrix_view<double>(out.data(), 2, 2));
  CHECK(out == doubles(4, 0.0));
}

TEST_CASE("gram on a device: little traffic beside the rows") {
  std::int64_t const least = 20 * 1000000 * 4 + 400 * 8;
  CHECK(ff::gram_traffic<float>(20, 20, 1000000, true) < least + least / 20);
}
