// Largest errors of core/math.hpp: exhaustive over floats (argument: stride, default 1), random over doubles, against the C library in
// double and long double.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "fanfold/core/math.hpp"

namespace math = fanfold::math;

namespace {

/// Distance in last places of T at the exact result; huge where only one is NaN or infinite.
template <class T, class Exact>
double error_in_ulps(T y, Exact exact) {
  if (std::isnan(exact) || math::isnan(y)) return std::isnan(exact) && math::isnan(y) ? 0.0 : 1e9;
  T const rounded = static_cast<T>(exact);
  if (math::isinf(rounded) || math::isinf(y)) return rounded == y ? 0.0 : 1e9;
  constexpr int digits = sizeof(T) == 4 ? 24 : 53, lowest = sizeof(T) == 4 ? -126 : -1022;
  int exponent = exact == 0 ? lowest : std::ilogb(exact);
  if (exponent < lowest) exponent = lowest;
  return static_cast<double>(std::fabs(static_cast<Exact>(y) - exact) / std::ldexp(Exact(1), exponent - digits + 1));
}

template <class F, class G>
void sweep_floats(char const* name, std::uint64_t stride, F f, G exact) {
  double worst = 0;
  float at = 0;
  for (std::uint64_t u = 0; u <= 0xffffffffu; u += stride) {
    float const x = math::from_bits(static_cast<std::uint32_t>(u));
    double const e = error_in_ulps(f(x), exact(static_cast<double>(x)));
    if (e > worst) {
      worst = e;
      at = x;
    }
  }
  std::printf("float  %-16s %.4f at %a\n", name, worst, static_cast<double>(at));
  std::fflush(stdout);
}

template <class F, class G>
void sample_doubles(char const* name, double low, double high, F f, G exact) {
  double worst = 0, at = 0;
  std::uint64_t state = 1;
  for (int i = 0; i < 4000000; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    double x = low + (high - low) * (static_cast<double>(state >> 11) * 0x1p-53);
    if (i % 4 == 3) x = std::ldexp(x, -static_cast<int>((state >> 20) % 60));
    double const e = error_in_ulps(f(x), exact(static_cast<long double>(x)));
    if (e > worst) {
      worst = e;
      at = x;
    }
  }
  std::printf("double %-16s %.4f at %a\n", name, worst, at);
  std::fflush(stdout);
}

template <class R>
R softplus_of(R x) {
  return (x > 0 ? x : R(0)) + std::log1p(std::exp(-std::fabs(x)));
}

}  // namespace

#define FLOATS(function, exact) \
  sweep_floats(                 \
      #function, stride, [](float x) { return math::function(x); }, [](double x) { return exact; })
#define DOUBLES(function, low, high, exact) \
  sample_doubles(                           \
      #function, low, high, [](double x) { return math::function(x); }, [](long double x) { return exact; })

int main(int argc, char** argv) {
  std::uint64_t const stride = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  FLOATS(exp, std::exp(x));
  FLOATS(log, std::log(x));
  FLOATS(tanh, std::tanh(x));
  FLOATS(sigmoid, 1 / (1 + std::exp(-x)));
  FLOATS(softplus, softplus_of(x));
  FLOATS(erf, std::erf(x));
  FLOATS(sqrt, std::sqrt(x));
  FLOATS(rint, std::nearbyint(x));
  FLOATS(floor, std::floor(x));
  FLOATS(ceil, std::ceil(x));
  DOUBLES(exp, -750, 715, std::exp(x));
  DOUBLES(exp_nonpositive, -708, 0, std::exp(x));
  DOUBLES(log, 0, 4, std::log(x));
  DOUBLES(tanh, -3, 3, std::tanh(x));
  DOUBLES(sigmoid, -40, 40, 1 / (1 + std::exp(-x)));
  DOUBLES(softplus, -40, 40, softplus_of(x));
  DOUBLES(erf, -6, 6, std::erf(x));
  DOUBLES(sqrt, 0, 1e10, std::sqrt(x));
  DOUBLES(rint, -1e16, 1e16, std::nearbyint(x));
  DOUBLES(sin, -100, 100, std::sin(x));
  DOUBLES(cos, -100, 100, std::cos(x));
  DOUBLES(sin, -0x1p20, 0x1p20, std::sin(x));
  DOUBLES(cos, -0x1p20, 0x1p20, std::cos(x));
  DOUBLES(acos, -1, 1, std::acos(x));
}
