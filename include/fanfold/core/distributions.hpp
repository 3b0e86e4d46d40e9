#pragma once

#include <cstdint>

#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"

/// \file
/// Entries of random directions, the same bits on every backend. Each is a policy z(stream, i) -> float with `variance()` and `kurtosis()`;
/// core/random_fill.hpp makes runs of them faster.

namespace fanfold::inline FANFOLD_ABI {

/// Signs +-1: element i is bit i & 31 of word i >> 5 (1: +1), 128 elements a block. The default: exact, cheapest, and of the lowest
/// estimator variance.
struct rademacher {
  static constexpr double variance() { return 1.0; }
  static constexpr double kurtosis() { return 1.0; }
  FANFOLD_HD static constexpr float sign(std::uint32_t word, std::uint32_t bit) {
    return math::from_bits(0xbf800000u ^ (((word >> bit) & 1u) << 31));
  }
  FANFOLD_HD constexpr float operator()(random_stream const& s, std::uint64_t i) const {
    return sign(s.word(i >> 5), static_cast<std::uint32_t>(i & 31));
  }
};

/// Uniform on (-sqrt 3, sqrt 3): (2 u01 - 1) sqrt 3, variance 1.
struct uniform_var1 {
  static constexpr double variance() { return 1.0; }
  static constexpr double kurtosis() { return 1.8; }
  FANFOLD_HD static constexpr float from_word(std::uint32_t word) { return (2.0f * u01(word) - 1.0f) * 0x1.bb67aep+0f; }
  FANFOLD_HD constexpr float operator()(random_stream const& s, std::uint64_t i) const { return from_word(s.word(i)); }
};

/// Uniform on (-1/sqrt d, 1/sqrt d): the fast form of truncated_unit, variance 1/(3d).
struct uniform_unit {
  double d = 1.0;
  constexpr double variance() const { return 1.0 / (3.0 * d); }
  static constexpr double kurtosis() { return 1.8; }
  FANFOLD_HD float operator()(random_stream const& s, std::uint64_t i) const {
    return (2.0f * u01(s.word(i)) - 1.0f) * static_cast<float>(1.0 / math::sqrt(d));
  }
};

/// The normal distribution cut to [-1/sqrt d, 1/sqrt d] (Ferret, 2024) by its inverse in double: z = sqrt 2 erfinv((2 u01 - 1) erf(1 /
/// sqrt(2 d))), erfinv by four Newton steps, rounded to float. d >= 1.
struct truncated_unit {
  double d = 1.0;
  /// 1 - 2 a phi(a) / (2 Phi(a) - 1) with a = 1 / sqrt d; its series from d = 1,000 on, where the formula cancels.
  FANFOLD_HD double variance() const {
    double const a2 = 1.0 / d;
    if (d >= 1000.0) return (a2 / 3.0) * (1.0 - 2.0 * a2 / 15.0 + 2.0 * a2 * a2 / 315.0);
    double const a = math::sqrt(a2);
    double const density = 0x1.9884533d43651p-2 * math::exp(-0.5 * a2);  // 1 / sqrt(2 pi)
    return 1.0 - 2.0 * a * density / math::erf(a * 0x1.6a09e667f3bcdp-1);
  }
  static constexpr double kurtosis() { return 1.8; }
  FANFOLD_HD static float from_word(std::uint32_t word, double mass) {
    constexpr double half_root_pi = 0x1.c5bf891b4ef6bp-1;
    double const t = static_cast<double>(2.0f * u01(word) - 1.0f) * mass;
    double y = t * half_root_pi;
    for (int step = 0; step < 4; ++step) y = y - (math::erf(y) - t) * half_root_pi * math::exp(y * y);
    return static_cast<float>(0x1.6a09e667f3bcdp+0 * y);
  }
  /// Probability of the interval, the `mass` of from_word.
  FANFOLD_HD double mass() const { return math::erf(1.0 / math::sqrt(2.0 * d)); }
  FANFOLD_HD float operator()(random_stream const& s, std::uint64_t i) const { return from_word(s.word(i), mass()); }
};

/// Nearly normal multiples of 1/4: (one bits of words 2i and 2i + 1, minus 32) / 4; variance 1.
struct popcount_normal {
  static constexpr double variance() { return 1.0; }
  static constexpr double kurtosis() { return 3.0 - 2.0 / 64.0; }
  FANFOLD_HD static constexpr float from_words(std::uint32_t w0, std::uint32_t w1) {
    return static_cast<float>(math::popcount(w0) + math::popcount(w1) - 32) * 0.25f;
  }
  FANFOLD_HD constexpr float operator()(random_stream const& s, std::uint64_t i) const {
    random_words<4> const b = s.block(i >> 1);
    int const first = static_cast<int>(i & 1) * 2;
    return from_words(b[first], b[first + 1]);
  }
};

/// Standard normal by Box-Muller in +, -, *, fma and sqrt of float only: words 0 and 1 of a block make elements 0 and 1, words 2 and 3 the
/// others. |error| < 6e-7, |z| <= 5.77.
struct normal_bm {
  static constexpr double variance() { return 1.0; }
  static constexpr double kurtosis() { return 3.0; }

