#include "fanfold/fold/map_fold.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fanfold/fold/measure.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;

template <class T>
std::vector<T> noise(std::int64_t n, std::uint32_t seed) {
  std::vector<T> x(static_cast<std::size_t>(n));
  for (auto& v : x) {
    seed = seed * 1664525u + 1013904223u;
    v = T(static_cast<float>(static_cast<std::int32_t>(seed >> 8) - (1 << 23)) * 0x1p-22f);
  }
  return x;
}

template <class T>
auto wide(T x) {
  return ff::to_arithmetic(x);
}

// Adjacent pairs over runs of 32, straight from the definition.
template <class A>
A tree_sum(std::vector<A> terms) {
  std::vector<A> runs;
  for (std::size_t i = 0; i < terms.size(); i += 32) {
    A s = terms[i];
    for (std::size_t j = i + 1; j < i + 32 && j < terms.size(); ++j) s = s + terms[j];
    runs.push_back(s);
  }
  while (runs.size() > 1) {
    std::vector<A> next;
    for (std::size_t i = 0; i < runs.size(); i += 2) next.push_back(i + 1 < runs.size() ? A(runs[i] + runs[i + 1]) : runs[i]);
    runs = next;
  }
  return runs.empty() ? A(0) : runs[0];
}

struct moments_of {
  double mean, variance;
};
// The interleaved tree, straight from the definition.
template <class A>
moments_of interleaved_moments(std::vector<A> const& x) {
  std::vector<std::vector<double>> tiles[2];
  double result[2] = {};
  for (int field = 0; field < 2; ++field) {
    std::vector<double> level;
    for (std::size_t t = 0; t < x.size(); t += 2048) {
      std::vector<double> lane(64);
      std::vector<bool> present(64);
      for (std::size_t i = t; i < x.size() && i < t + 2048; ++i) {
        double const d = static_cast<double>(x[i]) - static_cast<double>(x[0]);
        double const v = field == 0 ? d : d * d;
        std::size_t const l = (i - t) % 64;
        lane[l] = present[l] ? lane[l] + v : v;
        present[l] = true;
      }
      for (std::size_t w = 32; w > 0; w /= 2)
        for (std::size_t l = 0; l < w; ++l)
          if (present[l + w]) lane[l] += lane[l + w], present[l + w] = false;
      level.push_back(lane[0]);
    }
    while (level.size() > 1) {
      std::vector<double> next;
      for (std::size_t i = 0; i < level.size(); i += 2) next.push_back(i + 1 < level.size() ? level[i] + level[i + 1] : level[i]);
      level = next;
    }
    result[field] = level[0];
  }
  double const n = static_cast<double>(x.size()), m = result[0] / n;
  double const v = result[1] / n - m * m;
  return {static_cast<double>(x[0]) + m, v < 0 ? 0 : v};
}

template <class T>
struct problem {
  using A = ff::arithmetic_t<T>;
  std::vector<std::vector<T>> rows;
  std::vector<T const*> table;
  std::vector<A> weight;
  std::int64_t d;

  problem(std::int64_t k, std::int64_t cols) : d(cols) {
    for (std::int64_t i = 0; i < k; ++i) {
      rows.push_back(noise<T>(cols, static_cast<std::uint32_t>(17 + i)));
      weight.push_back(A(1) / static_cast<A>(i + 2));
    }
    for (auto const& r : rows) table.push_back(r.data());
  }
  ff::rows_view<T const> view() const { return {table.data(), static_cast<std::int64_t>(rows.size()), d}; }
  std::vector<A> exact() const {
    std::vector<A> y(static_cast<std::size_t>(d));
    for (std::size_t i = 0; i < y.size(); ++i) {
      std::vector<A> terms;
      for (std::size_t k = 0; k < rows.size(); ++k) terms.push_back(weight[k] * wide(rows[k][i]));
      y[i] = tree_sum(terms);
    }
    return y;
  }
};

// Adam without bias correction: parameter, two states and a gradient to new parameter and states.
struct adam {
  static constexpr int inputs = 4, outputs = 3;
  void operator()(std::int64_t, float const* x, float* y) const {
    y[1] = 0.9f * x[1] + 0.1f * x[3];
    y[2] = 0.99f * x[2] + 0.01f * (x[3] * x[3]);
    y[0] = x[0] - 0.1f * y[1] / (std::sqrt(y[2]) + 1e-8f);
  }
};

// The elements' own numbers, to see that indices are those of the row and not of the tile or segment.
struct element_number {
  static constexpr int inputs = 1, outputs = 1;
  void operator()(std::int64_t i, float const*, float* y) const { y[0] = static_cast<float>(i); }
};

}  // namespace

