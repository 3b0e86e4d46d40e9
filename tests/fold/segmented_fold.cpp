#include "fanfold/fold/segmented_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using support::same_bits;

// Segments of lengths around the run boundary, empty ones among them.
std::vector<std::int64_t> offsets_of(std::vector<std::int64_t> const& lengths) {
  std::vector<std::int64_t> offsets{0};
  for (std::int64_t n : lengths) offsets.push_back(offsets.back() + n);
  return offsets;
}
std::vector<std::int64_t> const lengths{0, 1, 2, 31, 0, 32, 33, 64, 65, 0, 0, 1000, 7, 2048, 2081, 3, 0};

// One column: runs side by side as lanes (extrema, log-sum-exp) or chains (sums), and what is left over.
template <class A>
void check_single_column(A const& a) {
  auto const offsets = offsets_of({3, 32, 33, 64, 65, 255, 256, 257, 511, 512, 513, 1100, 0, 1, 5000});
  auto const x = support::reals(static_cast<std::size_t>(offsets.back()), 12);
  std::vector<float> out(offsets.size() - 1), expected;
  for (std::size_t s = 0; s + 1 < offsets.size(); ++s) {
    std::vector<float> const items(x.begin() + offsets[s], x.begin() + offsets[s + 1]);
    expected.push_back(items.empty() ? fanfold::empty_answer(a) : a.lower(reference::ordered(a, reference::lifted(a, items))));
  }
  fanfold::segmented_fold(a, x, offsets, out);
  CHECK(same_bits(out, expected));
}

}  // namespace

TEST_CASE("each segment is the ordered tree of its own rows at every width, on every executor") {
  auto const offsets = offsets_of(lengths);
  auto const rows = offsets.back();
  auto const segments = static_cast<std::int64_t>(lengths.size());
  support::float_sum const m;
  for (std::int64_t width : {1, 2, 3, 8, 15, 16, 17, 63, 64, 65, 100}) {
    CAPTURE(width);
    auto const data = support::reals(static_cast<std::size_t>(rows * width), static_cast<std::uint64_t>(width));
    fanfold::matrix_view<float const> const x(data.data(), rows, width);
    std::vector<float> expected(static_cast<std::size_t>(segments * width), 0.0f);
    for (std::int64_t s = 0; s < segments; ++s)
      for (std::int64_t c = 0; c < width; ++c) {
        std::vector<float> column;
        for (std::int64_t r = offsets[static_cast<std::size_t>(s)]; r < offsets[static_cast<std::size_t>(s + 1)]; ++r) column.push_back(x(r, c));
        if (!column.empty()) expected[static_cast<std::size_t>(s * width + c)] = reference::ordered(m, column);
      }
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      std::vector<float> out(expected.size(), 9.0f);
      fanfold::segmented_fold(ex, m, x, offsets, fanfold::matrix_view<float>(out.data(), segments, width));
      CHECK(same_bits(out, expected));
      if (width == 1) {
        std::vector<float> stream(expected.size(), 9.0f);
        fanfold::segmented_fold(ex, m, data, offsets, stream);
        CHECK(same_bits(stream, expected));
      }
    });
  }
}

TEST_CASE("a long segment that threads share has the bits of one thread") {
  for (std::int64_t width : {1, 3, 16, 83}) {
    CAPTURE(width);
    auto const offsets = offsets_of(width < 16 ? std::vector<std::int64_t>{5, 65536 * 4 + 777, 0, 31} : std::vector<std::int64_t>{40, 4097, 9000});
    auto const segments = static_cast<std::int64_t>(offsets.size()) - 1;
    auto const data = support::reals(static_cast<std::size_t>(offsets.back() * width), 8);
    fanfold::matrix_view<float const> const x(data.data(), offsets.back(), width);
    auto const run = [&](auto const& a, auto const& ex) {
      std::vector<float> out(static_cast<std::size_t>(segments * width));
      fanfold::segmented_fold(ex, a, x, offsets, fanfold::matrix_view<float>(out.data(), segments, width));
      return out;
    };
    std::vector<float> column;
    for (std::int64_t r = offsets[1]; r < offsets[2]; ++r) column.push_back(x(r, width - 1));
    auto const sums = run(support::float_sum{}, fanfold::serial);
    CHECK(same_bits(sums[static_cast<std::size_t>(2 * width - 1)], reference::ordered(support::float_sum{}, column)));
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      CHECK(same_bits(run(support::float_sum{}, ex), sums));
      CHECK(same_bits(run(fanfold::plus<float>{}, ex), sums));
      CHECK(same_bits(run(fanfold::maximum<float>{}, ex), run(fanfold::maximum<float>{}, fanfold::serial)));
    });
  }
}

