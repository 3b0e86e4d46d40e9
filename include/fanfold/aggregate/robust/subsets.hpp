#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/dense.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

/// Finds n - f rows of which no two are farther apart than a limit, the lexicographically first ones. Leaving out at most f rows so that
/// no far pair remains is a vertex cover: a branch dies when more than f are out, counting one for each of disjoint far pairs ahead.
class close_rows {
 public:
  close_rows(row_geometry const& g, std::int64_t f, workspace::frame& frame)
      : g_(g), f_(f), out_(frame.take<std::int32_t>(g.rows)), used_(frame.take<unsigned char>(g.rows)) {}

  /// Whether such rows exist; then `in(i)` says which.
  bool find(double limit) {
    limit_ = limit;
    std::int64_t out = 0;
    for (std::int64_t i = 0; i < g_.rows; ++i) out += out_[i] = !g_.finite[i];
    return search(0, 0, out);
  }
  bool in(std::int64_t i) const { return out_[i] == 0; }

 private:
  bool apart(std::int64_t i, std::int64_t j) const { return !(g_.distance(i, j) <= limit_); }

  std::int64_t disjoint_far_pairs(std::int64_t from) {
    std::int64_t pairs = 0;
    for (std::int64_t i = from; i < g_.rows; ++i) used_[i] = out_[i] != 0;
    for (std::int64_t i = from; i < g_.rows; ++i)
      for (std::int64_t j = i + 1; j < g_.rows && !used_[i]; ++j)
        if (!used_[j] && apart(i, j)) {
          used_[i] = used_[j] = 1;
          ++pairs;
        }
    return pairs;
  }

  // Rows before `i` are decided, `in` of them are in; out_ counts the reasons why a row is out.
  bool search(std::int64_t i, std::int64_t in, std::int64_t out) {
    std::int64_t const wanted = g_.rows - f_;
    for (; i < g_.rows && out_[i] != 0; ++i) {}
    if (in == wanted) {
      for (; i < g_.rows; ++i) ++out_[i];
      return true;
    }
    if (out + disjoint_far_pairs(i) > f_ || i == g_.rows) return false;
    std::int64_t more = 0;
    for (std::int64_t j = i + 1; j < g_.rows; ++j)
      if (apart(i, j)) more += out_[j]++ == 0;
    if (out + more <= f_ && search(i + 1, in + 1, out + more)) return true;
    for (std::int64_t j = i + 1; j < g_.rows; ++j)
      if (apart(i, j)) --out_[j];
    if (out + 1 > f_) return false;
    ++out_[i];
    if (search(i + 1, in, out + 1)) return true;
    --out_[i];
    return false;
  }

  row_geometry const& g_;
  std::int64_t f_;
  double limit_ = 0;
  view<std::int32_t> out_;
  view<unsigned char> used_;
};

}  // namespace detail

/// The mean of the n - f rows with the smallest diameter (largest distance of two of them), exactly: bisection over the distances, with an
/// exact search for a close enough set. Ties: the lexicographically first set. Needs n >= 2f + 1. Worst case exponential in f, in
/// practice instant for n <= 50. El Mhamdi et al., Genuinely Distributed Byzantine Machine Learning, 2020.
struct minimum_diameter_average {
  std::int64_t f = 0;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const { detail::check_majority("minimum_diameter_average", n, f); }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    detail::check_finite_rows("minimum_diameter_average", g, g.rows - f);
    workspace::frame frame(ws);
    std::int64_t const n = g.rows;
    view<double> const limit = frame.take<double>(n * (n - 1) / 2 + 1);
    std::int64_t count = 0;
    limit[count++] = 0;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = i + 1; j < n; ++j)
        if (g.distance(i, j) < detail::infinite) limit[count++] = g.distance(i, j);
    view<std::int32_t> const order = detail::smallest(limit.subview(0, count), count, frame, ws);
    detail::close_rows rows(g, f, frame);
    std::int64_t low = 0, high = count - 1;  // the largest limit is enough where all finite rows are at finite distances
    while (low < high) {
      std::int64_t const middle = low + (high - low) / 2;
      if (rows.find(limit[order[middle]]))
        high = middle;
      else
        low = middle + 1;
    }
    check_argument(rows.find(limit[order[low]]), "minimum_diameter_average", "number of rows at finite distances", count, "at least n - f");
    detail::set(weight, 0);
    for (std::int64_t i = 0; i < n; ++i)
      if (rows.in(i)) weight[i] = 1 / static_cast<double>(n - f);
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
};