TEST_CASE_TEMPLATE("map_fold: weighted sums follow the ordered tree of rows", T, float, double, ff::float16, ff::bfloat16) {
  using A = ff::arithmetic_t<T>;
  for (std::int64_t k : {0, 1, 2, 3, 31, 32, 33, 64, 65, 96, 97, 131, 300})
    for (std::int64_t d : {0, 1, 63, 64, 65, 130}) {
      problem<T> const p(k, d);
      auto const expected = p.exact();
      std::vector<T> out(static_cast<std::size_t>(d), T(7.0f)), rounded;
      for (A e : expected) rounded.push_back(ff::from_arithmetic<T>(e));
      ff::map_fold(ff::serial, ff::weighted_sum{ff::view<A const>(p.weight)}, p.view(), ff::matrix_view<T>(out.data(), 1, d),
                   std::vector<ff::element_range>{{0, d}});
      CAPTURE(k);
      CAPTURE(d);
      CHECK(support::same_bits(out, rounded));
    }
}

TEST_CASE("map_fold: known bits of sums over many rows") {
  // x_j = (j mod 7) / 7 with weights 1/n
  for (auto const& [n, bits] : std::vector<std::pair<int, std::uint32_t>>{{40, 0x3ed24926u}, {100, 0x3ed7c57cu}}) {
    std::vector<float> x, w(static_cast<std::size_t>(n), static_cast<float>(1.0 / n));
    for (int j = 0; j < n; ++j) x.push_back(static_cast<float>(j % 7) / 7.0f);
    float y = 0;
    ff::map_fold(ff::serial, ff::weighted_sum{ff::view<float const>(w)}, ff::matrix_view<float const>(x.data(), n, 1), ff::matrix_view<float>(&y, 1, 1),
                 std::vector<ff::element_range>{{0, 1}});
    CHECK(support::same_bits(y, ff::math::from_bits(bits)));
  }
}

TEST_CASE_TEMPLATE("map_fold: moments of inputs and outputs, equal bits on every executor", T, float, double, ff::bfloat16) {
  using A = ff::arithmetic_t<T>;
  std::int64_t const d = 9000;
  std::vector<ff::element_range> const segments{{0, 1}, {1, 0}, {3, 64}, {70, 2047}, {2117, 2048}, {4165, 4700}, {8900, 100}};
  for (std::int64_t k : {1, 3, 40}) {
    problem<T> const p(k, d);
    auto const exact = p.exact();
    auto const fields = 2 * (k + 1);
    std::vector<double> table(segments.size() * static_cast<std::size_t>(fields)), first_table;
    std::vector<T> out(static_cast<std::size_t>(d)), first_out;
    support::for_each_executor([&](char const* name, auto const& ex) {
      out.assign(out.size(), T(7.0f));
      ff::workspace ws;
      ff::map_fold(ex, ff::weighted_sum{ff::view<A const>(p.weight)}, p.view(), ff::matrix_view<T>(out.data(), 1, d), segments,
                   ff::measured<ff::shifted_moments>{.out = {table.data(), static_cast<std::int64_t>(segments.size()), fields}}, ws);
      if (first_out.empty()) first_out = out, first_table = table;
      CHECK_MESSAGE(support::same_bits(out, first_out), name);
      CHECK_MESSAGE(support::same_bits(table, first_table), name);
    });
    for (std::size_t s = 0; s < segments.size(); ++s) {
      for (std::int64_t column = 0; column <= k; ++column) {
        std::vector<A> x;
        for (auto i = segments[s].offset; i < segments[s].offset + segments[s].count; ++i)
          x.push_back(column < k ? wide(p.rows[static_cast<std::size_t>(column)][static_cast<std::size_t>(i)]) : exact[static_cast<std::size_t>(i)]);
        moments_of const m = x.empty() ? moments_of{0, 0} : interleaved_moments(x);
        CHECK(support::same_bits(table[s * static_cast<std::size_t>(fields) + 2 * static_cast<std::size_t>(column)], m.mean));
        CHECK(support::same_bits(table[s * static_cast<std::size_t>(fields) + 2 * static_cast<std::size_t>(column) + 1], m.variance));
      }
    }
    CHECK(support::same_bits(out[2], T(7.0f)));  // outside all segments
    std::vector<double> alone(static_cast<std::size_t>(k) * segments.size() * 2);
    support::for_each_executor([&](char const*, auto const& ex) {
      ff::measure(ex, ff::shifted_moments{}, p.view(), segments, {alone.data(), k * static_cast<std::int64_t>(segments.size()), 2});
      for (std::size_t r = 0; r < static_cast<std::size_t>(k); ++r)
        for (std::size_t i = 0; i < segments.size() * 2; ++i)
          CHECK(support::same_bits(alone[r * segments.size() * 2 + i], table[i / 2 * static_cast<std::size_t>(fields) + 2 * r + i % 2]));
    });
  }
}

