#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// exp(x) - 1 without cancellation: (u - 1) x / log u with u the rounded exp(x) (Kahan).
template <class R>
FANFOLD_HD R exp_minus_one(R x) {
  R const u = math::exp(x);
  if (u == R(1)) return x;
  R const d = u - R(1);
  return d == R(-1) || u == math::infinity<R>() ? d : d * (x / math::log(u));
}

template <class R>
struct entropy_power_term {
  R const* y;
  R eps;
  R power;  // q - 1
  FANFOLD_HD R operator()(std::int64_t e) const {
    R const p = y[e] + eps;
    if (p == R(0)) return R(0);
    return power == R(0) ? p * math::log(p) : p * exp_minus_one(power * math::log(p));
  }
};

}  // namespace detail

/// Entropy of a row of probabilities over its greatest value, so 1 for a uniform row: Tsallis S_q = (1 - sum p^q) / (q - 1) or Renyi
/// log(sum p^q) / (1 - q), p = y + eps; q = 1 is Shannon's in both. E = 1 gives 0 (DynMoLE, Li et al., 2025).
struct row_entropy {
  enum class form : unsigned char { tsallis, renyi };

  double q = 1.1;
  double eps = 1e-5;
  form kind = form::tsallis;

  void check(char const* function) const {
    check_argument(q > 0 && q < 1e6, function, "q", q, "positive and finite");
    check_argument(eps >= 0 && eps < 1, function, "eps", eps, "0 or more and below 1");
    double const distance = q < 1 ? 1 - q : q - 1;
    check_argument(eps == 0 || distance == 0 || distance >= 1e-2, function, "q", q, "1, or 0.01 or more away from it unless eps is 0");
  }

  template <row_group G, class R>
  FANFOLD_HD R of(G const& g, R const* y, std::int64_t n) const {
    if (n <= 1) return R(0);
    auto const power = static_cast<R>(q - 1);
    R const sum = g.fold(detail::row_sum<R>{}, n, detail::entropy_power_term<R>{y, static_cast<R>(eps), power});
    R const log_n = math::log(static_cast<R>(n));
    if (power == R(0)) return -sum / log_n;
    R const excess = static_cast<R>(n) * static_cast<R>(eps) + sum;  // sum p^q - 1
    if (kind == form::renyi) return -math::log(R(1) + excess) / (power * log_n);
    return excess / detail::exp_minus_one(-power * log_n);
  }

  /// dy[e] = scale d entropy / d y_e, 0 where y_e is.
  template <row_group G, class R>
  FANFOLD_HD void gradient(G const& g, R const* y, R scale, R* dy, std::int64_t n) const {
    auto const power = static_cast<R>(q - 1);
    R const log_n = math::log(static_cast<R>(n));
    R const sum = n <= 1 ? R(0) : g.fold(detail::row_sum<R>{}, n, detail::entropy_power_term<R>{y, static_cast<R>(eps), power});
    R const mass = R(1) + static_cast<R>(n) * static_cast<R>(eps) + sum;
    for (std::int64_t e = g.rank(); e < n; e += g.size()) {
      R const p = y[e] + static_cast<R>(eps);
      if (y[e] == R(0) || n <= 1)
        dy[e] = R(0);
      else if (power == R(0))
        dy[e] = -scale * (math::log(p) + R(1)) / log_n;
      else {
        R const slope = static_cast<R>(q) * math::exp(power * math::log(p));
        dy[e] = kind == form::renyi ? -scale * slope / (mass * power * log_n) : scale * slope / detail::exp_minus_one(-power * log_n);
      }
    }
    g.sync();
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
