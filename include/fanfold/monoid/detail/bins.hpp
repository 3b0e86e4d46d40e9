#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// 128-bit limb for binned sums of 2^32 items and more.
__extension__ typedef __int128 int128;

namespace detail {

/// The absolute bins of T: bin j has unit weight 2^(e0 + 32 j). An item x goes into the bins from top(x) down, where |x| < 2^31 units of
/// bin top(x): the balanced choice, with which a digit depends on nothing but its item.
template <class T>
struct bins {
  using bits = typename ieee<T>::bits;
  static constexpr int count = sizeof(T) == 4 ? 9 : 66;
  static constexpr int e0 = sizeof(T) == 4 ? -149 : -1074;
  static constexpr int digits = sizeof(T) == 4 ? 2 : 3;  // that one item can have

  FANFOLD_HD static constexpr int top_of_magnitude(bits magnitude) {
    int const exponent = static_cast<int>(magnitude >> ieee<T>::mantissa_bits);
    int const width = static_cast<int>(sizeof(T)) * 8 - math::leading_zeros(magnitude);
    return (exponent == 0 ? width : exponent + ieee<T>::mantissa_bits) >> 5;
  }
  FANFOLD_HD static constexpr int top(T x) { return top_of_magnitude(math::bits_of(x) & static_cast<bits>(~ieee<T>::sign)); }

  FANFOLD_HD static constexpr double power_of_two(int e) { return math::from_bits(static_cast<std::uint64_t>(e + 1023) << 52); }

  /// x in units of bin `top`; in two steps where the factor is too large for a double.
  FANFOLD_HD static constexpr double scaled(T x, int top) {
    int e = -(e0 + 32 * top);
    double s = static_cast<double>(x);
    if (e > 1000) {
      s *= 0x1p600;
      e -= 600;
    }
    return s * power_of_two(e);
  }

  /// Whether 1.5 * 2^52 units of each of the K bins from `top` down is a normal number, so that adding it rounds to whole units.
  static constexpr bool direct(int top, int k) { return sizeof(T) == 4 || (top <= 63 && top - k + 1 >= 0); }
  static constexpr double rounder(int bin) { return 1.5 * power_of_two(52 + e0 + 32 * bin); }
};

/// Digits of a scaled item, from its top bin down: each the nearest integer (ties to even), the rest carried to the next bin. Exact.
struct scaled_digits {
  double rest;

  FANFOLD_HD constexpr explicit scaled_digits(double s) : rest(s) {}
  FANFOLD_HD constexpr std::int64_t next() {
    constexpr double rounder = 0x1.8p52;
    double const q = (rest + rounder) - rounder;
    rest = (rest - q) * 0x1p32;
    return static_cast<std::int64_t>(q);
  }
};

/// What the digits do not show: NaN, infinities, and whether some item was not -0. As flags, or as counts, which can be taken back.
template <bool Counted>
struct item_marks {
  using field = std::conditional_t<Counted, std::uint64_t, bool>;
  field seen[4];

  FANFOLD_HD constexpr bool nan() const { return seen[0] != 0; }
  FANFOLD_HD constexpr bool positive_infinity() const { return seen[1] != 0; }
  FANFOLD_HD constexpr bool negative_infinity() const { return seen[2] != 0; }
  FANFOLD_HD constexpr bool other() const { return seen[3] != 0; }

  template <class T>
  FANFOLD_HD constexpr void note(T x) {
    if (math::bits_of(x) == ieee<T>::sign) return;
    mark(3);
    if (is_finite(x)) return;
    if (x != x)
      mark(0);
    else if (x > T(0))
      mark(1);
    else
      mark(2);
  }
  FANFOLD_HD constexpr void note_other() { mark(3); }
  FANFOLD_HD constexpr void add(item_marks const& b) {
    for (int i = 0; i < 4; ++i) seen[i] = static_cast<field>(Counted ? seen[i] + b.seen[i] : seen[i] | b.seen[i]);
  }
  FANFOLD_HD constexpr void remove(item_marks const& b) {
    for (int i = 0; i < 4; ++i) seen[i] = static_cast<field>(seen[i] - b.seen[i]);
  }
  bool operator==(item_marks const&) const = default;