TEST_CASE("map_fold: row lists give one output each") {
  problem<float> const p(5, 3000);
  std::vector<std::int64_t> const offsets{0, 2, 2, 7};
  std::vector<std::int32_t> const ids{4, 0, 0, 1, 2, 3, 4};
  std::vector<float> const w{0.5f, 0.25f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f};
  std::vector<float> out(9000);
  std::vector<double> table(3 * 2 * 2);
  std::vector<ff::element_range> const segments{{0, 2100}, {2100, 900}};
  support::for_each_executor([&](char const*, auto const& ex) {
    out.assign(out.size(), 7.0f);
    ff::map_fold(ex, ff::weighted_sum{ff::view<float const>(w)}, ff::row_lists<float const>{p.view(), offsets, ids}, ff::matrix_view<float>(out.data(), 3, 3000),
                 segments, ff::measured<ff::shifted_moments>{.inputs = false, .out = {table.data(), 6, 2}});
    for (std::size_t i = 0; i < 3000; ++i) {
      REQUIRE(support::same_bits(out[i], 0.5f * p.rows[4][i] + 0.25f * p.rows[0][i]));
      REQUIRE(support::same_bits(out[3000 + i], 0.0f));
      REQUIRE(support::same_bits(out[6000 + i], (((1.0f * p.rows[0][i] + 2.0f * p.rows[1][i]) + 3.0f * p.rows[2][i]) + 4.0f * p.rows[3][i]) + 5.0f * p.rows[4][i]));
    }
    for (std::size_t j = 0; j < 3; ++j)
      for (std::size_t s = 0; s < 2; ++s) {
        auto const first = out.begin() + static_cast<std::ptrdiff_t>(j * 3000 + (s == 0 ? 0 : 2100));
        moments_of const m = interleaved_moments(std::vector<float>(first, first + (s == 0 ? 2100 : 900)));
        CHECK(support::same_bits(table[(j * 2 + s) * 2], m.mean));
        CHECK(support::same_bits(table[(j * 2 + s) * 2 + 1], m.variance));
      }
  });
}

TEST_CASE("map_fold: several outputs, updated in place") {
  std::int64_t const d = 5000;
  std::vector<float> state = noise<float>(3 * d, 1), gradient = noise<float>(d, 2);
  for (std::int64_t i = 2 * d; i < 3 * d; ++i) state[static_cast<std::size_t>(i)] *= state[static_cast<std::size_t>(i)];
  std::vector<float> expected = state;
  for (std::size_t i = 0; i < static_cast<std::size_t>(d); ++i) {
    auto const n = static_cast<std::size_t>(d);
    float const x[4] = {state[i], state[n + i], state[2 * n + i], gradient[i]};
    float y[3];
    adam{}(0, x, y);
    for (std::size_t r = 0; r < 3; ++r) expected[r * n + i] = y[r];
  }
  support::for_each_executor([&](char const* name, auto const& ex) {
    auto s = state;
    float const* rows[4] = {s.data(), s.data() + d, s.data() + 2 * d, gradient.data()};
    std::vector<double> table(14);
    ff::map_fold(ex, adam{}, ff::rows_view<float const>(rows, 4, d), ff::matrix_view<float>(s.data(), 3, d), std::vector<ff::element_range>{{0, d}},
                 ff::measured<ff::shifted_moments>{.out = {table.data(), 1, 14}});
    CHECK_MESSAGE(support::same_bits(s, expected), name);
    CHECK(support::same_bits(table[2], interleaved_moments(std::vector<float>(state.begin() + d, state.begin() + 2 * d)).mean));  // before
    CHECK(support::same_bits(table[10], interleaved_moments(std::vector<float>(s.begin() + d, s.begin() + 2 * d)).mean));         // after
  });
}

TEST_CASE("map_fold: policies see the element's index in the row") {
  std::vector<float> x(5000), y(5000, -1.0f);
  ff::map_fold(ff::serial, element_number{}, ff::matrix_view<float const>(x.data(), 1, 5000), ff::matrix_view<float>(y.data(), 1, 5000),
               std::vector<ff::element_range>{{100, 4000}});
  for (std::size_t i = 0; i < y.size(); ++i) REQUIRE(y[i] == (i >= 100 && i < 4100 ? static_cast<float>(i) : -1.0f));
}

