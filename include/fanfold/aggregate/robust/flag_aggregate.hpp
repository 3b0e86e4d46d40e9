#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/dense.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Weight of a pair in the regulariser: lambda / (p (p - 1)) of a normalised pair (the paper), or what the authors' code computes: its
/// square, of pairs that are not normalised.
enum class pair_weight { paper, code };
/// What the projected sum is divided by: p (the paper), the rank (the authors' code), or p with the median length of the rows given back.
enum class flag_scale { paper, code, median_norm };

/// Flag Aggregator: the subspace Y of dimension `rank` that explains the normalised rows g_i best in the sense of
/// sum over i of sqrt(1 - |Y'g_i|^2) + lambda / (p (p - 1)) sum over i != j of sqrt(1 - |Y'(g_i - g_j)|^2 / |g_i - g_j|^2), found by
/// reweighted eigenproblems of size p x p; the output is Y Y' sum over i of g_i, over the scale. Rows that are zero or not finite count as
/// absent. A large rank contains an attacker's direction too: normalisation, not rejection, then bounds its influence.
/// Almasi et al. 2024 (arXiv 2302.05865). Deterministic: the first subspace is that of equal weights (the authors start at random).
struct flag_aggregate {
  std::int64_t rank = 0;  ///< 0: (p + 1) / 2 rounded up
  double lambda = 0;
  std::int64_t iterations = 5;  ///< reweighting steps at most; it stops before where the objective falls by 1e-10 or less
  double epsilon = 1e-7;        ///< smoothing of the square roots
  pair_weight pairs = pair_weight::paper;
  flag_scale scale = flag_scale::paper;

  struct result {
    std::vector<double> explained;  ///< |Y'g_i|^2 of each row, in [0, 1]; 0 for absent ones
    std::vector<double> objective;  ///< smoothed, of each accepted subspace; never rises
    std::vector<double> projection_weight;  ///< on raw rows: Y Y' sum of g_i before the scale
    std::int64_t rank = 0;          ///< after cutting to the rank of the data
    double gap = 0;                 ///< relative gap of the eigenvalues around the cut; 0: the subspace is not unique
  };

