#include "fanfold/kernel/map_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/measure.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;
using ranges = std::vector<ff::element_range>;
using doubles = std::vector<double>;

template <class T>
std::vector<T> numbers(std::int64_t n, std::uint64_t seed) {
  std::vector<T> x;
  for (float v : support::reals(static_cast<std::size_t>(n), seed)) x.push_back(T(v));
  return x;
}

template <class A>
std::vector<A> weights(std::int64_t n) {
  std::vector<A> w;
  for (std::int64_t k = 0; k < n; ++k) w.push_back(A(1) / static_cast<A>(k + 2));
  return w;
}

// k rows of d elements: one matrix, or rows at unrelated addresses that no vector load can take.
template <class T>
struct rows_of {
  std::vector<T> memory;
  std::vector<T const*> table;
  std::int64_t k, d;
  bool odd;

  rows_of(std::int64_t rows, std::int64_t cols, bool scattered) : memory(numbers<T>((rows + 1) * (cols + 1), 3)), k(rows), d(cols), odd(scattered) {
    for (std::int64_t i = 0; i < k; ++i) table.push_back(memory.data() + 1 + i * (d + 1));
  }
  ff::rows_view<T const> view() const {
    if (odd) return {table.data(), k, d};
    return ff::matrix_view<T const>(memory.data(), k, d);
  }
};

// The outputs and the statistics of the host on one side, of emulated devices on the other.
template <class P, class X, class U>
void check_map(P const& policy, X const& inputs, std::int64_t outputs, std::int64_t d, ranges const& segments, U untouched) {
  std::vector<U> expected(static_cast<std::size_t>(outputs * d), untouched), out;
  ff::map_fold(ff::serial, policy, inputs, ff::matrix_view<U>(expected.data(), outputs, d), segments);
  support::for_each_geometry([&](auto const& ex) {
    out.assign(expected.size(), untouched);
    ff::map_fold(ex, policy, inputs, ff::matrix_view<U>(out.data(), outputs, d), segments);
    ff::finish(ex);
    CHECK(support::same_bits(out, expected));
  });
}

template <class P, class X, class U>
void check_measured(P const& policy, X const& inputs, std::int64_t outputs, std::int64_t d, ranges const& segments, U untouched, std::int64_t jobs,
                    std::int64_t measured_inputs, bool measured_outputs = true) {
  std::int64_t const fields = 2 * (measured_inputs + (measured_outputs ? outputs / jobs : 0)), places = jobs * static_cast<std::int64_t>(segments.size());
  std::vector<U> expected(static_cast<std::size_t>(outputs * d), untouched), out;
  doubles expected_table(static_cast<std::size_t>(places * fields), -1.0), table;
  auto const call = [&](auto const& ex, std::vector<U>& to, doubles& sums) {
    ff::measured<ff::shifted_moments> const what{.inputs = measured_inputs > 0, .outputs = measured_outputs, .out = {sums.data(), places, fields}};
    ff::map_fold(ex, policy, inputs, ff::matrix_view<U>(to.data(), outputs, d), segments, what);
  };
  call(ff::serial, expected, expected_table);
  support::for_each_geometry([&](auto const& ex) {
    out.assign(expected.size(), untouched);
    table.assign(expected_table.size(), -1.0);
    call(ex, out, table);
    ff::finish(ex);
    CHECK(support::same_bits(out, expected));
    CHECK(support::same_bits(table, expected_table));
  });
}

// Adam without bias correction: parameter, two states and a gradient to new parameter and states.
struct adam {
  static constexpr int inputs = 4, outputs = 3;
  FANFOLD_HD void operator()(std::int64_t, float const* x, float* y) const {
    y[1] = 0.9f * x[1] + 0.1f * x[3];
    y[2] = 0.99f * x[2] + 0.01f * (x[3] * x[3]);
    y[0] = x[0] - 0.1f * y[1];
  }
};