TEST_CASE("map_fold: affine steps of a segment, and segments left as they are") {
  std::vector<ff::affine_step<float>> const steps{{1.0f, 2.0f}, {5.0f, 3.0f, false}};
  std::vector<float> x{1.0f, 3.0f, -0.0f, 0.1f}, y(4);
  std::vector<ff::element_range> const segments{{0, 2}, {2, 2}};
  ff::map_fold(ff::serial, ff::rescaled<float>{steps, 2}, ff::matrix_view<float const>(x.data(), 1, 4), ff::matrix_view<float>(y.data(), 1, 4), segments);
  CHECK(support::same_bits(y, std::vector<float>{1.0f, 5.0f, -0.0f, 0.1f}));
  std::vector<float> const w{0.5f, 0.5f};
  std::vector<float> two{1.0f, 3.0f, -0.0f, 0.1f, 3.0f, 5.0f, -0.0f, 0.1f};
  ff::map_fold(ff::serial, ff::rescaled_sum<float>{w, steps, 2}, ff::matrix_view<float const>(two.data(), 2, 4), ff::matrix_view<float>(y.data(), 1, 4), segments);
  CHECK(support::same_bits(y, std::vector<float>{3.0f, 7.0f, -0.0f, 0.1f}));
}

TEST_CASE("map_fold: non-finite elements stay in their column and their segment's statistics") {
  std::vector<float> x = noise<float>(600, 5);
  x[10] = std::numeric_limits<float>::quiet_NaN();
  x[300] = std::numeric_limits<float>::infinity();
  std::vector<float> const w{1.0f, 1.0f};
  std::vector<float> y(300);
  double table[6];
  std::vector<ff::element_range> const segments{{0, 100}, {100, 100}, {200, 100}};
  x.resize(600);
  ff::map_fold(ff::serial, ff::weighted_sum{ff::view<float const>(w)}, ff::matrix_view<float const>(x.data(), 2, 300), ff::matrix_view<float>(y.data(), 1, 300),
               segments, ff::measured<ff::shifted_moments>{.inputs = false, .out = {table, 3, 2}});
  for (std::size_t i = 1; i < 300; ++i) CHECK(std::isnan(y[i]) == (i == 10));
  CHECK(std::isinf(y[0]));
  CHECK(std::isnan(table[1]));
  CHECK(table[3] > 0);
  CHECK(table[5] > 0);
}

TEST_CASE("map_fold: errors") {
  std::vector<float> x(20), y(20), w(2);
  ff::weighted_sum<float> const sum{w};
  auto const in = ff::matrix_view<float const>(x.data(), 2, 10);
  auto const call = [&](auto const& out, std::vector<ff::element_range> const& segments) { ff::map_fold(ff::serial, sum, in, out, segments); };
  CHECK_THROWS_WITH_AS(call(ff::matrix_view<float>(y.data(), 2, 10), {}), doctest::Contains("number of output rows"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(ff::matrix_view<float>(y.data(), 1, 9), {}), doctest::Contains("length of the output rows"), ff::argument_error);
  auto const one = ff::matrix_view<float>(y.data(), 1, 10);
  CHECK_THROWS_WITH_AS(call(one, {{5, 5}, {0, 5}}), doctest::Contains("offset of a segment"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(one, {{0, 6}, {5, 5}}), doctest::Contains("offset of a segment"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(one, {{0, 11}}), doctest::Contains("count of a segment"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(one, {{0, -1}}), doctest::Contains("count of a segment"), ff::argument_error);
  CHECK_THROWS_AS(call(one, {{8, std::numeric_limits<std::int64_t>::max()}}), ff::argument_error);
  CHECK_THROWS_WITH_AS(ff::map_fold(ff::serial, ff::copied<float>{}, in, one, std::vector<ff::element_range>{}), doctest::Contains("number of input rows"),
                       ff::argument_error);
  double table[6];
  std::vector<ff::element_range> const all{{0, 10}};
  CHECK_THROWS_WITH_AS(ff::map_fold(ff::serial, sum, in, one, all, ff::measured<ff::shifted_moments>{.out = {table, 1, 2}}), doctest::Contains("columns"),
                       ff::argument_error);
  CHECK_THROWS_WITH_AS(ff::map_fold(ff::serial, sum, in, one, all, ff::measured<ff::shifted_moments>{.out = {table, 0, 6}}), doctest::Contains("rows of"),
                       ff::argument_error);
  std::vector<std::int64_t> const offsets{0, 2};
  std::vector<std::int32_t> const ids{0, 1};
  CHECK_THROWS_WITH_AS(ff::map_fold(ff::serial, sum, ff::row_lists<float const>{in, offsets, ids}, one, all,
                                    ff::measured<ff::shifted_moments>{.out = {table, 1, 6}}),
                       doctest::Contains("row lists"), ff::argument_error);
  CHECK_THROWS_WITH_AS(ff::measure(ff::serial, ff::shifted_moments{}, in, all, {table, 1, 2}), doctest::Contains("rows times segments"), ff::argument_error);
}
