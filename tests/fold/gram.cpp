#include "fanfold/fold/gram.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "reference/gram.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
using doubles = std::vector<double>;

struct table {
  std::int64_t n, d;
  std::vector<float> x;
  table(std::int64_t rows, std::int64_t cols, std::uint64_t seed) : n(rows), d(cols), x(support::reals(static_cast<std::size_t>(rows * cols), seed)) {}
  ff::matrix_view<float const> view() const { return {x.data(), n, d}; }
  std::vector<float> row(std::int64_t i) const { return {x.begin() + i * d, x.begin() + (i + 1) * d}; }
};

template <class P>
doubles square(P const& form, ff::matrix_view<float const> x) {
  doubles out(static_cast<std::size_t>(x.rows() * x.rows()), -1);
  ff::gram(form, x, ff::matrix_view<double>(out.data(), x.rows(), x.rows()));
  return out;
}

// The canonical tree of one entry, written out.
template <class Term>
double tree(Term const& term, std::int64_t d) {
  doubles tiles;
  for (std::int64_t t = 0; t < d; t += 2048) {
    std::vector<float> lane;
    for (std::int64_t c = t; c < d && c < t + 2048; ++c) {
      if (c - t < 64)
        lane.push_back(term(c));
      else
        lane[static_cast<std::size_t>((c - t) % 64)] += term(c);
    }
    for (std::size_t w = 32; w > 0; w /= 2)
      for (std::size_t l = 0; l < w && l + w < lane.size(); ++l) lane[l] += lane[l + w], lane[l + w] = 0;
    tiles.push_back(static_cast<double>(lane[0]));
  }
  while (tiles.size() > 1) {
    doubles next;
    for (std::size_t i = 0; i < tiles.size(); i += 2) next.push_back(i + 1 < tiles.size() ? tiles[i] + tiles[i + 1] : tiles[i]);
    tiles = next;
  }
  return tiles.empty() ? 0 : tiles[0];
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

TEST_CASE("gram: the worked example") {
  std::vector<float> const x{1, 2, 2, 1, 3, 4, 2, 3, 100, -50};
  auto const d = square(ff::squared_distances{}, {x.data(), 5, 2});
  CHECK(doubles(d.begin(), d.begin() + 5) == doubles{0, 2, 8, 2, 12505});
  CHECK(doubles(d.begin() + 5, d.begin() + 10) == doubles{2, 0, 10, 4, 12205});
  auto const k = square(ff::dot_products{}, {x.data(), 5, 2});
  CHECK(doubles(k.begin(), k.begin() + 5) == doubles{5, 4, 11, 8, 0});
  auto const c = square(ff::centred_products{.reference = 3}, {x.data(), 5, 2});
  CHECK(doubles(c.begin(), c.begin() + 5) == doubles{2, 2, -2, 0, -45});
}

TEST_CASE("gram: nearby rows far from zero keep their distances") {
  std::vector<float> x{1, 2, 2, 1, 3, 4, 2, 3};
  for (float& v : x) v += 10000;
  auto const d = square(ff::squared_distances{}, {x.data(), 4, 2});
  CHECK(doubles(d.begin(), d.begin() + 4) == doubles{0, 2, 8, 2});
  CHECK(d[6] == 10);
}

TEST_CASE("gram: entries are the canonical tree, for every length and number of rows") {
  for (std::int64_t d : {1, 2, 63, 64, 65, 100, 128, 2047, 2048, 2049, 4096, 6145, 9000})
    for (std::int64_t n : {1, 2, 3, 4, 5, 6, 7, 9}) {
      if (d > 130 && n % 4 > 1) continue;
      CAPTURE(d);
      CAPTURE(n);
      table const t(n, d, static_cast<std::uint64_t>(d + n));
      auto const distances = square(ff::squared_distances{}, t.view());
      auto const products = square(ff::dot_products{}, t.view());
      auto const centred = square(ff::centred_products{.reference = n / 2}, t.view());
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
          float const *a = t.x.data() + i * d, *b = t.x.data() + j * d, *r = t.x.data() + n / 2 * d;
          auto const at = static_cast<std::size_t>(i * n + j);
          REQUIRE(support::same_bits(distances[at], tree([&](std::int64_t c) { return (a[c] - b[c]) * (a[c] - b[c]); }, d)));
          REQUIRE(support::same_bits(products[at], tree([&](std::int64_t c) { return a[c] * b[c]; }, d)));
          REQUIRE(support::same_bits(centred[at], tree([&](std::int64_t c) { return (a[c] - r[c]) * (b[c] - r[c]); }, d)));
          REQUIRE(std::abs(distances[at] - reference::squared_distance(t.row(i), t.row(j))) <= 2e-6 * (1 + distances[at]));
          REQUIRE(std::abs(products[at] - reference::dot_product(t.row(i), t.row(j))) <= 2e-6 * static_cast<double>(d));
          REQUIRE(std::abs(centred[at] - reference::centred_product(t.row(i), t.row(j), t.row(n / 2))) <= 2e-6 * static_cast<double>(d));
        }
    }
}

