#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// \file
/// Small dense linear algebra in double on the calling thread, for matrices of up to about a thousand rows. Larger problems belong to
/// a BLAS. Only IEEE operations are used, in a fixed order, so results do not depend on the machine.

/// Eigenvalues in ascending order; `vectors` (empty unless asked for) holds the unit eigenvector of value k in row k.
struct symmetric_eigen_result {
  std::vector<double> values;
  std::vector<double> vectors;
};

namespace detail {

inline void check_square(char const* function, matrix_view<double const> a) {
  check_argument(a.rows() == a.cols(), function, "number of columns", a.cols(), "the number of rows");
  for (std::int64_t i = 0; i < a.rows(); ++i)
    for (std::int64_t j = 0; j < a.cols(); ++j) check_argument(std::isfinite(a(i, j)), function, "an entry", a(i, j), "finite");
}

/// A symmetric matrix as a tridiagonal one with the same eigenvalues: reflections from the left and right, one column after the other.
class tridiagonal_form {
 public:
  tridiagonal_form(matrix_view<double const> a, bool want_vectors)
      : n_(a.rows()), a_(static_cast<std::size_t>(n_ * n_)), v_(static_cast<std::size_t>(n_)), p_(v_), diagonal_(v_), off_(v_) {
    for (std::int64_t i = 0; i < n_; ++i)
      for (std::int64_t j = 0; j <= i; ++j) at(i, j) = at(j, i) = a(i, j);
    if (want_vectors) {
      q_.assign(a_.size(), 0.0);
      for (std::int64_t i = 0; i < n_; ++i) q_[index(i, i)] = 1;
    }
    for (std::int64_t k = 0; k < n_; ++k) {
      if (k + 2 < n_) reflect(k);
      diagonal_[at(k)] = at(k, k);
      if (k + 1 < n_) off_[at(k)] = at(k + 1, k);
    }
  }

  std::vector<double>& diagonal() { return diagonal_; }
  /// Entry k couples k and k + 1; the last one is 0.
  std::vector<double>& off_diagonal() { return off_; }
  /// Row k of this orthogonal matrix Q: the tridiagonal matrix is Q A Q^T.
  std::vector<double>& rotation() { return q_; }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::size_t index(std::int64_t i, std::int64_t j) const { return static_cast<std::size_t>(i * n_ + j); }
  double& at(std::int64_t i, std::int64_t j) { return a_[index(i, j)]; }

  void reflect(std::int64_t k) {
    std::int64_t const first = k + 1;
    double scale = 0;
    for (std::int64_t i = first; i < n_; ++i) scale = std::fabs(at(i, k)) > scale ? std::fabs(at(i, k)) : scale;
    double below = 0;
    for (std::int64_t i = first + 1; i < n_; ++i) below += at(i, k) != 0;
    if (below == 0) return;
    double norm2 = 0;
    for (std::int64_t i = first; i < n_; ++i) {
      v_[at(i)] = at(i, k) / scale;
      norm2 += v_[at(i)] * v_[at(i)];
    }
    double const norm = std::sqrt(norm2), head = v_[at(first)];
    double const image = head > 0 ? -norm : norm;
    v_[at(first)] = head - image;
    double const beta = 1 / (norm2 - head * image);  // 2 / |v|^2
    double vp = 0;
    for (std::int64_t i = first; i < n_; ++i) {
      double s = 0;
      for (std::int64_t j = first; j < n_; ++j) s += at(i, j) * v_[at(j)];
      p_[at(i)] = beta * s;
      vp += v_[at(i)] * p_[at(i)];
    }
    for (std::int64_t i = first; i < n_; ++i) p_[at(i)] -= 0.5 * beta * vp * v_[at(i)];
    for (std::int64_t i = first; i < n_; ++i)
      for (std::int64_t j = first; j < n_; ++j) at(i, j) -= v_[at(i)] * p_[at(j)] + p_[at(i)] * v_[at(j)];
    at(first, k) = image * scale;
    if (!q_.empty()) reflect_rotation(first, beta);
  }

  // Q := (I - beta v v^T) Q
  void reflect_rotation(std::int64_t first, double beta) {
    std::vector<double> row(static_cast<std::size_t>(n_));
    for (std::int64_t i = first; i < n_; ++i)
      for (std::int64_t j = 0; j < n_; ++j) row[at(j)] += v_[at(i)] * q_[index(i, j)];
    for (std::int64_t i = first; i < n_; ++i)
      for (std::int64_t j = 0; j < n_; ++j) q_[index(i, j)] -= beta * v_[at(i)] * row[at(j)];
  }

  std::int64_t n_;
  std::vector<double> a_, v_, p_, diagonal_, off_, q_;
};

/// Shifted QR steps on the tridiagonal form; rows of `q` (if any) follow the rotations.
class tridiagonal_qr {
 public:
  tridiagonal_qr(std::vector<double>& d, std::vector<double>& e, std::vector<double>& q) : d_(d), e_(e), q_(q), n_(d.size()) {}

