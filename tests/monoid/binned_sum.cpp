#include "fanfold/monoid/binned_sum.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/testing/nasty.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using support::same_bits;

template <class M>
auto fold_state(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return s;
}
template <class M>
auto sum_of(std::vector<typename M::input> const& x) {
  return M{}.lower(fold_state(M{}, x));
}

template <class S>
std::vector<std::int64_t> limbs(S const& s) {
  return std::vector<std::int64_t>(s.limb, s.limb + sizeof(s.limb) / sizeof(s.limb[0]));
}

/// A block fold gives the state of the item-by-item fold, whatever surrounds the blocks.
template <class M>
void blocks_agree() {
  using T = typename M::input;
  M const m;
  testing::nasty_values<T> const values;
  for (int kind = 0; kind < values.kinds(); ++kind) {
    std::vector<T> x = values(kind, 3 * 2048 + 77, 5);
    if (kind == 0) x[2048 + 1000] = static_cast<T>(1e20);  // raises the top within a block
    auto expected = m.identity();
    for (T const v : x) m.absorb(expected, v);
    CHECK(m.fold_block(view<T const>(x)).matches(expected, 0));
    auto s = m.lift(T(3));
    auto e = m.combine(m.lift(T(3)), expected);
    m.absorb(s, view<T const>(x));
    CHECK(s.matches(e, 0));
  }
}

float const fmax_value = std::numeric_limits<float>::max();
double const dmax = std::numeric_limits<double>::max();
double const inf = std::numeric_limits<double>::infinity();

}  // namespace

TEST_CASE("binned_sum: worked example in float, K = 2") {
  std::vector<float> const x{1e8f, 1.0f, -1e8f, 1.5f, 0x1p-20f};
  binned_sum<float, 2> const m;
  int const tops[] = {5, 4, 5, 4, 4};
  std::vector<std::int64_t> const digits[] = {{48828, 536870912}, {0, 2097152}, {-48828, -536870912}, {0, 3145728}, {0, 2}};
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(m.lift(x[i]).top == tops[i]);
    auto state = m.combine(m.lift(1e8f), m.lift(x[i]));  // seen from bin 5
    auto const base = m.lift(1e8f);
    CHECK(std::vector<std::int64_t>{state.limb[0] - base.limb[0], state.limb[1] - base.limb[1]} == digits[i]);
  }
  auto const s = fold_state(m, x);
  CHECK(s.top == 5);
  CHECK(limbs(s) == std::vector<std::int64_t>{0, 5242882});
  CHECK(static_cast<double>(m.lower(s)) == 2.5000009536743164);
  auto const tenths = fold_state(m, std::vector<float>(10, 0.1f));
  CHECK(tenths.top == 4);
  CHECK(limbs(tenths) == std::vector<std::int64_t>{2097150, 8724152320});
  CHECK(m.lower(tenths) == 1.0f);
}

TEST_CASE("binned_sum: worked examples in double, K = 3 and all") {
  binned_sum<double, 3> const m;
  auto const s = fold_state(m, {dmax, dmax, -dmax});
  CHECK(s.top == 65);
  CHECK(limbs(s) == std::vector<std::int64_t>{262144, 0, -536870912});
  CHECK(m.lower(s) == dmax);
  CHECK(sum_of<binned_sum<double, 3>>({dmax, dmax}) == inf);
  auto const d = fold_state(m, {0.1, 0.2, 0.3});
  CHECK(d.top == 33);
  CHECK(limbs(d) == std::vector<std::int64_t>{157286, 1717986918, 1744830464});
  CHECK(m.lower(d) == 0.6);
  double const tiny = std::numeric_limits<double>::denorm_min();
  CHECK(sum_of<binned_sum<double, 3>>({1e300, 1.0, -1e300, tiny}) == 0.0);
  CHECK(sum_of<exact_sum<double>>({1e300, 1.0, -1e300, tiny}) == 1.0);
  CHECK(sum_of<exact_sum<double>>({tiny, tiny}) == 2 * tiny);
}