// Looks a factor up by the element's index: an index outside the segment would be out of bounds.
struct looked_up {
  static constexpr int inputs = 1, outputs = 1;
  ff::view<float const> factor;
  std::int64_t first;
  FANFOLD_HD void operator()(std::int64_t i, float const* x, float* y) const { y[0] = factor[i - first] * x[0]; }
};

// A state of several words, and an order of rows that matters.
struct last_largest {
  struct state {
    double value;
    std::int64_t row, element;
  };
  FANFOLD_HD state lift(std::int64_t k, float x, std::int64_t element) const { return {static_cast<double>(x), k, element}; }
  FANFOLD_HD state combine(state a, state b) const { return a.value > b.value ? a : b; }
  FANFOLD_HD float lower(state s) const { return static_cast<float>(s.value + 10 * static_cast<double>(s.row) + 0.5 * static_cast<double>(s.element)); }
};

}  // namespace

TEST_CASE("map_fold on a device: the host's bits for every length, with and without vector loads") {
  for (std::int64_t k : {0, 1, 3, 33})
    for (std::int64_t d : {0, 1, 3, 4, 31, 127, 128, 129, 700})
      for (bool odd : {false, true}) {
        CAPTURE(k);
        CAPTURE(d);
        CAPTURE(odd);
        rows_of<float> const x(k, d, odd);
        auto const w = weights<float>(k);
        check_map(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, d, {{0, d}}, 7.0f);
      }
}

TEST_CASE_TEMPLATE("map_fold on a device: storage types", T, double, ff::float16, ff::bfloat16) {
  using A = ff::arithmetic_t<T>;
  for (bool odd : {false, true}) {
    rows_of<T> const x(5, 1000, odd);
    auto const w = weights<A>(5);
    ranges const segments{{3, 190}, {200, 8}, {301, 699}};
    check_map(ff::weighted_sum{ff::view<A const>(w)}, x.view(), 1, 1000, segments, T(7.0f));
    check_measured(ff::weighted_sum{ff::view<A const>(w)}, x.view(), 1, 1000, segments, A(7), 1, 5);
  }
}

TEST_CASE("map_fold on a device: many rows join by the ordered tree") {
  for (std::int64_t k : {64, 65, 300, 2048, 2049, 2500}) {
    CAPTURE(k);
    std::int64_t const d = k > 1000 ? 9 : 40;
    rows_of<float> const x(k, d, k % 2 == 1);
    auto const w = weights<float>(k);
    check_map(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, d, {{0, 2}, {3, d - 3}}, 7.0f);
    check_map(last_largest{}, x.view(), 1, d, {{1, d - 1}}, 7.0f);
    if (k == 300 || k == 2500) check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, d, {{0, 2}, {3, d - 3}}, 7.0f, 1, 0);
  }
}

TEST_CASE("map_fold on a device: segments, statistics of inputs and outputs") {
  ranges const segments{{0, 1}, {1, 0}, {3, 64}, {70, 2047}, {2117, 2048}, {4165, 4700}, {8900, 100}};
  for (std::int64_t k : {1, 3})
    for (bool odd : {false, true}) {
      rows_of<float> const x(k, 9000, odd);
      auto const w = weights<float>(k);
      check_map(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 9000, segments, 7.0f);
      check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 9000, segments, 7.0f, 1, k);
    }
  rows_of<float> const x(2, 3000, false);
  auto const w = weights<float>(2);
  check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 3000, segments.size() > 3 ? ranges{{4, 2990}} : segments, 7.0f, 1, 0);
  check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 3000, {{4, 2990}}, 7.0f, 1, 2, false);
  ranges many;
  for (std::int64_t s = 0; s < 300; ++s) many.push_back({s * 9, s % 10});
  check_map(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 3000, many, 7.0f);
  check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 3000, many, 7.0f, 1, 2);
}