  struct pair {
    float z0;
    float z1;
  };
  FANFOLD_HD FANFOLD_INLINE static pair from_words(std::uint32_t x0, std::uint32_t x1) {
    float const r = math::detail::lane_sqrt(-2.0f * log_of(unit(x0 >> 9)));
    // angle a quarter turn about Q = x1 >> 30: its sine and cosine change places and signs
    float const a = unit((x1 & 0x3fffffffu) >> 7) - 0.5f;
    float const v = a * a;
    float s = math::fma(0x1.4bc898p-13f, v, -0x1.32ca9ep-8f);
    s = math::fma(s, v, 0x1.466bbap-4f);
    s = math::fma(s, v, -0x1.4abbcep-1f);
    s = math::fma(s, v, 0x1.921fb6p+0f);
    std::uint32_t const sine = math::bits_of(s * a);
    float c = math::fma(-0x1.a0ee58p-16f, v, 0x1.e1e7cep-11f);
    c = math::fma(c, v, -0x1.55d3bap-6f);
    c = math::fma(c, v, 0x1.03c1f0p-2f);
    c = math::fma(c, v, -0x1.3bd3ccp+0f);
    c = math::fma(c, v, 1.0f);
    std::uint32_t const cosine = math::bits_of(c);
    std::uint32_t const swap = 0u - ((x1 >> 30) & 1u);
    std::uint32_t const change = (sine ^ cosine) & swap;
    std::uint32_t const sign_first = ((x1 >> 30) ^ (x1 >> 31)) << 31;  // quarters 1 and 2
    std::uint32_t const sign_second = x1 & 0x80000000u;                // quarters 2 and 3
    return {r * math::from_bits(cosine ^ change ^ sign_first), r * math::from_bits(sine ^ change ^ sign_second)};
  }
  FANFOLD_HD float operator()(random_stream const& s, std::uint64_t i) const {
    random_words<4> const b = s.block(i >> 2);
    bool const second = (i & 2) != 0;
    pair const z = from_words(second ? b.word[2] : b.word[0], second ? b.word[3] : b.word[1]);
    return (i & 1) != 0 ? z.z1 : z.z0;
  }

 private:
  /// (n + 1/2) 2^-23
  FANFOLD_HD FANFOLD_INLINE static float unit(std::uint32_t n) {
    return math::fma(static_cast<float>(static_cast<std::int32_t>(n)), 0x1p-23f, 0x1p-24f);
  }
  FANFOLD_HD FANFOLD_INLINE static float log_of(float u) {
    std::uint32_t const bits = math::bits_of(u);
    std::uint32_t const m = (bits & 0x007fffffu) | 0x3f800000u;
    std::uint32_t const large = 0u - static_cast<std::uint32_t>(math::from_bits(m) > 0x1.6a09e6p+0f);
    float const f = math::from_bits(m - (large & 0x00800000u)) - 1.0f;
    float const e = static_cast<float>(static_cast<std::int32_t>((bits >> 23) - 127u - large));
    float p = math::fma(-0x1.41ed50p-4f, f, 0x1.07d0ccp-3f);
    p = math::fma(p, f, -0x1.0ce08ep-3f);
    p = math::fma(p, f, 0x1.226e50p-3f);
    p = math::fma(p, f, -0x1.54788ap-3f);
    p = math::fma(p, f, 0x1.99a596p-3f);
    p = math::fma(p, f, -0x1.000220p-2f);
    p = math::fma(p, f, 0x1.55554ap-2f);
    float const f2 = f * f;
    float y = (f * f2) * p;
    y = math::fma(e, -0x1.bd0106p-13f, y);
    y = math::fma(-0.5f, f2, y);
    float const z = f + y;
    return math::fma(e, 0x1.63p-1f, z);
  }
};

FANFOLD_HD inline float random_stream::normal(std::uint64_t i) const { return normal_bm{}(*this, i); }

}  // namespace fanfold::inline FANFOLD_ABI