TEST_CASE("binned_sum: the balanced choice of the top bin makes every order agree (K = 2)") {
  float const x[3] = {1536.0f, 0x1p44f, -0x1p44f};
  int const orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  binned_sum<float, 2> const m;
  for (auto const& order : orders) {
    auto const s = fold_state(m, {x[order[0]], x[order[1]], x[order[2]]});
    CHECK(s.top == 6);
    CHECK(limbs(s) == std::vector<std::int64_t>{0, 1});
    CHECK(m.lower(s) == 2048.0f);
  }
}

TEST_CASE("binned_sum: zeros, infinities, NaN") {
  using sum = binned_sum<double>;
  CHECK(same_bits(sum_of<sum>({}), 0.0));
  CHECK(same_bits(sum_of<sum>({-0.0, -0.0}), -0.0));
  CHECK(same_bits(sum_of<sum>({0.0, -0.0}), 0.0));
  CHECK(same_bits(sum_of<sum>({1.0, -1.0}), 0.0));
  CHECK(sum_of<sum>({inf, 1.0}) == inf);
  CHECK(sum_of<sum>({-inf, dmax}) == -inf);
  CHECK(std::isnan(sum_of<sum>({inf, -inf})));
  CHECK(std::isnan(sum_of<sum>({1.0, std::nan("")})));
  CHECK(sum_of<binned_sum<float>>({fmax_value, fmax_value}) == std::numeric_limits<float>::infinity());
  CHECK(sum_of<binned_sum<float>>({-fmax_value, -fmax_value, fmax_value}) == -fmax_value);
}

TEST_CASE("binned_sum: blocks give the state of single items") {
  blocks_agree<binned_sum<float, 2>>();
  blocks_agree<binned_sum<float, 3>>();
  blocks_agree<binned_sum<double, 3>>();
  blocks_agree<binned_sum<double, 2>>();
  blocks_agree<exact_sum<float>>();
}

TEST_CASE("binned_sum: correctly rounded with all bins") {
  // integers of up to 2^60 are exact in __int128, which rounds once to double
  testing::word_stream words(9);
  for (int round = 0; round < 200; ++round) {
    std::vector<double> x;
    int128 exact = 0;
    for (int i = 0; i < 50; ++i) {
      auto const mantissa = static_cast<std::int64_t>(words.next() >> 11) - (std::int64_t{1} << 52);
      int const shift = static_cast<int>(words.below(60));
      x.push_back(std::ldexp(static_cast<double>(mantissa), shift));
      exact += static_cast<int128>(mantissa) * (static_cast<int128>(1) << shift);
    }
    CHECK(sum_of<exact_sum<double>>(x) == static_cast<double>(exact));
  }
  // subnormal results, ties to even, floats against double
  CHECK(sum_of<exact_sum<float>>({0x1p-149f, -0x1p-148f}) == -0x1p-149f);
  CHECK(sum_of<exact_sum<float>>({1.0f, 0x1p-24f}) == 1.0f);
  CHECK(sum_of<exact_sum<float>>({1.0f, 0x1p-24f, 0x1p-149f}) == 1.0f + 0x1p-23f);
  CHECK(sum_of<exact_sum<float>>({1.0f + 0x1p-23f, 0x1p-24f}) == 1.0f + 0x1p-22f);
  CHECK(sum_of<exact_sum<float>>({fmax_value, 0x1p103f}) == std::numeric_limits<float>::infinity());
  CHECK(sum_of<exact_sum<float>>({fmax_value, 0x1.fffffep102f}) == fmax_value);
}