TEST_CASE("map_fold on a device: row lists") {
  rows_of<float> const x(5, 2500, false);
  std::vector<std::int64_t> const offsets{0, 2, 2, 7, 47};
  std::vector<std::int32_t> ids{4, 0, 0, 1, 2, 3, 4};
  for (int i = 0; i < 40; ++i) ids.push_back(i % 5);
  auto const w = weights<float>(47);
  ff::row_lists<float const> const lists{x.view(), offsets, ids};
  ranges const segments{{0, 2100}, {2101, 399}};
  check_map(ff::weighted_sum{ff::view<float const>(w)}, lists, 4, 2500, segments, 7.0f);
  check_measured(ff::weighted_sum{ff::view<float const>(w)}, lists, 4, 2500, segments, 7.0f, 4, 0);
  // short and long lists in one call
  std::vector<std::int64_t> const mixed{0, 2049, 2051, 4100, 4100};
  std::vector<std::int32_t> long_ids;
  for (int i = 0; i < 4100; ++i) long_ids.push_back(i * 7 % 5);
  auto const long_weights = weights<float>(4100);
  rows_of<float> const few(5, 6, false);
  check_map(ff::weighted_sum{ff::view<float const>(long_weights)}, ff::row_lists<float const>{few.view(), mixed, long_ids}, 4, 6, {{0, 6}}, 7.0f);
  check_measured(ff::weighted_sum{ff::view<float const>(long_weights)}, ff::row_lists<float const>{few.view(), mixed, long_ids}, 4, 6, {{1, 5}}, 7.0f, 4, 0);
}

TEST_CASE("map_fold on a device: several outputs, updated in place") {
  std::int64_t const d = 2600;
  auto const start = numbers<float>(3 * d, 1), gradient = numbers<float>(d, 2);
  ranges const segments{{2, 2200}, {2300, 300}};
  auto const call = [&](auto const& ex, std::vector<float>& s, doubles& table) {
    float const* rows[4] = {s.data(), s.data() + d, s.data() + 2 * d, gradient.data()};
    ff::map_fold(ex, adam{}, ff::rows_view<float const>(rows, 4, d), ff::matrix_view<float>(s.data(), 3, d), segments,
                 ff::measured<ff::shifted_moments>{.out = {table.data(), 2, 14}});
    ff::map_fold(ex, adam{}, ff::rows_view<float const>(rows, 4, d), ff::matrix_view<float>(s.data(), 3, d), segments);
  };
  auto expected = start;
  doubles expected_table(28);
  call(ff::serial, expected, expected_table);
  support::for_each_geometry([&](auto const& ex) {
    auto s = start;
    doubles table(28);
    call(ex, s, table);
    CHECK(support::same_bits(s, expected));
    CHECK(support::same_bits(table, expected_table));
  });
}

TEST_CASE("map_fold on a device: policies of a segment, and elements' numbers") {
  rows_of<float> const x(2, 300, false);
  auto const factor = numbers<float>(201, 9);
  check_map(looked_up{factor, 50}, ff::matrix_view<float const>(x.memory.data(), 1, 300), 1, 300, {{50, 3}, {53, 198}}, 7.0f);
  check_measured(looked_up{factor, 50}, ff::matrix_view<float const>(x.memory.data(), 1, 300), 1, 300, {{50, 3}, {53, 198}}, 7.0f, 1, 1);
  std::vector<ff::affine_step<float>> const steps{{1.0f, 2.0f}, {5.0f, 3.0f, false}};
  auto const w = weights<float>(2);
  ranges const segments{{0, 100}, {101, 150}};
  check_map(ff::rescaled_sum<float>{w, steps, 2}, x.view(), 1, 300, segments, 7.0f);
  check_map(ff::rescaled<float>{steps, 2}, ff::matrix_view<float const>(x.memory.data(), 1, 300), 1, 300, segments, 7.0f);
  check_map(ff::copied<float>{}, ff::matrix_view<float const>(x.memory.data(), 1, 300), 1, 300, segments, ff::bfloat16(7.0f));
}

