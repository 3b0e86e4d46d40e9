#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

/// \file
/// Elementary functions of float with the same bits on every compiler and device that keeps products unfused: own polynomials, branch-free,
/// so that plain loops over arrays vectorise. Errors are the largest over all finite floats, in units in the last place.

namespace fanfold::inline FANFOLD_ABI::math {

/// Nearest integer, ties to even.
FANFOLD_HD FANFOLD_INLINE float rint(float x) {
  float const a = abs(x);
  float const r = (a + 0x1p23f) - 0x1p23f;
  return select(a < 0x1p23f, copysign(r, x), x);
}
FANFOLD_HD FANFOLD_INLINE float floor(float x) {
  float const r = rint(x);
  return select(r > x, r - 1.0f, r);
}
FANFOLD_HD FANFOLD_INLINE float ceil(float x) { return -floor(-x); }

/// Correctly rounded square root.
FANFOLD_HD FANFOLD_INLINE float sqrt(float x) { return __builtin_sqrtf(x); }

/// a * b + c with one rounding. Where the target has no such instruction, the sum in double is rounded to odd first, which is exact.
FANFOLD_HD FANFOLD_INLINE float fma(float a, float b, float c) {
#if FANFOLD_ON_DEVICE || defined(__FMA__) || defined(__FP_FAST_FMAF) || defined(__ARM_FEATURE_FMA)
  return __builtin_fmaf(a, b, c);
#else
  double const p = static_cast<double>(a) * static_cast<double>(b);
  double const w = static_cast<double>(c);
  double const s = p + w;
  double const back = s - p;
  double const lost = (p - (s - back)) + (w - back);
  // An even s that is finite and not exact moves one step towards the exact sum. Shifts and masks only: 64-bit comparisons would keep loops
  // scalar.
  std::uint64_t const u = bits_of(s);
  std::uint64_t const magnitude = bits_of(lost) << 1;
  std::uint64_t const inexact = (magnitude | (0u - magnitude)) >> 63;
  std::uint64_t const not_finite = (((u >> 52) & 0x7ffu) + 1u) >> 11;
  std::uint64_t const step = inexact & ~u & ~not_finite & 1u;
  std::uint64_t const back_one = step & ((bits_of(lost) ^ u) >> 63);
  return static_cast<float>(from_bits(u + step - 2u * back_one));
#endif
}

namespace detail {

inline constexpr float log2_e_f = 0x1.715476p0f;
/// ln 2 in two parts; the first has 15 bits, so that its products with exponents are exact.
inline constexpr float ln2_high_f = 0x1.62e4p-1f;
inline constexpr float ln2_low_f = 0x1.7f7d1cp-20f;
/// Adding it leaves the nearest integer in the last bits.
inline constexpr float round_f = 0x1.8p23f;

/// exp(x) = (value + low) * 2^n with n = rint(x / ln 2), `low` what the last sum lost; `shifted` holds n in its last bits.
struct exp_parts_f {
  float value;
  float low;
  float shifted;
};
FANFOLD_HD FANFOLD_INLINE exp_parts_f split_exp(float x) {
  float const t = x * log2_e_f + round_f;
  float const n = t - round_f;
  float const r = (x - n * ln2_high_f) - n * ln2_low_f;
  float q = 0x1.6ac622p-10f;
  q = q * r + 0x1.123eaap-7f;
  q = q * r + 0x1.55584ep-5f;
  q = q * r + 0x1.55548ap-3f;
  q = q * r + 0x1.fffffcp-2f;
  float const above = r + (r * r) * q;
  float const value = 1.0f + above;
  return {value, above - (value - 1.0f), t};
}

/// 2^n as two factors, each in range for |n| <= 250.
struct two_powers_f {
  float first;
  float second;
};
FANFOLD_HD FANFOLD_INLINE two_powers_f power_of_two(float shifted) {
  std::int32_t const n = static_cast<std::int32_t>(bits_of(shifted) - bits_of(round_f));
  std::int32_t const half = n >> 1;
  return {from_bits(static_cast<std::uint32_t>(half + 127) << 23), from_bits(static_cast<std::uint32_t>(n - half + 127) << 23)};
}

/// (log((1 + s) / (1 - s)) - 2 s) / s for z = s^2 <= 1/9.
FANFOLD_HD FANFOLD_INLINE float log1p_tail(float z) {
  float q = 0x1.f08b28p-3f;
  q = q * z + 0x1.b72bb4p-3f;
  q = q * z + 0x1.250510p-2f;
  q = q * z + 0x1.9996d8p-2f;
  q = q * z + 0x1.555558p-1f;
  return q * z;
}

/// Square root of a normal number or zero with the bits of `sqrt`, in steps that compilers vectorise also where the library's sets errno:
/// the result in double is good to two places, more than a float can lie from the middle of its neighbours.
FANFOLD_HD FANFOLD_INLINE float lane_sqrt(float x) {
#if FANFOLD_ON_DEVICE || defined(__NO_MATH_ERRNO__)
  return __builtin_sqrtf(x);
#else
  float y = from_bits(0x5f375a86u - (bits_of(x) >> 1));
  float const half = 0.5f * x;
  y = y * (1.5f - (half * y) * y);
  y = y * (1.5f - (half * y) * y);
  double const xd = static_cast<double>(x);
  double yd = static_cast<double>(y);
  yd = yd * (1.5 - ((0.5 * xd) * yd) * yd);
  double const s = xd * yd;
  return static_cast<float>(s + (0.5 * yd) * (xd - s * s));
#endif
}

}  // namespace detail

/// e^x: overflows to infinity above 88.7228, rounds to subnormals below -87.3366 (slower there). Error 0.99 ulp.
FANFOLD_HD FANFOLD_INLINE float exp(float x) {
  auto const [value, low, shifted] = detail::split_exp(x);
  auto const [first, second] = detail::power_of_two(shifted);
  float const y = (value * first) * second;
  float const limit = from_bits(0x7f800000u & ~static_cast<std::uint32_t>(static_cast<std::int32_t>(bits_of(x)) >> 31));
  return select(abs(x) > 150.0f, limit, y);
}

/// e^x for x <= 0: the bits of `exp` down to -87, exactly 0 below; NaN stays NaN. The faster form for softmax and its kin (also right up to
/// 88).
FANFOLD_HD FANFOLD_INLINE float exp_nonpositive(float x) {
  auto const [value, low, shifted] = detail::split_exp(select(x < -87.0f, -87.0f, x));
  float const scale = from_bits((bits_of(shifted) - bits_of(detail::round_f) + 127u) << 23);
  float const y = value * scale;
  return select(x < -87.0f, 0.0f, y);
}

/// Natural logarithm: -infinity at 0, NaN below. Error 0.84 ulp.
FANFOLD_HD FANFOLD_INLINE float log(float x) {
  bool const tiny = x < 0x1p-126f;
  std::uint32_t const v = bits_of(select(tiny, x * 0x1p23f, x)) + (0x3f800000u - 0x3f3504f3u);
  float const n = static_cast<float>(static_cast<std::int32_t>(v >> 23)) - select(tiny, 150.0f, 127.0f);
  // x = 2^n (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)
  float const f = from_bits((v & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  float const s = f / (2.0f + f);
  float const z = s * s;
  float q = 0x1.f13c5ep-3f;
  q = q * z + 0x1.23d3e0p-2f;
  q = q * z + 0x1.999c26p-2f;
  q = q * z + 0x1.555554p-1f;
  float const half = 0.5f * f * f;
  float const y = n * detail::ln2_high_f + (f - (half - (s * (half + q * z) + n * detail::ln2_low_f)));
  float const finite = select(x < infinity<float>(), y, x);
  return select(x < 0.0f, quiet_nan<float>(), select(x == 0.0f, -infinity<float>(), finite));
}

/// Hyperbolic tangent. Error 1.47 ulp.
FANFOLD_HD FANFOLD_INLINE float tanh(float x) {
  float const a = abs(x);
  float const z = x * x;
  float q = -0x1.750da0p-8f;
  q = q * z + 0x1.51f8dep-6f;
  q = q * z + -0x1.b835a4p-5f;
  q = q * z + 0x1.1106f6p-3f;
  q = q * z + -0x1.555532p-2f;
  float const near = a + (a * z) * q;
  float const e = exp_nonpositive(-2.0f * a);
  float const far = 1.0f - (2.0f * e) / (1.0f + e);
  return copysign(select(a < 0.625f, near, far), x);
}

/// 1 / (1 + e^-x). Error 1.97 ulp.
FANFOLD_HD FANFOLD_INLINE float sigmoid(float x) {
  float const e = exp(-abs(x));
  float const d = 1.0f + e;
  float const lost = e - (d - 1.0f);
  float const y = select(x < 0.0f, e, 1.0f) / d;
  return y - (y * lost) * select(x < 0.0f, 1.0f - y, y);
}

/// log(1 + e^x). Error 1.97 ulp.
FANFOLD_HD FANFOLD_INLINE float softplus(float x) {
  float const a = abs(x);
  auto const [value, low, shifted] = detail::split_exp(-select(a > 150.0f, 150.0f, a));
  auto const [first, second] = detail::power_of_two(shifted);
  float const e = (value * first) * second;
  float const s = e / (2.0f + e);
  // what exp lost, times nearly 1 / (1 + e)
  float const lost = ((low * first) * second) * (1.0f - e * (0.9f - 0.4f * e));
  float const tail = e - (s * (e - detail::log1p_tail(s * s)) - lost);
  return select(x > 0.0f, x, 0.0f) + tail;
}

/// Error function. Error 1.24 ulp.
FANFOLD_HD FANFOLD_INLINE float erf(float x) {
  float const a = abs(x);
  float const z = x * x;
  float p = 0x1.4771ecp-14f;
  p = p * z + -0x1.a3515cp-11f;
  p = p * z + 0x1.53f224p-8f;
  p = p * z + -0x1.b7f71ap-6f;
  p = p * z + 0x1.ce2ce6p-4f;
  p = p * z + -0x1.81273ep-2f;
  p = p * z + 0x1.06eba8p-3f;
  float const near = x + x * p;
  // beyond: 1 - exp(q), q a polynomial for log(1 - erf)
  float const b = select(a > 4.0f, 4.0f, a);
  float q = -0x1.1de470p-16f;
  q = q * b + 0x1.8e6cd8p-12f;
  q = q * b + -0x1.fb1566p-9f;
  q = q * b + 0x1.8cd8e6p-6f;
  q = q * b + -0x1.b53192p-4f;
  q = q * b + -0x1.450fb8p-1f;
  q = q * b + -0x1.20f1ccp+0f;
  q = q * b + -0x1.3f5caap-17f;
  float const far = copysign(1.0f - exp_nonpositive(q), x);
  return select(a < 0.97f, near, far);
}

}  // namespace fanfold::inline FANFOLD_ABI::math