/// The mean of the n - f rows whose covariance has the smallest largest eigenvalue, by looking at every subset (of finite rows) with an
/// exact eigenvalue each. Ties: the lexicographically first set. Needs n >= 2f + 1. (ByzFL takes one power iteration from a random start
/// for the eigenvalue: its results are random.) Allouah et al., On the Privacy-Robustness-Utility Trilemma, 2023 (arXiv 2302.04787).
/// \throws argument_error for more than `max_subsets` subsets: use covariance_filter there.
struct smallest_eigen_average {
  std::int64_t f = 0;
  std::int64_t max_subsets = 1000000;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const {
    detail::check_majority("smallest_eigen_average", n, f);
    check_argument(subsets(n, n - f) <= static_cast<double>(max_subsets), "smallest_eigen_average", "number of subsets", subsets(n, n - f),
                   "at most max_subsets (covariance_filter has no such limit)");
  }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    detail::check_finite_rows("smallest_eigen_average", g, g.rows - f);
    workspace::frame frame(ws);
    std::int64_t const size = g.rows - f;
    view<std::int32_t> const row = frame.take<std::int32_t>(g.rows), chosen = frame.take<std::int32_t>(size), best = frame.take<std::int32_t>(size);
    std::int64_t finite = 0;
    for (std::int64_t i = 0; i < g.rows; ++i)
      if (g.finite[i]) row[finite++] = static_cast<std::int32_t>(i);
    for (std::int64_t k = 0; k < size; ++k) chosen[k] = static_cast<std::int32_t>(k);
    matrix_view<double> const b = detail::take_matrix(frame, size, size);
    view<double> const mean = frame.take<double>(size);
    double least = detail::infinite;
    do {
      if (least > 0 && least < detail::infinite && surely_above(g, row, chosen, least * (1 + 1e-9), mean, b)) continue;
      double const value = spread(g, row, chosen, b);
      if (!(value < least)) continue;
      least = value;
      for (std::int64_t k = 0; k < size; ++k) best[k] = row[chosen[k]];
    } while (next(chosen, finite));
    check_argument(least < detail::infinite, "smallest_eigen_average", "smallest eigenvalue", least, "finite");
    detail::set(weight, 0);
    for (std::int32_t i : best) weight[i] = 1 / static_cast<double>(size);
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }

 private:
  static double subsets(std::int64_t n, std::int64_t k) {
    double count = 1;
    for (std::int64_t i = 1; i <= n - k; ++i) count *= static_cast<double>(k + i) / static_cast<double>(i);
    return count;
  }
  static bool next(view<std::int32_t> chosen, std::int64_t n) {
    std::int64_t k = chosen.size() - 1;
    while (k >= 0 && chosen[k] == n - chosen.size() + k) --k;
    if (k < 0) return false;
    ++chosen[k];
    for (++k; k < chosen.size(); ++k) chosen[k] = chosen[k - 1] + 1;
    return true;
  }
  // Whether the largest eigenvalue exceeds `limit`: limit I - B has a pivot that is not positive. A tenth of the work of the eigenvalue;
  // rounding moves the answer by far less than the margin in `limit`.
  static bool surely_above(row_geometry const& g, view<std::int32_t const> row, view<std::int32_t const> chosen, double limit, view<double> mean,
                           matrix_view<double> a) {
    std::int64_t const n = chosen.size();
    double const share = 1 / static_cast<double>(n);
    double all = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      double const* const from = g.distance.row(row[chosen[i]]).data();
      double* const to = a.row(i).data();
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) sum += to[j] = from[row[chosen[j]]];
      if (!(sum < detail::infinite)) return false;
      all += mean[i] = sum * share;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      double* const to = a.row(i).data();
      double const less = mean[i] - all * share;
      for (std::int64_t j = i; j < n; ++j) to[j] = 0.5 * share * (to[j] - less - mean[j]);
      to[i] += limit;
    }
    for (std::int64_t k = 0; k < n; ++k) {
      double const* const pivot = a.row(k).data();
      if (!(pivot[k] > 0)) return true;
      double const scale = 1 / pivot[k];
      for (std::int64_t i = k + 1; i < n; ++i) {
        double* const to = a.row(i).data();
        double const factor = pivot[i] * scale;
        for (std::int64_t j = i; j < n; ++j) to[j] -= factor * pivot[j];
      }
    }
    return false;
  }
  // the largest eigenvalue of -1/2 J D2 J / size
  static double spread(row_geometry const& g, view<std::int32_t const> row, view<std::int32_t const> chosen, matrix_view<double> b) {
    std::int64_t const n = chosen.size();
    double const share = 1 / static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      double sum = 0;
      for (std::int64_t j = 0; j < n; ++j) sum += b(i, j) = g.distance(row[chosen[i]], row[chosen[j]]);
      if (!(sum < detail::infinite)) return detail::infinite;
      for (std::int64_t j = 0; j < n; ++j) b(i, j) -= sum * share;
    }
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::int64_t i = 0; i < n; ++i) sum += b(i, j);
      for (std::int64_t i = 0; i < n; ++i) b(i, j) = -0.5 * (b(i, j) - sum * share) * share;
    }
    return symmetric_eigen(b).values.back();
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