 private:
  FANFOLD_HD constexpr void mark(int i) { seen[i] = static_cast<field>(Counted ? seen[i] + 1 : 1); }
};

/// word[0 .. n) as an integer times 2^unit, rounded once to T, ties to even; `below`: something nonzero lies under it.
template <class T>
FANFOLD_HD constexpr T rounded_words(std::uint32_t const* word, int n, int unit, bool below = false) {
  using bits = typename ieee<T>::bits;
  constexpr int precision = ieee<T>::mantissa_bits + 1;
  int high = n - 1;
  while (high >= 0 && word[high] == 0) --high;
  if (high < 0) return T(0);
  auto const bit = [&](int i) { return i < 0 ? 0u : (word[i / 32] >> (i % 32)) & 1u; };
  int const lead = 32 * high + 31 - math::leading_zeros(word[high]);
  int const place = lead + unit - bins<T>::e0;  // counted from the unit of the subnormals
  int const first = place < precision ? bins<T>::e0 - unit : lead - precision + 1;  // lowest bit that is kept
  bits magnitude = 0;
  if (first < 0) {
    magnitude = static_cast<bits>(word[0] | static_cast<std::uint64_t>(word[1]) << 32) << -first;  // lead - first < 64
  } else if (first <= lead) {
    auto const word_at = [&](int i) { return i <= high ? static_cast<std::uint64_t>(word[i]) : std::uint64_t{0}; };
    int const at = first / 32, by = first % 32;
    std::uint64_t window = (word_at(at) | word_at(at + 1) << 32) >> by;
    if (by != 0) window |= word_at(at + 2) << (64 - by);
    magnitude = static_cast<bits>(window);
  }
  // the leading bit and a carry out of the fraction move into the exponent
  if (place >= precision) magnitude = static_cast<bits>((static_cast<bits>(place - precision + 1) << ieee<T>::mantissa_bits) + magnitude);
  bool sticky = below;
  for (int i = 0; i <= high && 32 * i < first - 1 && !sticky; ++i) {
    int const lower = first - 1 - 32 * i;  // bits of this word below the rounding bit
    sticky = (lower >= 32 ? word[i] : word[i] & ((1u << lower) - 1u)) != 0;
  }
  bool const half = first - 1 <= lead && bit(first - 1) != 0;
  if (half && (sticky || (magnitude & 1u) != 0)) ++magnitude;
  if (place - precision + 1 > 2 * ieee<T>::bias || magnitude > ieee<T>::infinity) magnitude = ieee<T>::infinity;
  return math::from_bits(magnitude);
}

/// |sum of limb[i] * 2^(32 (top - i))| in units of 2^(32 low), low = max(top - K + 1, 0), as K + 4 words; whether the sum is negative.
template <int K, class Limb>
FANFOLD_HD constexpr bool bin_words(Limb const* limb, int top, std::uint32_t* word) {
  constexpr int size = K + 4;
  int const low = top - K + 1 > 0 ? top - K + 1 : 0;  // bins below 0 are empty
  int n = 0;
  Limb carry = 0;
  for (int bin = low; bin <= top; ++bin, ++n) {
    Limb const v = limb[top - bin];
    Limb const part = carry + static_cast<Limb>(static_cast<std::uint32_t>(v));
    word[n] = static_cast<std::uint32_t>(part);
    carry = (part >> 32) + (v >> 32);
  }
  for (; n < size; ++n, carry >>= 32) word[n] = static_cast<std::uint32_t>(carry);
  bool const negative = (word[size - 1] >> 31) != 0;
  std::uint64_t c = 1;
  for (int i = 0; negative && i < size; ++i, c >>= 32) {
    c += static_cast<std::uint32_t>(~word[i]);
    word[i] = static_cast<std::uint32_t>(c);
  }
  return negative;
}

/// States of up to so many limbs are worked on by constant indices only, so that a device keeps them in registers.
inline constexpr int most_register_limbs = 9;

/// limb[i] moves to limb[i + by], the last ones fall off.
template <int K, class Limb>
FANFOLD_HD constexpr void shift_limbs(Limb* limb, int by) {
  if constexpr (K <= most_register_limbs) {
    for (int step = 1; step < K; step *= 2) {
      if ((by & step) == 0) continue;
      for (int i = K - 1; i >= 0; --i) limb[i] = i >= step ? limb[i - step] : Limb(0);
    }
    if (by < K) return;
    for (int i = 0; i < K; ++i) limb[i] = 0;
  } else {
    for (int i = K - 1; i >= 0; --i) limb[i] = i >= by ? limb[i - by] : Limb(0);
  }
}

/// |sum of limb[i] * 2^(32 (K - 1 - i))| as K + 4 words; whether the sum is negative. Constant indices.
template <int K, class Limb>
FANFOLD_HD constexpr bool limb_words(Limb const* limb, std::uint32_t* word) {
  constexpr int size = K + 4;
  Limb carry = 0;
  for (int i = 0; i < size; ++i) {
    Limb const v = i < K ? limb[K - 1 - i] : Limb(0);
    Limb const part = carry + static_cast<Limb>(static_cast<std::uint32_t>(v));
    word[i] = static_cast<std::uint32_t>(part);
    carry = (part >> 32) + (v >> 32);
  }
  bool const negative = (word[size - 1] >> 31) != 0;
  std::uint32_t const flip = negative ? ~std::uint32_t(0) : 0;
  std::uint64_t c = negative ? 1 : 0;
  for (int i = 0; i < size; ++i, c >>= 32) {
    c += word[i] ^ flip;
    word[i] = static_cast<std::uint32_t>(c);
  }
  return negative;
}

/// word[0 .. N) as an integer times 2^unit, no part of which lies below the unit of the subnormals, rounded once to T, ties to even.
/// Constant indices; `word` is used up.
template <class T, int N>
FANFOLD_HD constexpr T rounded_few_words(std::uint32_t* word, int unit) {
  using bits = typename ieee<T>::bits;
  constexpr int precision = ieee<T>::mantissa_bits + 1;
  int place = 32 * N - 1 + unit - bins<T>::e0;  // of the highest bit, counted from the unit of the subnormals
  for (int step = 8; step > 0; step /= 2) {  // zero words above go, 15 at most
    std::uint32_t above = 0;
    for (int i = N > step ? N - step : 0; i < N; ++i) above |= word[i];
    if (above != 0) continue;
    for (int i = N - 1; i >= 0; --i) word[i] = i >= step ? word[i - step] : 0;
    place -= 32 * step;
  }
  if (word[N - 1] == 0) return T(0);
  int const zeros = math::leading_zeros(word[N - 1]);
  place -= zeros;
  std::uint64_t window = static_cast<std::uint64_t>(word[N - 1]) << 32 | word[N - 2];
  std::uint32_t const next = word[N - 3];
  if (zeros > 0) window = window << zeros | next >> (32 - zeros);
  bool sticky = zeros > 0 ? next << zeros != 0 : next != 0;
  for (int i = 0; i < N - 3; ++i) sticky = sticky || word[i] != 0;

  int const kept = place < precision ? place + 1 : precision;  // from 1 to 53 bits
  auto magnitude = static_cast<bits>(window >> (64 - kept));
  std::uint64_t const rest = window << kept;
  // the leading bit and a carry out of the fraction move into the exponent
  if (place >= precision) magnitude = static_cast<bits>((static_cast<bits>(place - precision + 1) << ieee<T>::mantissa_bits) + magnitude);
  bool const half = rest >> 63 != 0;
  if (half && (sticky || rest << 1 != 0 || (magnitude & 1u) != 0)) ++magnitude;
  if (place - precision + 1 > 2 * ieee<T>::bias || magnitude > ieee<T>::infinity) magnitude = ieee<T>::infinity;
  return math::from_bits(magnitude);
}

/// The integer sum of limb[i] * 2^(32 (top - i) + e0), rounded once to T, ties to even; exact zero is +0.
template <class T, int K, class Limb>
FANFOLD_HD constexpr T rounded_bins(Limb const* limb, int top) {
  std::uint32_t word[std::size_t{K + 4}] = {};
  if constexpr (K <= most_register_limbs) {
    bool const negative = limb_words<K>(limb, word);
    T const value = rounded_few_words<T, K + 4>(word, 32 * (top - K + 1) + bins<T>::e0);
    return negative ? -value : value;
  } else {
    bool const negative = bin_words<K>(limb, top, word);
    int const low = top - K + 1 > 0 ? top - K + 1 : 0;
    T const value = rounded_words<T>(word, K + 4, 32 * low + bins<T>::e0);
    return negative ? -value : value;
  }
}

inline constexpr std::int64_t bin_block = 2048;

/// Digit sums of a block and its greatest magnitude in one pass over it; the digits hold if that magnitude belongs to `top` or below.
template <class T, int K>
struct block_digits {
  using bits = typename ieee<T>::bits;
  std::int64_t sum[std::size_t{K}];