TEST_CASE("a single column by runs side by side") {
  check_single_column(fanfold::plus<float>{});
  check_single_column(fanfold::minimum<float>{});
  check_single_column(fanfold::log_sum_exp<float>{});
  check_single_column(fanfold::product<float>{});
}

TEST_CASE("empty segments follow the policy") {
  std::vector<std::int64_t> const offsets{0, 2, 2, 3};
  std::vector<float> const x{1, 2, 4};
  support::float_sum const m;
  std::vector<float> out(3, 9.0f);
  fanfold::segmented_fold(m, x, offsets, out);
  CHECK(out == std::vector<float>{3, 0, 4});
  fanfold::segmented_fold(m, x, offsets, out, fanfold::empty_policy::value{5.0f});
  CHECK(out == std::vector<float>{3, 5, 4});
  out[1] = 8;
  fanfold::segmented_fold(m, x, offsets, out, fanfold::order::fixed, fanfold::empty_policy::skip);
  CHECK(out == std::vector<float>{3, 8, 4});
}

TEST_CASE("strided rows, storage types and non-commutative carriers") {
  std::vector<fanfold::bfloat16> x(6 * 10);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = fanfold::from_arithmetic<fanfold::bfloat16>(static_cast<float>(i % 7));
  std::vector<std::int64_t> const offsets{1, 3, 6};
  std::vector<float> out(2 * 4, -1.0f);
  fanfold::segmented_fold(support::float_sum{}, fanfold::matrix_view<fanfold::bfloat16>(x.data(), 6, 3, 10), offsets,
                          fanfold::matrix_view<float>(out.data(), 2, 3, 4));
  auto const at = [&](int r, int c) { return static_cast<float>((r * 10 + c) % 7); };
  for (int c = 0; c < 3; ++c) {
    CHECK(out[static_cast<std::size_t>(c)] == at(1, c) + at(2, c));
    CHECK(out[static_cast<std::size_t>(4 + c)] == at(3, c) + at(4, c) + at(5, c));
  }
  CHECK(out[3] == -1.0f);

  std::vector<support::affine::state> maps(500);
  support::lcg g(2);
  for (auto& v : maps) v = {g.below(20), g.below(20)};
  std::vector<support::affine::state> answers(2);
  fanfold::segmented_fold(support::affine{}, maps, std::vector<std::int64_t>{0, 100, 500}, answers);
  support::affine const m;
  auto left = m.identity(), right = m.identity();
  for (std::size_t i = 0; i < 100; ++i) left = m.combine(left, maps[i]);
  for (std::size_t i = 100; i < 500; ++i) right = m.combine(right, maps[i]);
  CHECK(answers[0] == left);
  CHECK(answers[1] == right);
}

TEST_CASE("errors come before any write") {
  support::float_sum const m;
  std::vector<float> const x{1, 2, 3};
  std::vector<float> out(2, 9.0f);
  using offsets = std::vector<std::int64_t>;
  CHECK_THROWS_WITH_AS(fanfold::segmented_fold(m, x, offsets{0, 1, 2, 3}, out), doctest::Contains("out.rows()"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::segmented_fold(m, x, offsets{0, 2, 1}, out), doctest::Contains("falling"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(fanfold::segmented_fold(m, x, offsets{0, 2, 4}, out), doctest::Contains("last offset"), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::segmented_fold(m, x, offsets{-1, 2, 3}, out), fanfold::argument_error);
  CHECK(out == std::vector<float>{9, 9});
  std::vector<float> none;
  fanfold::segmented_fold(m, x, offsets{0}, none);
  fanfold::segmented_fold(m, x, offsets{}, none);
}