TEST_CASE("binned_sum: rounding in registers and rounding by words agree") {
  testing::word_stream words(21);
  auto const compare = [&]<class T, int K>(T, std::integral_constant<int, K>) {
    for (int round = 0; round < 20000; ++round) {
      int const top = static_cast<int>(words.below(all_bins<T>));
      std::int64_t limb[std::size_t{K}];
      for (int i = 0; i < K; ++i) {
        bool const empty = i > top || words.below(4) == 0;
        limb[i] = empty ? 0 : static_cast<std::int64_t>(words.next()) >> words.below(63);  // of any length
      }
      std::uint32_t word[std::size_t{K + 4}] = {};
      bool const negative = detail::bin_words<K>(limb, top, word);
      T const magnitude = detail::rounded_words<T>(word, K + 4, 32 * std::max(top - K + 1, 0) + detail::bins<T>::e0);
      if (!same_bits(detail::rounded_bins<T, K>(limb, top), negative ? -magnitude : magnitude)) {
        CAPTURE(top);
        CAPTURE(std::vector<std::int64_t>(limb, limb + K));
        CHECK(detail::rounded_bins<T, K>(limb, top) == (negative ? -magnitude : magnitude));
        return;
      }
    }
    CHECK(true);
  };
  compare(0.0f, std::integral_constant<int, 1>{});
  compare(0.0f, std::integral_constant<int, 2>{});
  compare(0.0f, std::integral_constant<int, 3>{});
  compare(0.0f, std::integral_constant<int, 9>{});
  compare(0.0, std::integral_constant<int, 2>{});
  compare(0.0, std::integral_constant<int, 3>{});
  compare(0.0, std::integral_constant<int, 8>{});
}

TEST_CASE("binned_sum: within its bound") {
  testing::nasty_values<float> const values{false, false};
  for (int kind = 0; kind < values.kinds(); ++kind) {
    auto const x = values(kind, 3000, 4);
    double exact = 0.0, largest = 0.0;
    std::vector<double> wide(x.begin(), x.end());
    exact = sum_of<exact_sum<double>>(wide);
    for (double const v : wide) largest = std::fmax(largest, std::abs(v));
    double const got = static_cast<double>(sum_of<binned_sum<float, 2>>(x));
    CHECK(std::abs(got - exact) <= 3000 * 0x1p-32 * largest + 0x1p-24 * std::abs(got));
  }
}

TEST_CASE("binned_sum: a window slides over the exact sum") {
  exact_sum<float> const m;
  auto const s = m.subtract(fold_state(m, {1536.0f, 0x1p44f, std::numeric_limits<float>::infinity()}),
                            fold_state(m, {0x1p44f, std::numeric_limits<float>::infinity()}));
  CHECK(m.lower(s) == 1536.0f);
}

TEST_CASE("binned_sum: storage types, wide limbs, too many items") {
  CHECK(sum_of<binned_sum<bfloat16>>({bfloat16(1.5f), bfloat16(2.5f)}) == 4.0f);
  using wide = binned_sum<double, 3, int128>;
  CHECK(sum_of<wide>({1e300, 1.0, -1e300, 2.5, -7.0}) == sum_of<binned_sum<double, 3>>({1e300, 1.0, -1e300, 2.5, -7.0}));
  CHECK(sum_of<wide>({-0.1, -0.2}) == sum_of<binned_sum<double, 3>>({-0.1, -0.2}));
  auto s = binned_sum<float>{}.identity();
  s.count = std::uint64_t{1} << 32;
  CHECK_THROWS_WITH_AS(static_cast<void>(binned_sum<float>{}.lower(s)), doctest::Contains("128-bit limb"), argument_error);
}

TEST_CASE("binned_sum: heavy-tailed doubles, shuffled and cut, keep their bits") {
  auto x = testing::nasty_values<double>{false, false}(6, 1 << 17, 8);
  binned_sum<double, 2> const m;
  auto const expected = m.fold_block(view<double const>(x));
  testing::word_stream words(3);
  for (std::size_t k = x.size(); k > 1; --k) std::swap(x[k - 1], x[static_cast<std::size_t>(words.below(static_cast<std::int64_t>(k)))]);
  auto s = m.identity();
  for (std::int64_t begin = 0; begin < static_cast<std::int64_t>(x.size());) {
    std::int64_t n = 1 + words.below(9000);
    if (begin + n > static_cast<std::int64_t>(x.size())) n = static_cast<std::int64_t>(x.size()) - begin;
    s = m.combine(m.fold_block(view<double const>(x).subview(begin, n)), s);
    begin += n;
  }
  CHECK(s.matches(expected, 0));
}