  FANFOLD_NOINLINE bits run(T const* FANFOLD_RESTRICT x, int top) {
    constexpr int L = 32;
    constexpr std::int64_t ahead = 8192 / static_cast<std::int64_t>(sizeof(T));
    std::uint64_t lane[std::size_t{K}][std::size_t{L}] = {};
    bits magnitude[L] = {};
    double rounder[std::size_t{K}];
    for (int k = 0; k < K; ++k) rounder[k] = bins<T>::rounder(top - k);
    for (std::int64_t i = 0; i < bin_block; i += L) {
      for (int line = 0; line < L; line += 64 / static_cast<int>(sizeof(T))) __builtin_prefetch(x + i + ahead + line);
      for (int l = 0; l < L; ++l) {
        bits const b = math::bits_of(x[i + l]) & static_cast<bits>(~ieee<T>::sign);
        magnitude[l] = magnitude[l] < b ? b : magnitude[l];
        double rest = static_cast<double>(x[i + l]);
        for (int k = 0; k < K; ++k) {
          double const y = rest + rounder[k];
          lane[k][l] += math::bits_of(y);
          rest -= y - rounder[k];
        }
      }
    }
    bits greatest = 0;
    for (int l = 0; l < L; ++l) greatest = greatest < magnitude[l] ? magnitude[l] : greatest;
    for (int k = 0; k < K; ++k) {
      std::uint64_t total = 0;
      for (int l = 0; l < L; ++l) total += lane[k][l];
      sum[k] = static_cast<std::int64_t>(total - static_cast<std::uint64_t>(bin_block) * math::bits_of(rounder[k]));
    }
    return greatest;
  }
};

template <class T>
typename ieee<T>::bits greatest_magnitude(T const* x) {
  using bits = typename ieee<T>::bits;
  bits greatest = 0;
  for (std::int64_t i = 0; i < bin_block; ++i) {
    bits const b = math::bits_of(x[i]) & static_cast<bits>(~ieee<T>::sign);
    greatest = greatest < b ? b : greatest;
  }
  return greatest;
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
