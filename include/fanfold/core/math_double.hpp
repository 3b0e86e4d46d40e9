#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"

/// \file
/// Elementary functions of double: as math_float.hpp, and sin, cos, acos for the few coefficients that need them. Errors are the largest
/// seen in 4 million random arguments a function, in units in the last place.

namespace fanfold::inline FANFOLD_ABI::math {

/// Nearest integer, ties to even.
FANFOLD_HD FANFOLD_INLINE double rint(double x) {
  double const a = abs(x);
  double const r = (a + 0x1p52) - 0x1p52;
  return select(a < 0x1p52, copysign(r, x), x);
}
FANFOLD_HD FANFOLD_INLINE double floor(double x) {
  double const r = rint(x);
  return select(r > x, r - 1.0, r);
}
FANFOLD_HD FANFOLD_INLINE double ceil(double x) { return -floor(-x); }

/// Correctly rounded square root.
FANFOLD_HD FANFOLD_INLINE double sqrt(double x) { return __builtin_sqrt(x); }

namespace detail {

/// ln 2 in two parts; the first has 42 bits, so that its products with exponents are exact.
inline constexpr double ln2_high = 0x1.62e42fefa38p-1;
inline constexpr double ln2_low = 0x1.ef35793c7673p-45;
inline constexpr double round_d = 0x1.8p52;

/// 2^n for an integer -1022 <= n <= 1023.
FANFOLD_HD FANFOLD_INLINE double power_of_two(double n) { return from_bits((bits_of(n + round_d) + 1023u) << 52); }

/// exp(x) = value * 2^exponent.
struct exp_parts_d {
  double value;
  double exponent;
};
FANFOLD_HD FANFOLD_INLINE exp_parts_d split_exp(double x) {
  double const n = (x * 0x1.71547652b82fep0 + round_d) - round_d;
  double const r = (x - n * ln2_high) - n * ln2_low;
  double q = 0x1.adbd27883cd09p-26;
  q = q * r + 0x1.28aef9080f2c1p-22;
  q = q * r + 0x1.71df03f7610abp-19;
  q = q * r + 0x1.a01998716a942p-16;
  q = q * r + 0x1.a01a0136b50c4p-13;
  q = q * r + 0x1.6c16c184bd359p-10;
  q = q * r + 0x1.1111111125f17p-7;
  q = q * r + 0x1.55555555505f0p-5;
  q = q * r + 0x1.55555555554ffp-3;
  q = q * r + 0x1.000000000000ap-1;
  return {1.0 + (r + (r * r) * q), n};
}

/// (log((1 + s) / (1 - s)) - 2 s) / s for z = s^2 <= 1/9.
FANFOLD_HD FANFOLD_INLINE double log1p_tail(double z) {
  double q = 0x1.500145c2ea3b7p-3;
  q = q * z + 0x1.20122d5b9b132p-4;
  q = q * z + 0x1.c10008b86b62dp-4;
  q = q * z + 0x1.dff4196a5cbd2p-4;
  q = q * z + 0x1.11226b5ef9c48p-3;
  q = q * z + 0x1.3b12e3b093dc7p-3;
  q = q * z + 0x1.745d1d7125078p-3;
  q = q * z + 0x1.c71c71a9ab4ddp-3;
  q = q * z + 0x1.24924924ba510p-2;
  q = q * z + 0x1.9999999999656p-2;
  q = q * z + 0x1.5555555555556p-1;
  return q * z;
}

/// (asin(x) - x) / x for z = x^2 <= 1/4.
FANFOLD_HD FANFOLD_INLINE double asin_tail(double z) {
  double q = 0x1.06023a47524e6p-5;
  q = q * z + -0x1.0b89e84b50c34p-6;
  q = q * z + 0x1.410f60f78d13fp-6;
  q = q * z + 0x1.aa2d4739e4ba9p-8;
  q = q * z + 0x1.8ef3ea8957b41p-7;
  q = q * z + 0x1.c6f63595c64d7p-7;
  q = q * z + 0x1.1c6c44b9ae353p-6;
  q = q * z + 0x1.6e89ed987196ep-6;
  q = q * z + 0x1.f1c72c80eac0ep-6;
  q = q * z + 0x1.6db6db4198815p-5;
  q = q * z + 0x1.333333336fe24p-4;
  q = q * z + 0x1.5555555555384p-3;
  return q * z;
}

/// x = quarter * pi/2 + r + low with |r| <= pi/4; quarter modulo 4.
struct quarter_turns {
  double r;
  double low;
  std::uint64_t quarter;
};
FANFOLD_HD FANFOLD_INLINE quarter_turns reduce_turns(double x) {
  double const t = x * 0x1.45f306dc9c883p-1 + round_d;
  double const n = t - round_d;
  double const a = x - n * 0x1.921fb544p0;  // 33 bits: exact up to n = 2^20
  double const b = n * 0x1.0b4611a6p-34;
  double const r = a - b;
  double const back = a - r;
  double const rest = ((a - (r + back)) + (back - b)) - n * 0x1.3198a2e037073p-69;
  double const sum = r + rest;
  return {sum, (r - sum) + rest, bits_of(t) & 3u};
}
FANFOLD_HD FANFOLD_INLINE double sin_reduced(double r, double low) {
  double const z = r * r;
  double q = 0x1.5d91faf0fc847p-33;
  q = q * z + -0x1.ae5e63761dd7fp-26;
  q = q * z + 0x1.71de35756c129p-19;
  q = q * z + -0x1.a01a019c10e76p-13;
  q = q * z + 0x1.111111110f88cp-7;
  q = q * z + -0x1.5555555555549p-3;
  return r + ((r * z) * q + (low - (0.5 * z) * low));
}
FANFOLD_HD FANFOLD_INLINE double cos_reduced(double r, double low) {
  double const z = r * r;
  double q = -0x1.8fcdcb2d49157p-37;
  q = q * z + 0x1.1eea2e19e38d7p-29;
  q = q * z + -0x1.27e4f8764ecfep-22;
  q = q * z + 0x1.a01a019d5b7a6p-16;
  q = q * z + -0x1.6c16c16c1595bp-10;
  q = q * z + 0x1.5555555555550p-5;
  double const half = 0.5 * z;
  double const w = 1.0 - half;
  return w + (((1.0 - w) - half) + ((z * z) * q - r * low));
}

}  // namespace detail

/// e^x: overflows to infinity above 709.78, rounds to subnormals below -708.40. Error 0.97 ulp.
FANFOLD_HD FANFOLD_INLINE double exp(double x) {
  auto const [value, n] = detail::split_exp(x);
  double const n0 = (0.5 * n + detail::round_d) - detail::round_d;
  double const y = (value * detail::power_of_two(n0)) * detail::power_of_two(n - n0);
  double const limit = select(x < 0.0, 0.0, infinity<double>());
  return select(abs(x) > 1000.0, limit, y);
}

/// e^x for x <= 0: the bits of `exp` down to -708, exactly 0 below; NaN stays NaN.
FANFOLD_HD FANFOLD_INLINE double exp_nonpositive(double x) {
  auto const [value, n] = detail::split_exp(select(x < -708.0, -708.0, x));
  double const y = value * detail::power_of_two(n);
  return select(x < -708.0, 0.0, y);
}

/// Natural logarithm: -infinity at 0, NaN below. Error 0.85 ulp.
FANFOLD_HD FANFOLD_INLINE double log(double x) {
  bool const tiny = x < 0x1p-1022;
  std::uint64_t const v = bits_of(select(tiny, x * 0x1p52, x)) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
  // the biased exponent as a number, by the last bits of 2^52
  double const n = from_bits((v >> 52) | 0x4330000000000000u) - (0x1p52 + select(tiny, 1075.0, 1023.0));
  double const f = from_bits((v & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu) - 1.0;
  double const s = f / (2.0 + f);
  double const z = s * s;
  double q = 0x1.2f03de08d356cp-3;
  q = q * z + 0x1.39a1e5ce134fdp-3;
  q = q * z + 0x1.74663d04d4788p-3;
  q = q * z + 0x1.c71c5213fe71bp-3;
  q = q * z + 0x1.24924941e194ap-2;
  q = q * z + 0x1.999999997ff17p-2;
  q = q * z + 0x1.5555555555592p-1;
  double const half = 0.5 * f * f;
  double const y = n * detail::ln2_high + (f - (half - (s * (half + q * z) + n * detail::ln2_low)));
  double const finite = select(x < infinity<double>(), y, x);
  return select(x < 0.0, quiet_nan<double>(), select(x == 0.0, -infinity<double>(), finite));
}

/// Hyperbolic tangent. Error 1.45 ulp.
FANFOLD_HD FANFOLD_INLINE double tanh(double x) {
  double const a = abs(x);
  double const z = x * x;
  double q = 0x1.960b81def2918p-18;
  q = q * z + -0x1.fac8d560e574ap-16;
  q = q * z + 0x1.801c4bccfa145p-14;
  q = q * z + -0x1.f11380f92fc21p-13;
  q = q * z + 0x1.350b8bc445051p-11;
  q = q * z + -0x1.7d9c33823c69fp-10;
  q = q * z + 0x1.d6d35a3fda590p-9;
  q = q * z + -0x1.226e32cfbf094p-7;
  q = q * z + 0x1.664f4870c3f04p-6;
  q = q * z + -0x1.ba1ba1b9d1981p-5;
  q = q * z + 0x1.1111111110c52p-3;
  q = q * z + -0x1.5555555555552p-2;
  double const near = a + (a * z) * q;
  double const e = exp_nonpositive(-2.0 * a);
  double const far = 1.0 - (2.0 * e) / (1.0 + e);
  return copysign(select(a < 0.625, near, far), x);
}

/// 1 / (1 + e^-x). Error 1.90 ulp.
FANFOLD_HD FANFOLD_INLINE double sigmoid(double x) {
  double const e = exp(-abs(x));
  double const d = 1.0 + e;
  double const lost = e - (d - 1.0);
  double const y = select(x < 0.0, e, 1.0) / d;
  return y - (y * lost) * select(x < 0.0, 1.0 - y, y);
}

/// log(1 + e^x). Error 1.90 ulp.
FANFOLD_HD FANFOLD_INLINE double softplus(double x) {
  double const e = exp(-abs(x));
  double const s = e / (2.0 + e);
  double const tail = e - s * (e - detail::log1p_tail(s * s));
  return select(x > 0.0, x, 0.0) + tail;
}

/// Error function. Error 1.35 ulp.
FANFOLD_HD FANFOLD_INLINE double erf(double x) {
  double const a = abs(x);
  double const z = x * x;
  double p = 0x1.3b3457b41bfbap-33;
  p = p * z + -0x1.c46e4c9388e4fp-30;
  p = p * z + 0x1.131533cebf6f2p-26;
  p = p * z + -0x1.638ece8c90f33p-23;
  p = p * z + 0x1.ba68ded7c0b3cp-20;
  p = p * z + -0x1.f4dceda6c98fep-17;
  p = p * z + 0x1.f9a3b9295f715p-14;
  p = p * z + -0x1.c02db931f3801p-11;
  p = p * z + 0x1.565bcd2c5e324p-8;
  p = p * z + -0x1.b82ce31354ba5p-6;
  p = p * z + 0x1.ce2f21a0458d6p-4;
  p = p * z + -0x1.812746b037a25p-2;
  p = p * z + 0x1.06eba8214db69p-3;
  double const near = x + x * p;
  // beyond: 1 - exp(-a^2) w, w a polynomial in (a - 2) / (a + 2)
  double const b = select(a > 6.0, 6.0, a);
  double const t = (b - 2.0) / (b + 2.0);
  double w = 0x1.0e7752000d021p-18;
  w = w * t + -0x1.9839859ffc93dp-17;
  w = w * t + -0x1.e017e7e0c8ce5p-16;
  w = w * t + 0x1.c70fb069999fep-16;
  w = w * t + 0x1.6e02e26e97054p-13;
  w = w * t + 0x1.6dcddf2438675p-15;
  w = w * t + -0x1.016c2d3c15a58p-10;
  w = w * t + -0x1.bc26240fc756ap-11;
  w = w * t + 0x1.ca95eeb73e79bp-8;
  w = w * t + 0x1.e94716aa9fc9ep-9;
  w = w * t + -0x1.437f0b68b210ap-4;
  w = w * t + 0x1.eeea7dc89c8a8p-3;
  w = w * t + -0x1.b57034efd4318p-2;
  w = w * t + 0x1.058671b52c781p-2;
  double const far = copysign(1.0 - exp_nonpositive(-(b * b)) * w, x);
  return select(a < 1.0, near, far);
}

/// Sine and cosine for |x| <= 2^20, NaN outside. Error 0.80 ulp.
FANFOLD_HD FANFOLD_INLINE double sin(double x) {
  auto const [r, low, quarter] = detail::reduce_turns(x);
  double const s = detail::sin_reduced(r, low);
  double const c = detail::cos_reduced(r, low);
  double const magnitude = select((quarter & 1u) != 0, c, s);
  double const y = select((quarter & 2u) != 0, -magnitude, magnitude);
  double const signed_zero = select(x == 0.0, x, y);
  return select(abs(x) <= 0x1p20, signed_zero, quiet_nan<double>());
}
FANFOLD_HD FANFOLD_INLINE double cos(double x) {
  auto const [r, low, quarter] = detail::reduce_turns(x);
  double const s = detail::sin_reduced(r, low);
  double const c = detail::cos_reduced(r, low);
  double const magnitude = select((quarter & 1u) != 0, s, c);
  double const y = select(((quarter + 1u) & 2u) != 0, -magnitude, magnitude);
  return select(abs(x) <= 0x1p20, y, quiet_nan<double>());
}

/// Angle in [0, pi] whose cosine is x; NaN outside [-1, 1]. Error 1.25 ulp.
FANFOLD_HD FANFOLD_INLINE double acos(double x) {
  constexpr double half_pi = 0x1.921fb54442d18p0, half_pi_low = 0x1.1a62633145c07p-54;
  double const a = abs(x);
  if (!(a > 0.5)) return half_pi - (x - (half_pi_low - x * detail::asin_tail(x * x)));
  double const z = 0.5 * (1.0 - a);
  double const s = sqrt(z);
  double const tail = s * detail::asin_tail(z);
  return select(x > 0.0, 2.0 * (s + tail), 2.0 * (half_pi - (s + (tail - half_pi_low))));
}

}  // namespace fanfold::inline FANFOLD_ABI::math