  void run() {
    double norm = 0;
    for (std::size_t i = 0; i < n_; ++i) norm = norm > std::fabs(d_[i]) + std::fabs(e_[i]) ? norm : std::fabs(d_[i]) + std::fabs(e_[i]);
    std::size_t budget = 100 * n_ + 100;
    for (std::size_t high = n_; high > 1 && budget > 0; --budget) {
      std::size_t low = high - 1;
      while (low > 0 && std::fabs(e_[low - 1]) > 0x1p-53 * (std::fabs(d_[low - 1]) + std::fabs(d_[low])) + 0x1p-60 * norm) --low;
      if (low > 0) e_[low - 1] = 0;
      if (low + 1 == high)
        --high;
      else
        step(low, high);
    }
  }

 private:
  void step(std::size_t low, std::size_t high) {
    double const a = d_[high - 2], b = e_[high - 2], c = d_[high - 1];
    double const half = (a - c) / 2;
    double const root = std::sqrt(half * half + b * b);
    double const shift = c - b * b / (half + (half < 0 ? -root : root));
    double x = d_[low] - shift, z = e_[low];
    for (std::size_t k = low; k + 1 < high; ++k) {
      double const r = std::sqrt(x * x + z * z);
      double const cosine = r == 0 ? 1 : x / r, sine = r == 0 ? 0 : z / r;
      if (k > low) e_[k - 1] = r;
      double const dk = d_[k], ek = e_[k], dn = d_[k + 1];
      double const cross = 2 * cosine * sine * ek;
      d_[k] = cosine * cosine * dk + cross + sine * sine * dn;
      d_[k + 1] = sine * sine * dk - cross + cosine * cosine * dn;
      e_[k] = cosine * sine * (dn - dk) + (cosine * cosine - sine * sine) * ek;
      x = e_[k];
      if (k + 2 < high) {
        z = sine * e_[k + 1];
        e_[k + 1] = cosine * e_[k + 1];
      }
      if (!q_.empty()) rotate(k, cosine, sine);
    }
  }

  void rotate(std::size_t k, double cosine, double sine) {
    for (std::size_t j = 0; j < n_; ++j) {
      double const p = q_[k * n_ + j], r = q_[(k + 1) * n_ + j];
      q_[k * n_ + j] = cosine * p + sine * r;
      q_[(k + 1) * n_ + j] = cosine * r - sine * p;
    }
  }

  std::vector<double>&d_, &e_, &q_;
  std::size_t n_;
};

}  // namespace detail

/// Eigenvalues (and vectors) of a symmetric matrix, of which only the lower triangle is read: Householder reduction to tridiagonal form,
/// then QR steps with Wilkinson's shift. Backward stable: errors of a few n * 2^-53 times the norm.
/// \throws argument_error unless the matrix is square and finite. \par Complexity O(n^3).
inline symmetric_eigen_result symmetric_eigen(matrix_view<double const> a, bool want_vectors = false) {
  detail::check_square("symmetric_eigen", a);
  auto const n = static_cast<std::size_t>(a.rows());
  if (n == 0) return {};
  detail::tridiagonal_form form(a, want_vectors);
  std::vector<double>&d = form.diagonal(), &q = form.rotation();
  detail::tridiagonal_qr(d, form.off_diagonal(), q).run();
  for (std::size_t i = 0; i < n; ++i) {  // selection sort: few moves of vectors
    std::size_t least = i;
    for (std::size_t k = i + 1; k < n; ++k) least = d[k] < d[least] ? k : least;
    if (least == i) continue;
    std::swap(d[i], d[least]);
    for (std::size_t j = 0; j < n && want_vectors; ++j) std::swap(q[i * n + j], q[least * n + j]);
  }
  return {std::move(d), std::move(q)};
}

/// Factors a symmetric positive definite matrix in place as L L^T, L in the lower triangle (the upper one is left alone).
/// Returns false, with `a` partly overwritten, where a pivot is not positive.
inline bool cholesky(matrix_view<double> a) {
  check_argument(a.rows() == a.cols(), "cholesky", "number of columns", a.cols(), "the number of rows");
  for (std::int64_t j = 0; j < a.rows(); ++j)
    for (std::int64_t i = j; i < a.rows(); ++i) {
      double s = a(i, j);
      for (std::int64_t k = 0; k < j; ++k) s -= a(i, k) * a(j, k);
      if (i == j && !(s > 0)) return false;
      a(i, j) = i == j ? std::sqrt(s) : s / a(j, j);
    }
  return true;
}

/// x := (L L^T)^-1 x with the factor that `cholesky` left.
inline void cholesky_solve(matrix_view<double const> l, view<double> x) {
  check_argument(x.size() == l.rows(), "cholesky_solve", "size of the right-hand side", x.size(), "the number of rows");
  for (std::int64_t i = 0; i < l.rows(); ++i) {
    double s = x[i];
    for (std::int64_t k = 0; k < i; ++k) s -= l(i, k) * x[k];
    x[i] = s / l(i, i);
  }
  for (std::int64_t i = l.rows() - 1; i >= 0; --i) {
    double s = x[i];
    for (std::int64_t k = i + 1; k < l.rows(); ++k) s -= l(k, i) * x[k];
    x[i] = s / l(i, i);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