  static constexpr needs requirement() { return needs::products; }
  void check(std::int64_t n) const {
    check_argument(n >= 1, "flag_aggregate", "number of rows", n, "1 or more");
    check_argument(rank >= 0 && rank <= n, "flag_aggregate", "rank", rank, "in 1..n, or 0 for the default");
    check_argument(lambda >= 0 && lambda < detail::infinite, "flag_aggregate", "lambda", lambda, "0 or more and finite");
    check_argument(iterations >= 0, "flag_aggregate", "iterations", iterations, "0 or more");
    check_argument(epsilon > 0, "flag_aggregate", "epsilon", epsilon, "above 0");
  }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    result const r = solve(g, ws);
    std::int64_t p = 0;
    for (std::int64_t i = 0; i < g.rows; ++i) p += present(g, i);
    double factor = scale == flag_scale::code ? 1 / static_cast<double>(r.rank) : 1 / static_cast<double>(p);
    if (scale == flag_scale::median_norm) factor *= median_norm(g, p, ws);
    detail::set(weight, 0);
    for (std::int64_t i = 0; i < g.rows; ++i) weight[i] = r.projection_weight[static_cast<std::size_t>(i)] * factor;
  }

  /// The subspace problem alone.
  result solve(row_geometry const& g, workspace& ws) const {
    workspace::frame frame(ws);
    view<std::int32_t> const row = frame.take<std::int32_t>(g.rows);
    std::int64_t p = 0;
    for (std::int64_t i = 0; i < g.rows; ++i)
      if (present(g, i)) row[p++] = static_cast<std::int32_t>(i);
    check_argument(p > 0, "flag_aggregate", "number of rows that are finite and not zero", p, "1 or more");
    problem now{*this, detail::take_matrix(frame, p, p), p, rank > 0 ? (rank < p ? rank : p) : (p + 2) / 2};
    if (now.rank > p) now.rank = p;
    for (std::int64_t i = 0; i < p; ++i)
      for (std::int64_t j = 0; j < p; ++j)
        now.k(i, j) = i == j ? 1 : g.product(row[i], row[j]) / (std::sqrt(g.product(row[i], row[i])) * std::sqrt(g.product(row[j], row[j])));

    matrix_view<double> const m = detail::take_matrix(frame, p, p), c = detail::take_matrix(frame, p, p), projected = detail::take_matrix(frame, p, p);
    matrix_view<double> const best_c = detail::take_matrix(frame, p, p), best_projected = detail::take_matrix(frame, p, p);
    result r;
    for (std::int64_t step = 0; step <= iterations; ++step) {
      if (step == 0) {
        detail::set(m, 0);
        for (std::int64_t i = 0; i < p; ++i) m(i, i) = 1;
      } else {
        now.reweigh(best_projected, m);
      }
      subspace const y = now.fit(m, c, projected);
      double const value = now.objective(projected);
      if (step > 0 && value > r.objective.back()) break;
      bool const still = step > 0 && r.objective.back() - value <= 1e-10;
      r.objective.push_back(value);
      r.rank = y.rank;
      r.gap = y.gap;
      copy(c, best_c);
      copy(projected, best_projected);
      if (still) break;
    }
    finish(now, g, row, best_c, best_projected, r);
    return r;
  }

 private:
  struct subspace {
    std::int64_t rank;
    double gap;
  };

  // The problem over the p present rows: k holds their cosines. Y = G C, `projected` = C'K in its first `rank` rows.
  struct problem {
    flag_aggregate const& rule;
    matrix_view<double> k;
    std::int64_t p;
    std::int64_t rank;

    double explained(matrix_view<double const> projected, std::int64_t i) const {
      double s = 0;
      for (std::int64_t a = 0; a < projected.rows(); ++a) s += projected(a, i) * projected(a, i);
      return s < 1 ? s : 1;
    }
    double separation(std::int64_t i, std::int64_t j) const {
      double const s = 2 - 2 * k(i, j);
      return s < 1e-13 ? 0 : s;  // what rounding leaves of coincident rows
    }
    // What a pair leaves unexplained, 0 to 1 in the paper's form; below 0: coincident rows.
    double pair_rest(matrix_view<double const> projected, std::int64_t i, std::int64_t j) const {
      double const far = separation(i, j);
      if (far == 0) return -1;
      double s = 0;
      for (std::int64_t a = 0; a < projected.rows(); ++a) s += (projected(a, i) - projected(a, j)) * (projected(a, i) - projected(a, j));
      if (rule.pairs == pair_weight::code) return std::fabs(1 - s);
      return s < far ? 1 - s / far : 0;
    }
    double pair_share() const { return p < 2 ? 0 : rule.lambda / (static_cast<double>(p) * static_cast<double>(p - 1)); }

    double objective(matrix_view<double const> projected) const {
      double sum = 0, regular = 0;
      for (std::int64_t i = 0; i < p; ++i) sum += std::sqrt(1 - explained(projected, i) + rule.epsilon);
      if (rule.lambda > 0)
        for (std::int64_t i = 0; i < p; ++i)
          for (std::int64_t j = 0; j < p; ++j)
            if (double const rest = i == j ? -1 : pair_rest(projected, i, j); rest >= 0) regular += std::sqrt(rest + rule.epsilon);
      return sum + pair_share() * regular;
    }

    // m := diag(w) + 2 (diag(W 1) - W) with the weights of the reweighting step
    void reweigh(matrix_view<double const> projected, matrix_view<double> m) const {
      detail::set(m, 0);
      for (std::int64_t i = 0; i < p; ++i) m(i, i) = 1 / std::sqrt(1 - explained(projected, i) + rule.epsilon);
      if (!(rule.lambda > 0)) return;
      for (std::int64_t i = 0; i < p; ++i)
        for (std::int64_t j = 0; j < p; ++j) {
          double const rest = i == j ? -1 : pair_rest(projected, i, j);
          if (rest < 0) continue;
          double const share = rule.pairs == pair_weight::paper ? pair_share() / separation(i, j) : pair_share() * pair_share();
          double const w = share / std::sqrt(rest + rule.epsilon);
          m(i, i) += 2 * w;
          m(i, j) -= 2 * w;
        }
    }

    // The top eigenvectors of S'KS with S S' = m: C = S U L^(-1/2) in columns, C'K in rows.
    subspace fit(matrix_view<double> m, matrix_view<double> c, matrix_view<double> projected) const {
      cholesky(m);
      std::vector<double> memory(static_cast<std::size_t>(2 * p * p));
      matrix_view<double> const ks(memory.data(), p, p), sks(memory.data() + p * p, p, p);
      for (std::int64_t i = 0; i < p; ++i)
        for (std::int64_t a = 0; a < p; ++a) {
          double s = 0;
          for (std::int64_t j = a; j < p; ++j) s += k(i, j) * m(j, a);
          ks(i, a) = s;
        }
      for (std::int64_t a = 0; a < p; ++a)
        for (std::int64_t b = 0; b <= a; ++b) {
          double s = 0;
          for (std::int64_t i = a; i < p; ++i) s += m(i, a) * ks(i, b);
          sks(a, b) = sks(b, a) = s;
        }
      auto const eigen = symmetric_eigen(sks, true);
      auto const value = [&](std::int64_t a) { return eigen.values[static_cast<std::size_t>(p - 1 - a)]; };
      std::int64_t kept = 0;
      while (kept < rank && value(kept) > 1e-12 * value(0)) ++kept;
      detail::set(c, 0);
      detail::set(projected, 0);
      for (std::int64_t a = 0; a < kept; ++a) {
        double const* const u = eigen.vectors.data() + (p - 1 - a) * p;
        double const length = std::sqrt(value(a));
        for (std::int64_t i = 0; i < p; ++i) {
          double s = 0, t = 0;
          for (std::int64_t j = 0; j <= i; ++j) s += m(i, j) * u[j];
          for (std::int64_t j = 0; j < p; ++j) t += ks(i, j) * u[j];
          c(i, a) = s / length;
          projected(a, i) = t / length;
        }
      }
      return {kept, kept < p ? (value(kept - 1) - value(kept)) / value(0) : 1};
    }
  };

  static bool present(row_geometry const& g, std::int64_t i) { return g.finite[i] && g.product(i, i) > 0; }
  static void copy(matrix_view<double const> from, matrix_view<double> to) {
    for (std::int64_t i = 0; i < from.rows() * from.cols(); ++i) to.data()[i] = from.data()[i];
  }
  static double median_norm(row_geometry const& g, std::int64_t p, workspace& ws) {
    workspace::frame frame(ws);
    view<double> const norm = frame.take<double>(p);
    std::int64_t count = 0;
    for (std::int64_t i = 0; i < g.rows; ++i)
      if (present(g, i)) norm[count++] = std::sqrt(g.product(i, i));
    view<std::int32_t> const order = detail::smallest(norm, p, frame, ws);
    return 0.5 * (norm[order[(p - 1) / 2]] + norm[order[p / 2]]);
  }
  static void finish(problem const& now, row_geometry const& g, view<std::int32_t const> row, matrix_view<double const> c,
                     matrix_view<double const> projected, result& r) {
    r.explained.assign(static_cast<std::size_t>(g.rows), 0);
    r.projection_weight.assign(static_cast<std::size_t>(g.rows), 0);
    std::vector<double> sum(static_cast<std::size_t>(now.p));  // C'K 1
    for (std::int64_t a = 0; a < now.p; ++a)
      for (std::int64_t i = 0; i < now.p; ++i) sum[static_cast<std::size_t>(a)] += projected(a, i);
    for (std::int64_t i = 0; i < now.p; ++i) {
      auto const at = static_cast<std::size_t>(row[i]);
      r.explained[at] = now.explained(projected, i);
      double s = 0;
      for (std::int64_t a = 0; a < now.p; ++a) s += c(i, a) * sum[static_cast<std::size_t>(a)];
      r.projection_weight[at] = s / std::sqrt(g.product(row[i], row[i]));
    }
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
