#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// How many neighbours a row's score sums: n - f - 2 (the paper, Flower, the krum package) or n - f - 1 (ByzFL).
enum class krum_neighbours { blanchard, byzfl };

namespace detail {

constexpr std::int64_t krum_count(krum_neighbours kind, std::int64_t n, std::int64_t f) { return n - f - (kind == krum_neighbours::blanchard ? 2 : 1); }

inline void check_krum(char const* rule, krum_neighbours kind, std::int64_t n, std::int64_t f) {
  if (kind == krum_neighbours::blanchard)
    check_faulty(rule, n, f, 2 * f + 3, "2 f + 3");
  else
    check_majority(rule, n, f);
}

/// Score of each row: the sum, in rising order, of its k smallest squared distances to other rows; +inf where fewer are finite.
inline void krum_scores(row_geometry const& g, std::int64_t k, view<double> score, workspace& ws) {
  workspace::frame frame(ws);
  view<std::int32_t> const order = frame.take<std::int32_t>(g.rows);
  for (std::int64_t i = 0; i < g.rows; ++i) {
    view<double const> const d = row_distances(g, i);
    stable_order(d, order, ws);
    score[i] = 0;
    std::int64_t left = k;
    for (std::int64_t j = 0; j < g.rows && left > 0; ++j)
      if (order[j] != i) {
        score[i] += d[order[j]];
        --left;
      }
    if (left > 0 || !g.finite[i]) score[i] = infinite;
  }
}

}  // namespace detail

/// The row with the smallest sum of squared distances to its n - f - 2 nearest others: the output is one of the inputs, bit for bit.
/// Ties go to the smaller index. Needs n >= 2f + 3 (ByzFL's count: 2f + 1).
/// Blanchard et al., Machine Learning with Adversaries, 2017 (arXiv 1703.02757).
struct krum {
  std::int64_t f = 0;
  krum_neighbours neighbours = krum_neighbours::blanchard;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const { detail::check_krum("krum", neighbours, n, f); }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    detail::check_finite_rows("krum", g, g.rows - f);
    workspace::frame frame(ws);
    view<double> const score = frame.take<double>(g.rows);
    detail::krum_scores(g, detail::krum_count(neighbours, g.rows, f), score, ws);
    std::int64_t best = 0;
    for (std::int64_t i = 1; i < g.rows; ++i) best = score[i] < score[best] ? i : best;
    detail::set(weight, 0);
    weight[best] = 1;
  }
  static std::int64_t most_faulty(std::int64_t n) { return n < 3 ? 0 : (n - 3) / 2; }
  /// Proven for n - f neighbours (Allouah et al. 2023).
  static double kappa(std::int64_t n, std::int64_t f) { return 6 * (1 + static_cast<double>(f) / static_cast<double>(n - 2 * f)); }
};

/// The mean of the m rows with the smallest Krum scores; m = 0: n - f - 2 (ByzFL: n - f). Unweighted: weights that clients report about
/// themselves would hand an attacker a free multiplier. Same source and limits as `krum`.
struct multi_krum {
  std::int64_t f = 0;
  std::int64_t m = 0;
  krum_neighbours neighbours = krum_neighbours::blanchard;

  static constexpr needs requirement() { return needs::distances; }
  void check(std::int64_t n) const {
    detail::check_krum("multi_krum", neighbours, n, f);
    check_argument(m >= 0 && m <= n, "multi_krum", "m", m, "in 0..n (0: the default)");
  }
  std::int64_t selected(std::int64_t n) const { return m > 0 ? m : n - f - (neighbours == krum_neighbours::blanchard ? 2 : 0); }
  void weigh(row_geometry const& g, view<double> weight, workspace& ws) const {
    detail::check_finite_rows("multi_krum", g, g.rows - f);
    workspace::frame frame(ws);
    view<double> const score = frame.take<double>(g.rows);
    detail::krum_scores(g, detail::krum_count(neighbours, g.rows, f), score, ws);
    std::int64_t const count = selected(g.rows);
    std::int64_t finite = 0;
    for (std::int64_t i = 0; i < g.rows; ++i) finite += score[i] < detail::infinite;
    check_argument(count <= finite, "multi_krum", "m", count, "at most the number of finite scores");
    detail::set(weight, 0);
    for (std::int32_t i : detail::smallest(score, count, frame, ws)) weight[i] = 1 / static_cast<double>(count);
  }
  static std::int64_t most_faulty(std::int64_t n) { return krum::most_faulty(n); }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
