#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/rank/plackett_luce.hpp"
#include "fanfold/core/dense.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// When the fit of a Bradley-Terry model ends.
struct bradley_terry_options {
  double ridge = 0;  ///< 1/2 ridge |theta|^2 is taken from the log-likelihood; above 0 any graph will do
  double tolerance = 1e-10;
  std::int64_t most_iterations = 100;
};

/// Strengths of a Bradley-Terry model, P(i beats j) = 1 / (1 + exp(theta_j - theta_i)).
struct bradley_terry_result {
  std::vector<double> theta{};  ///< mean 0
  double log_likelihood = 0;    ///< without the ridge
  std::int64_t iterations = 0;
  bool converged = false;
};

namespace detail {

/// Log-likelihood less the ridge; gradient and negative Hessian where wanted.
inline double bradley_terry_objective(matrix_view<double const> wins, double ridge, std::vector<double> const& theta,
                                      std::vector<double>* gradient, std::vector<double>* curvature) {
  auto const m = static_cast<std::size_t>(wins.rows());
  if (gradient != nullptr) gradient->assign(m, 0.0);
  if (curvature != nullptr) curvature->assign(m * m, 1.0 / static_cast<double>(m));  // fixes the mean, which the data leave open
  double sum = 0;
  for (std::size_t a = 0; a < m; ++a) {
    sum -= 0.5 * ridge * theta[a] * theta[a];
    if (gradient != nullptr) (*gradient)[a] -= ridge * theta[a];
    if (curvature != nullptr) (*curvature)[a * m + a] += ridge;
    for (std::size_t b = 0; b < m; ++b) {
      double const c = wins(static_cast<std::int64_t>(a), static_cast<std::int64_t>(b));
      if (a == b || c == 0) continue;
      double const d = theta[a] - theta[b], lost = math::sigmoid(-d), bend = c * lost * (1 - lost);
      sum -= c * math::softplus(-d);
      if (gradient != nullptr) (*gradient)[a] += c * lost, (*gradient)[b] -= c * lost;
      if (curvature == nullptr) continue;
      (*curvature)[a * m + a] += bend, (*curvature)[b * m + b] += bend;
      (*curvature)[a * m + b] -= bend, (*curvature)[b * m + a] -= bend;
    }
  }
  return sum;
}

}  // namespace detail

/// The pairwise logistic model P(a beats b) = 1 / (1 + exp(theta_b - theta_a)) from win counts [m, m] (row: winner), by damped Newton steps
/// on the concave log-likelihood. Counts of shards add up. Bradley and Terry (1952); its maximum is that of `plackett_luce_fit` with alpha
/// = 0. \throws argument_error unless counts are square, finite and not negative and, without a ridge, the graph strongly connected.
inline bradley_terry_result bradley_terry_fit(matrix_view<double const> wins, bradley_terry_options const& options = {}) {
  std::int64_t const m = wins.rows();
  check_argument(wins.cols() == m, "bradley_terry_fit", "wins.cols()", wins.cols(), "wins.rows()");
  check_argument(options.ridge >= 0 && options.ridge - options.ridge == 0, "bradley_terry_fit", "ridge", options.ridge,
                 "finite and 0 or more");
  comparisons graph(m);
  for (std::int64_t a = 0; a < m; ++a)
    for (std::int64_t b = 0; b < m; ++b) {
      check_argument(wins(a, b) >= 0 && wins(a, b) - wins(a, b) == 0, "bradley_terry_fit", "a count", wins(a, b), "finite and 0 or more");
      graph.win(a, b) = wins(a, b);
    }
  std::vector<std::int32_t> part;
  std::int64_t const parts = detail::comparison_graph(graph).number(part);
  bool whole = parts <= 1;
  for (std::int32_t p : part) whole &= p >= 0 || m == 1;
  if (options.ridge == 0 && !whole)
    check_argument(false, "bradley_terry_fit", "comparison graph", "in parts " + detail::parts_text(part, parts),
                   "strongly connected without a ridge");

  bradley_terry_result result{.theta = std::vector<double>(static_cast<std::size_t>(m), 0.0)};
  std::vector<double> gradient, curvature, next;
  double value = detail::bradley_terry_objective(wins, options.ridge, result.theta, &gradient, &curvature);
  while (result.iterations < options.most_iterations && !result.converged && m > 0) {
    ++result.iterations;
    matrix_view<double> const h(curvature.data(), m, m);
    check_argument(cholesky(h), "bradley_terry_fit", "curvature", "singular", "positive definite");
    cholesky_solve(as_const(h), gradient);
    double longest = 0, scale = 1;
    for (double g : gradient) longest = g > longest ? g : -g > longest ? -g : longest;
    result.converged = longest <= options.tolerance;
    double reached = value;
    for (int halving = 0; halving < 40; ++halving, scale *= 0.5) {
      next = result.theta;
      for (std::size_t i = 0; i < next.size(); ++i) next[i] += scale * gradient[i];
      reached = detail::bradley_terry_objective(wins, options.ridge, next, nullptr, nullptr);
      if (reached >= value) break;
    }
    if (reached < value) break;
    result.theta = next;
    value = detail::bradley_terry_objective(wins, options.ridge, result.theta, &gradient, &curvature);
  }
  result.log_likelihood = detail::bradley_terry_objective(wins, 0, result.theta, nullptr, nullptr);
  return result;
}

/// Results of one game: 1 where `first` won, 0 where `second` did, 1/2 for a draw.
struct game {
  std::int32_t first = 0, second = 0;
  double score = 1;
};

/// A type whose results depend on the order of its items: it has no `combine`, so no fold, partition or shard can be taken of it.
template <class T>
concept order_dependent = T::depends_on_order && !monoid<T>;

/// Online ratings of players: r_a += k (s - 1 / (1 + 10^((r_b - r_a) / 400))), r_b the same amount down (Elo 1978). NOT a monoid: a game
/// changes what later games are worth, and the same games in another order give other ratings. Use `bradley_terry_fit` where that matters.
class elo {
 public:
  static constexpr bool depends_on_order = true;
  static constexpr law laws = law::none;

  explicit elo(std::int64_t players, double k = 4, double start = 1000) : rating_(check(players, k, start), start), k_(k) {}

  /// \throws argument_error for a player that does not exist or plays itself, and a score outside [0, 1].
  void play(game const& g) {
    auto const players = static_cast<std::int64_t>(rating_.size());
    check_argument(g.first >= 0 && g.first < players, "elo", "first", g.first, "a player");
    check_argument(g.second >= 0 && g.second < players && g.second != g.first, "elo", "second", g.second, "another player");
    check_argument(g.score >= 0 && g.score <= 1, "elo", "score", g.score, "in [0, 1]");
    double &a = rating_[static_cast<std::size_t>(g.first)], &b = rating_[static_cast<std::size_t>(g.second)];
    double const gain = k_ * (g.score - math::sigmoid((a - b) * (2.302585092994045684 / 400)));
    a += gain;
    b -= gain;
  }
  void play(view<game const> games) {
    for (game const& g : games) play(g);
  }
  std::vector<double> const& ratings() const { return rating_; }

 private:
  static std::size_t check(std::int64_t players, double k, double start) {
    check_argument(players >= 0, "elo", "players", players, "0 or more");
    check_argument(k >= 0 && k - k == 0, "elo", "k", k, "finite and 0 or more");
    check_argument(start - start == 0, "elo", "start", start, "finite");
    return static_cast<std::size_t>(players);
  }
  std::vector<double> rating_;
  double k_;
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
