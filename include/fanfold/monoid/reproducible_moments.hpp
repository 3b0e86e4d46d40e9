#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Exact sums of items and of their squares.
struct reproducible_moments_state {
  binned_state<double, all_bins<double>> sum;
  binned_state<double, all_bins<double>> squares;
  bool out_of_range;  // some square is not exact

  template <class Same>
  constexpr bool matches(reproducible_moments_state const& other, Same const& same) const {
    return sum.matches(other.sum, same) && squares.matches(other.squares, same) && out_of_range == other.out_of_range;
  }
};

/// `variance` (of the population) is NaN of no items, and where an item was out of range.
struct reproducible_moments_result {
  std::uint64_t count;
  double mean;
  double variance;
  bool out_of_range;

  FANFOLD_HD constexpr double sample_variance() const {
    double const n = static_cast<double>(count);
    return count < 2 ? math::quiet_nan<double>() : variance * (n / (n - 1.0));
  }

  template <class Same>
  constexpr bool matches(reproducible_moments_result const& other, Same const& same) const {
    return count == other.count && same(mean, other.mean) && same(variance, other.variance) && out_of_range == other.out_of_range;
  }
};

namespace detail {

/// `(n * squares - sum^2) / n^2`, rounded once, from words in units of 2^-1074 each; 0 < n < 2^32.
FANFOLD_HD constexpr double exact_variance(std::uint32_t const* sum, std::uint32_t const* squares, std::uint64_t n) {
  constexpr int size = all_bins<double> + 4;
  constexpr int extra = 4;  // low words, so that the quotient has bits to spare
  constexpr int wide = 2 * size + extra;
  constexpr int shift = 1074 + 32 * extra;  // of n * squares, whose unit is 2^-1074, not 2^-2148
  std::uint32_t word[wide] = {};

  std::uint64_t carry = 0;
  std::uint64_t previous = 0;
  for (int i = 0; i < size || (previous | carry) != 0; ++i) {
    std::uint64_t const digit = (i < size ? n * squares[i] : 0) + carry;
    std::uint64_t const low = digit & 0xffffffffu;
    word[i + shift / 32] = static_cast<std::uint32_t>((low << (shift % 32)) | (previous >> (32 - shift % 32)));
    previous = low;
    carry = digit >> 32;
  }
  for (int i = 0; i < size; ++i) {
    std::uint64_t borrow = 0;  // what this row still takes off the words above
    if (sum[i] == 0) continue;
    for (int j = 0; i + j + extra < wide; ++j) {
      std::uint64_t const take = (j < size ? static_cast<std::uint64_t>(sum[i]) * sum[j] : 0) + borrow;
      std::uint32_t& w = word[i + j + extra];
      auto const off = static_cast<std::uint32_t>(take);
      borrow = (take >> 32) + (w < off ? 1u : 0u);
      w -= off;
    }
  }
  bool rest = false;
  for (int round = 0; round < 2; ++round) {
    std::uint64_t r = 0;
    for (int i = wide - 1; i >= 0; --i) {
      std::uint64_t const d = (r << 32) | word[i];
      word[i] = static_cast<std::uint32_t>(d / n);
      r = d % n;
    }
    rest = rest || r != 0;
  }
  return rounded_words<double>(word, wide, -2148 - 32 * extra, rest);
}

}  // namespace detail

/// Mean and variance with the same bits for every order of the items: exact sums of x and of x^2 (each square split into two doubles), and
/// `(n sum x^2 - (sum x)^2) / n^2` in integers, rounded once. The mean is the correctly rounded sum over n.
///
/// Every item must be 0 or `2^-485 <= |x| < 2^511` (any float is, but infinities and NaN); else `out_of_range` is set. Up to 2^32 - 1 items.
template <class T = double>
struct reproducible_moments {
  using input = T;
  using state = reproducible_moments_state;
  using output = reproducible_moments_result;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;
  static constexpr std::uint64_t max_items = item_limit<exact_sum<double>>;

  FANFOLD_HD constexpr state identity() const { return {exact_sum<double>{}.identity(), exact_sum<double>{}.identity(), false}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& item) const {
    exact_sum<double> const exact;
    double const x = static_cast<double>(to_arithmetic(item));
    exact.absorb(s.sum, x);
    double const size = math::abs(x);
    if (!(size == 0.0 || (size >= 0x1p-485 && size < 0x1p511))) {
      s.out_of_range = true;
      return;
    }
    double const hi = x * x;
    exact.absorb(s.squares, hi);
    if constexpr (std::is_same_v<T, double>) {  // of shorter types the square is exact
      double const c = 134217729.0 * x;
      double const a = c - (c - x);
      double const b = x - a;
      exact.absorb(s.squares, ((a * a - hi) + (2.0 * a) * b) + b * b);
    }
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    exact_sum<double> const exact;
    return {exact.combine(a.sum, b.sum), exact.combine(a.squares, b.squares), a.out_of_range || b.out_of_range};
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    constexpr int K = all_bins<double>;
    output y{s.sum.count, math::quiet_nan<double>(), math::quiet_nan<double>(), s.out_of_range};
    if (y.count == 0) return y;
    y.mean = exact_sum<double>{}.lower(s.sum) / static_cast<double>(y.count);
    if (s.out_of_range) return y;
    std::uint32_t sum[std::size_t{K + 4}] = {};
    std::uint32_t squares[std::size_t{K + 4}] = {};
    detail::bin_words<K>(s.sum.limb, s.sum.top, sum);
    detail::bin_words<K>(s.squares.limb, s.squares.top, squares);
    y.variance = detail::exact_variance(sum, squares, y.count);
    return y;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
