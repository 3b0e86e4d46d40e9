#pragma once

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A Gaussian by its natural parameters: precision Lambda (D x D, symmetric) and eta = Lambda mu.
template <class T, int D>
struct gaussian_natural {
  T eta[std::size_t{D}];
  T precision[std::size_t{D * D}];

  template <class Same>
  constexpr bool matches(gaussian_natural const& other, Same const& same) const {
    bool equal = true;
    for (int i = 0; i < D; ++i) equal = equal && same(eta[i], other.eta[i]);
    for (int k = 0; k < D * D; ++k) equal = equal && same(precision[k], other.precision[k]);
    return equal;
  }
};
/// The same by mean and covariance.
template <class T, int D>
struct gaussian_moments {
  T mean[std::size_t{D}];
  T covariance[std::size_t{D * D}];

  template <class Same>
  constexpr bool matches(gaussian_moments const& other, Same const& same) const {
    bool equal = true;
    for (int i = 0; i < D; ++i) equal = equal && same(mean[i], other.mean[i]);
    for (int k = 0; k < D * D; ++k) equal = equal && same(covariance[k], other.covariance[k]);
    return equal;
  }
};

namespace detail {

/// Inverse of a symmetric positive definite D x D matrix by Cholesky; false where it is not.
template <class T, int D>
FANFOLD_HD inline bool inverse_of_spd(T const* a, T* inverse) {
  T l[std::size_t{D * D}] = {};
  for (int j = 0; j < D; ++j) {
    T d = a[j * D + j];
    for (int k = 0; k < j; ++k) d = d - l[j * D + k] * l[j * D + k];
    if (!(d > T(0))) return false;
    l[j * D + j] = math::sqrt(d);
    for (int i = j + 1; i < D; ++i) {
      T s = a[i * D + j];
      for (int k = 0; k < j; ++k) s = s - l[i * D + k] * l[j * D + k];
      l[i * D + j] = s / l[j * D + j];
    }
  }
  for (int c = 0; c < D; ++c) {
    T y[std::size_t{D}] = {};
    for (int i = 0; i < D; ++i) {
      T s = i == c ? T(1) : T(0);
      for (int k = 0; k < i; ++k) s = s - l[i * D + k] * y[k];
      y[i] = s / l[i * D + i];
    }
    for (int i = D - 1; i >= 0; --i) {
      T s = y[i];
      for (int k = i + 1; k < D; ++k) s = s - l[k * D + i] * y[k];
      y[i] = s / l[i * D + i];
      inverse[i * D + c] = y[i];
    }
  }
  for (int i = 0; i < D; ++i)
    for (int j = 0; j < i; ++j) inverse[i * D + j] = inverse[j * D + i];
  return true;
}

}  // namespace detail

/// Product of Gaussian densities up to a constant: natural parameters add. Of no items the flat message, all zeros. `lower` answers mean
/// and covariance; a precision that is not positive definite is an argument_error on the host, NaN on a device. `subtract` gives a cavity
/// (up to rounding). Commutative bit for bit; associative up to rounding.
template <class T, int D>
struct gaussian_message {
  using input = gaussian_natural<T, D>;
  using state = gaussian_natural<T, D>;
  using output = gaussian_moments<T, D>;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return combine(identity(), x); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int i = 0; i < D; ++i) s.eta[i] = a.eta[i] + b.eta[i];
    for (int k = 0; k < D * D; ++k) s.precision[k] = a.precision[k] + b.precision[k];
    return s;
  }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const {
    state s{};
    for (int i = 0; i < D; ++i) s.eta[i] = whole.eta[i] - part.eta[i];
    for (int k = 0; k < D * D; ++k) s.precision[k] = whole.precision[k] - part.precision[k];
    return s;
  }
  FANFOLD_HD output lower(state const& s) const {
    output y{};
    if (!detail::inverse_of_spd<T, D>(s.precision, y.covariance)) {
#if !FANFOLD_ON_DEVICE
      check_argument(false, "gaussian_message", "precision", "singular or indefinite", "positive definite (fold in a prior)");
#endif
      for (int i = 0; i < D; ++i) y.mean[i] = math::quiet_nan<T>();
      for (int k = 0; k < D * D; ++k) y.covariance[k] = math::quiet_nan<T>();
      return y;
    }
    for (int i = 0; i < D; ++i) {
      T sum = y.covariance[i * D] * s.eta[0];
      for (int j = 1; j < D; ++j) sum = sum + y.covariance[i * D + j] * s.eta[j];
      y.mean[i] = sum;
    }
    return y;
  }
  /// The message of a one-dimensional N(mean, variance), D = 1.
  FANFOLD_HD static constexpr input from_moments(T mean, T variance)
    requires(D == 1)
  {
    return {{mean / variance}, {T(1) / variance}};
  }
  /// Gradient of lower: `deta = Sigma dmu`, `dLambda = -sym(deta mu^T) - Sigma sym(dSigma) Sigma`. Items share it: they add.
  FANFOLD_HD state lower_vjp(state const& s, output const& g) const {
    output const y = lower(s);
    state d{};
    T half[std::size_t{D * D}] = {};  // Sigma sym(dSigma)
    for (int i = 0; i < D; ++i)
      for (int j = 0; j < D; ++j) {
        d.eta[i] = d.eta[i] + y.covariance[i * D + j] * g.mean[j];
        for (int k = 0; k < D; ++k)
          half[i * D + j] = half[i * D + j] + y.covariance[i * D + k] * ((g.covariance[k * D + j] + g.covariance[j * D + k]) / T(2));
      }
    for (int i = 0; i < D; ++i)
      for (int j = 0; j < D; ++j) {
        T sum = (d.eta[i] * y.mean[j] + d.eta[j] * y.mean[i]) / T(2);
        for (int k = 0; k < D; ++k) sum = sum + half[i * D + k] * y.covariance[k * D + j];
        d.precision[i * D + j] = -sum;
      }
    return d;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