TEST_CASE("map_fold on a device: non-finite elements stay in their column and their segment's statistics") {
  rows_of<float> x(2, 600, false);
  x.memory[10] = -std::numeric_limits<float>::quiet_NaN();
  x.memory[300] = std::numeric_limits<float>::infinity();
  auto const w = weights<float>(2);
  check_measured(ff::weighted_sum{ff::view<float const>(w)}, x.view(), 1, 600, {{0, 200}, {200, 200}, {400, 200}}, 7.0f, 1, 2);
}

TEST_CASE("measure on a device: the host's bits") {
  for (bool odd : {false, true}) {
    rows_of<float> const x(3, 9000, odd);
    ranges const segments{{0, 1}, {1, 0}, {3, 64}, {70, 2047}, {2120, 6880}};
    doubles expected(30), table;
    ff::measure(ff::serial, ff::shifted_moments{}, x.view(), segments, {expected.data(), 15, 2});
    support::for_each_geometry([&](auto const& ex) {
      table.assign(30, -1.0);
      ff::measure(ex, ff::shifted_moments{}, x.view(), segments, {table.data(), 15, 2});
      CHECK(support::same_bits(table, expected));
    });
  }
}

TEST_CASE("measure on a device: the pairs of long segments") {
  using sums = ff::detail::statistic_sums<ff::shifted_moments>;
  for (std::int64_t tiles : {1, 2, 31, 32, 33, 257, 1025, 9001}) {
    CAPTURE(tiles);
    std::int64_t const count = (tiles - 1) * 2048 + 77;
    auto const values = numbers<double>(2 * tiles, 5);
    doubles host = values, expected(2), out(2);
    ff::detail::finish_statistic(ff::shifted_moments{}, host.data(), 2, count, 0.25, expected.data());
    ff::device_segment const segment{0, count, 0};
    float const pivot = 0.25f;
    support::for_each_geometry([&](auto const& ex) {
      std::vector<sums> device;
      for (std::int64_t t = 0; t < tiles; ++t) device.push_back({{values[static_cast<std::size_t>(2 * t)], values[static_cast<std::size_t>(2 * t + 1)]}});
      ff::detail::launch_finish(ex, ff::shifted_moments{}, ff::device_segments{&segment, 1, tiles}, 1, device.data(), &pivot, ff::matrix_view<double>(out.data(), 1, 2));
      CHECK(support::same_bits(out, expected));
    });
  }
}

TEST_CASE("map_fold on a device: faults in lists are noted and nothing foreign is read") {
  std::vector<float> const x(64, 1.0f), w(8, 1.0f);
  std::vector<float> y(64);
  ff::workspace ws;
  ff::emulate::executor const ex(ws);
  auto const call = [&](auto const& policy, std::vector<std::int64_t> const& offsets, std::vector<std::int32_t> const& ids) {
    ff::map_fold(ex, policy, ff::row_lists<float const>{ff::matrix_view<float const>(x.data(), 2, 32), offsets, ids}, ff::matrix_view<float>(y.data(), 2, 32),
                 ranges{{0, 32}});
    ff::finish(ex);
  };
  ff::weighted_sum<float> const sum{w};
  call(sum, {0, 1, 2}, {0, 1});
  CHECK(y[63] == 1.0f);
  CHECK_THROWS_WITH_AS(call(sum, {0, 1, 2}, {0, 2}), doctest::Contains("an id is out of range"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(sum, {0, 1, 2}, {-1, 1}), doctest::Contains("an id is out of range"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(sum, {0, 3, 2}, {0, 1}), doctest::Contains("offsets do not ascend"), ff::argument_error);
  CHECK_THROWS_WITH_AS(call(ff::copied<float>{}, {0, 2, 2}, {0, 1}), doctest::Contains("invalid data"), ff::argument_error);
}

TEST_CASE("map_fold on a device: little traffic beside the rows") {
  CHECK(ff::map_fold_traffic<float, float>(9, 1, 1000000) == 40000000);
  CHECK(ff::map_fold_traffic<ff::bfloat16, float>(9, 1, 1000000, 9) == 40000000);
  CHECK(ff::measure_traffic<ff::shifted_moments, float>(8, 1000000, 10) < 8 * 4000000 + 8 * 4000000 / 100);
}