TEST_CASE("gram: equal bits for every executor") {
  for (std::int64_t d : {3000, 300001}) {
    table const t(7, d, 5);
    auto const expected = square(ff::squared_distances{}, t.view());
    float const *a = t.x.data() + 2 * d, *b = t.x.data() + 5 * d;
    CHECK(support::same_bits(expected[2 * 7 + 5], tree([&](std::int64_t c) { return (a[c] - b[c]) * (a[c] - b[c]); }, d)));
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      doubles out(49);
      ff::gram(ex, ff::squared_distances{}, t.view(), ff::matrix_view<double>(out.data(), 7, 7));
      CHECK(support::same_bits(out, expected));
    });
  }
}

TEST_CASE("gram: two sets of rows, from a table, into a strided output") {
  std::int64_t const d = 5000;
  table const t(9, d, 6);
  auto const expected = square(ff::squared_distances{}, t.view());
  std::vector<float const*> from;
  for (std::int64_t i : {8, 1, 5}) from.push_back(t.x.data() + i * d);
  doubles out(3 * 12, -1);
  ff::gram(ff::squared_distances{}, ff::rows_view<float const>(from.data(), 3, d), t.view(), ff::matrix_view<double>(out.data(), 3, 9, 12));
  std::size_t const row_of[] = {8, 1, 5};
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 9; ++j) CHECK(support::same_bits(out[i * 12 + j], row_of[i] == j ? 0.0 : expected[row_of[i] * 9 + j]));
  CHECK(out[9] == -1);
}

TEST_CASE("gram: pieces add up") {
  table const t(5, 10000, 7);
  auto const whole = square(ff::squared_distances{}, t.view());
  doubles sum(25);
  ff::matrix_view<double> const out(sum.data(), 5, 5);
  for (std::int64_t begin : {0, 3000, 8192}) {
    std::int64_t const end = begin == 0 ? 3000 : begin == 3000 ? 8192 : 10000;
    ff::gram(ff::squared_distances{}, ff::matrix_view<float const>(t.x.data() + begin, 5, end - begin, t.d), out, ff::accumulate);
  }
  for (std::size_t e = 0; e < 25; ++e) CHECK(sum[e] == doctest::Approx(whole[e]).epsilon(1e-6));
}

TEST_CASE("gram: a non-finite row spoils its own pairs only") {
  table t(5, 3000, 8);
  t.x[3 * 3000 + 17] = std::numeric_limits<float>::infinity();
  auto const distances = square(ff::squared_distances{}, t.view());
  for (std::size_t i = 0; i < 5; ++i)
    for (std::size_t j = 0; j < 5; ++j) CHECK(std::isfinite(distances[i * 5 + j]) == (i == j || (i != 3 && j != 3)));
}

TEST_CASE("gram: a warm workspace allocates nothing") {
  table const t(6, 200000, 4);
  doubles out(36);
  ff::workspace ws;
  ff::gram(ff::squared_distances{}, t.view(), ff::matrix_view<double>(out.data(), 6, 6), ws);
  support::allocation_count const allocations;
  ff::gram(ff::squared_distances{}, t.view(), ff::matrix_view<double>(out.data(), 6, 6), ws);
  CHECK(allocations.get() == 0);
}

TEST_CASE("gram: nothing") {
  CHECK(square(ff::dot_products{}, {nullptr, 2, 0}) == doubles(4, 0.0));
  CHECK(square(ff::centred_products{}, {nullptr, 0, 5}).empty());
}

TEST_CASE("gram: bad arguments throw before anything is written") {
  table const t(3, 10, 9);
  doubles out(9, 5.0);
  ff::matrix_view<double> const good(out.data(), 3, 3), wide(out.data(), 3, 2), low(out.data(), 2, 3);
  CHECK(error_of([&] { ff::gram(ff::dot_products{}, t.view(), low); }).find("rows of out is 2") != std::string::npos);
  CHECK(error_of([&] { ff::gram(ff::dot_products{}, t.view(), wide); }).find("columns of out is 2") != std::string::npos);
  CHECK(error_of([&] { ff::gram(ff::centred_products{.reference = 3}, t.view(), good); }).find("reference is 3") != std::string::npos);
  CHECK(error_of([&] { ff::gram(ff::dot_products{}, t.view(), ff::matrix_view<float const>(t.x.data(), 3, 9), good); }).find("columns of y is 9") !=
        std::string::npos);
  CHECK(error_of([&] { ff::gram(ff::dot_products{}, ff::matrix_view<float const>(nullptr, 3, 9), good); }).find("row of x is null") !=
        std::string::npos);
  CHECK(out == doubles(9, 5.0));
}
