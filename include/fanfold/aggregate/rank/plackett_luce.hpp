#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/aggregate/rank/measurements.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/monoid/binned_sum.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// When the fit of a Plackett-Luce model ends.
struct plackett_luce_options {
  double alpha = 0.01;                 ///< added to every rate: keeps the chain connected, pulls scores together
  double tolerance = 1e-8;             ///< of the L1 change of the scores, times the number of models
  std::int64_t most_iterations = 100;  ///< 1: plain Luce spectral ranking
};

/// Scores of a Plackett-Luce model, P(ranking) = product over places of w / (sum of the w that are left), w = exp(theta).
struct plackett_luce_result {
  std::vector<double> theta{};   ///< mean 0 over the measured models, NaN for the others
  std::vector<double> weight{};  ///< exp(theta) scaled to the sum m of measured models, NaN for the others
  double log_likelihood = 0;
  std::int64_t iterations = 0;
  bool converged = false;
  std::vector<std::int32_t> component{};  ///< strongly connected part of the comparison graph, -1 where never compared
  std::int64_t components = 0;
};

/// The stationary distribution of a chain from its off-diagonal rates q [m, m], by the elimination of Grassmann, Taksar and Heyman (1985),
/// which never subtracts and so is accurate to rounding. `q` is overwritten. Empty where the chain is not strongly connected.
inline std::vector<double> stationary_distribution(matrix_view<double> q) {
  std::int64_t const m = q.rows();
  std::vector<double> pi(static_cast<std::size_t>(m));
  for (std::int64_t k = m - 1; k >= 1; --k) {
    double out = 0;
    for (std::int64_t j = 0; j < k; ++j) out += q(k, j);
    if (!(out > 0)) return {};
    for (std::int64_t i = 0; i < k; ++i) q(i, k) /= out;
    for (std::int64_t i = 0; i < k; ++i)
      for (std::int64_t j = 0; j < k; ++j)
        if (i != j) q(i, j) += q(i, k) * q(k, j);
  }
  double total = 0;
  for (std::int64_t k = 0; k < m; ++k) {
    double p = k == 0 ? 1 : 0;
    for (std::int64_t i = 0; i < k; ++i) p += pi[static_cast<std::size_t>(i)] * q(i, k);
    if (!(p > 0)) return {};
    pi[static_cast<std::size_t>(k)] = p;
    total += p;
  }
  for (double& p : pi) p /= total;
  return pi;
}

namespace detail {

/// Strongly connected parts of the graph loser -> winner, numbered by their smallest model; -1 for models without an edge.
class comparison_graph {
 public:
  explicit comparison_graph(comparisons const& data) : m_(data.models), beaten_by_(static_cast<std::size_t>(m_ * m_), 0) {
    for (std::int64_t r = 0; r < data.rankings(); ++r)
      for (std::int64_t i = data.offsets[at(r)]; i < data.offsets[at(r + 1)]; ++i)
        for (std::int64_t j = i + 1; j < data.offsets[at(r + 1)]; ++j)
          beaten_by_[at(std::int64_t{data.ids[at(j)]} * m_ + data.ids[at(i)])] = 1;
    for (std::int64_t a = 0; a < m_; ++a)
      for (std::int64_t b = 0; b < m_; ++b)
        if (a != b && data.win(a, b) > 0) beaten_by_[at(b * m_ + a)] = 1;
  }
  std::int64_t number(std::vector<std::int32_t>& part) const {
    part.assign(static_cast<std::size_t>(m_), -1);
    std::int32_t parts = 0;
    for (std::int64_t s = 0; s < m_; ++s) {
      if (part[at(s)] >= 0 || !compared(s)) continue;
      auto const up = reached(s, false), down = reached(s, true);
      for (std::int64_t k = 0; k < m_; ++k)
        if (up[at(k)] != 0 && down[at(k)] != 0) part[at(k)] = parts;
      ++parts;
    }
    return parts;
  }
  bool compared(std::int64_t s) const {
    bool any = false;
    for (std::int64_t k = 0; k < m_; ++k) any |= beaten_by_[at(s * m_ + k)] != 0 || beaten_by_[at(k * m_ + s)] != 0;
    return any;
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  std::vector<char> reached(std::int64_t from, bool backwards) const {
    std::vector<char> seen(static_cast<std::size_t>(m_), 0);
    std::vector<std::int64_t> open{from};
    seen[at(from)] = 1;
    while (!open.empty()) {
      std::int64_t const a = open.back();
      open.pop_back();
      for (std::int64_t b = 0; b < m_; ++b)
        if (seen[at(b)] == 0 && beaten_by_[at(backwards ? b * m_ + a : a * m_ + b)] != 0) seen[at(b)] = 1, open.push_back(b);
    }
    return seen;
  }
  std::int64_t m_;
  std::vector<char> beaten_by_;
};

inline std::string parts_text(std::vector<std::int32_t> const& part, std::int64_t parts) {
  std::string text;
  for (std::int64_t p = 0; p < parts; ++p) {
    text += "{";
    bool first = true;
    for (std::size_t s = 0; s < part.size(); ++s)
      if (part[s] == p) text += (first ? "" : " ") + std::to_string(s), first = false;
    text += p + 1 < parts ? "} " : "}";
  }
  return text;
}

/// The rates that rankings add to a chain: for each (loser, winner) the sum over rankings of 1 / (sum of the weights from the winner's
/// place on). Pairs are binned once; a step is one gather of those numbers and one fold a pair, in exact order-independent sums.
class ranking_rates {
 public:
  template <host_executor E>
  ranking_rates(E const& ex, comparisons const& data, workspace& ws) : data_(data), share_(data.ids.size()) {
    std::int64_t const m = data.models;
    std::vector<std::int32_t> keys, place;
    for (std::int64_t r = 0; r < data.rankings(); ++r)
      for (std::int64_t i = data.offsets[at(r)]; i < data.offsets[at(r + 1)]; ++i)
        for (std::int64_t j = i + 1; j < data.offsets[at(r + 1)]; ++j) {
          keys.push_back(static_cast<std::int32_t>(data.ids[at(j)] * m + data.ids[at(i)]));
          place.push_back(static_cast<std::int32_t>(i));
        }
    workspace::frame frame(ws);
    auto const entries = static_cast<std::int64_t>(keys.size());
    offsets_.resize(at(m * m + 1));
    place_.resize(keys.size());
    auto const from = frame.take<std::int32_t>(entries);
    bin(ex, dense_rows{}, keys,
        bin_view{offsets_, frame.take<std::int32_t>(m * m), frame.take<std::int32_t>(m * m), frame.take<std::int32_t>(entries), from}, ws);
    for (std::size_t e = 0; e < place_.size(); ++e) place_[e] = place[at(from[static_cast<std::int64_t>(e)])];
  }

  /// q := the rates for weights w.
  template <host_executor E>
  void fill(E const& ex, std::vector<double> const& w, view<double> q, workspace& ws) {
    for (std::int64_t r = 0; r < data_.rankings(); ++r) {
      double left = 0;
      for (std::int64_t i = data_.offsets[at(r + 1)] - 1; i >= data_.offsets[at(r)]; --i) {
        left += w[at(data_.ids[at(i)])];
        share_[at(i)] = 1 / left;
      }
    }
    matrix_view<double const> const x(share_.data(), static_cast<std::int64_t>(share_.size()), 1);
    neighbour_fold(ex, binned_sum<double>{}, csr_view<float>{offsets_, place_, {}}, source_rows{x},
                   matrix_view<double>(q.data(), q.size(), 1), ws);
  }

 private:
  template <class Index>
  static std::size_t at(Index i) {
    return static_cast<std::size_t>(i);
  }
  comparisons const& data_;
  std::vector<double> share_;
  std::vector<std::int64_t> offsets_;
  std::vector<std::int32_t> place_;
};

inline double plackett_luce_log_likelihood(comparisons const& data, std::vector<double> const& w) {
  double sum = 0;
  auto const at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t r = 0; r < data.rankings(); ++r) {
    double left = 0;
    for (std::int64_t i = data.offsets[at(r + 1)] - 1; i >= data.offsets[at(r)]; --i) {
      double const mine = w[static_cast<std::size_t>(data.ids[at(i)])];
      left += mine;
      sum += math::log(mine / left);
    }
  }
  for (std::int64_t a = 0; a < data.models; ++a)
    for (std::int64_t b = 0; b < data.models; ++b)
      if (data.win(a, b) > 0) sum += data.win(a, b) * math::log(w[at(a)] / (w[at(a)] + w[at(b)]));
  return sum;
}

}  // namespace detail

/// Fits Plackett-Luce scores to rankings and comparisons by iterated Luce spectral ranking: rates from loser to winner of 1 / (sum of the
/// weights still in the race), the stationary distribution of that chain as the next weights. With alpha = 0 the fixed point is the maximum
/// of the likelihood (Maystre and Grossglauser 2015); ONEBench, 2024 (arXiv 2412.06745), uses it to rank models by sparse, unlike
/// measurements. Models that were never compared get NaN.
/// \throws argument_error for alpha that is negative or not finite, and for alpha = 0 on a comparison graph that is not strongly connected:
/// the text names its parts.
/// \par Determinism  rates are order-independent sums: the order of the samples changes the ids' places only, never a bit of the scores.
/// \par Complexity O(pairs) memory; an iteration costs O(pairs + m^3 / 3).
template <host_executor E, fanfold::detail::call_option... Options>
plackett_luce_result plackett_luce_fit(E const& ex, comparisons const& data, plackett_luce_options const& options, Options&&... extra) {
  std::int64_t const m = data.models;
  check_argument(options.alpha >= 0 && options.alpha - options.alpha == 0, "plackett_luce_fit", "alpha", options.alpha,
                 "finite and 0 or more");
  check_argument(options.tolerance >= 0, "plackett_luce_fit", "tolerance", options.tolerance, "0 or more");
  check_argument(options.most_iterations >= 1, "plackett_luce_fit", "most_iterations", options.most_iterations, "1 or more");
  check_argument(static_cast<std::int64_t>(data.wins.size()) == m * m, "plackett_luce_fit", "size of wins",
                 static_cast<std::int64_t>(data.wins.size()), "m * m");
  plackett_luce_result result{};
  result.components = detail::comparison_graph(data).number(result.component);
  double const unknown = __builtin_nan("");
  result.theta.assign(static_cast<std::size_t>(m), unknown), result.weight.assign(static_cast<std::size_t>(m), unknown);
  std::vector<std::size_t> known;
  for (std::size_t s = 0; s < result.component.size(); ++s)
    if (result.component[s] >= 0 || m == 1) known.push_back(s);
  if (known.empty()) return result;
  if (options.alpha == 0 && result.components > 1)
    check_argument(false, "plackett_luce_fit", "comparison graph", "in parts " + detail::parts_text(result.component, result.components),
                   "strongly connected where alpha is 0");

  fanfold::detail::call_workspace ws(ex, extra...);
  detail::ranking_rates rates(ex, data, ws.get());
  auto const n = static_cast<std::int64_t>(known.size());
  std::vector<double> w(static_cast<std::size_t>(m), 1.0), theta(known.size(), 0.0), q(static_cast<std::size_t>(m * m)),
      chain(known.size() * known.size());
  while (result.iterations < options.most_iterations && !result.converged) {
    ++result.iterations;
    rates.fill(ex, w, q, ws.get());
    for (std::size_t l = 0; l < known.size(); ++l)
      for (std::size_t i = 0; i < known.size(); ++i) {
        double const c = data.win(static_cast<std::int64_t>(known[i]), static_cast<std::int64_t>(known[l]));
        double const pairs = c > 0 ? c / (w[known[i]] + w[known[l]]) : 0;
        chain[l * known.size() + i] = l == i ? 0 : q[known[l] * static_cast<std::size_t>(m) + known[i]] + pairs + options.alpha;
      }
    std::vector<double> const pi = stationary_distribution(matrix_view<double>(chain.data(), n, n));
    check_argument(!pi.empty(), "plackett_luce_fit", "weights", "so far apart that a rate vanishes",
                   "within the range of double (choose a greater alpha)");
    double mean = 0, change = 0;
    for (std::size_t k = 0; k < known.size(); ++k) {
      w[known[k]] = pi[k] * static_cast<double>(n);
      mean += math::log(w[known[k]]) / static_cast<double>(n);
    }
    for (std::size_t k = 0; k < known.size(); ++k) {
      double const now = math::log(w[known[k]]) - mean, step = now - theta[k];
      change += step < 0 ? -step : step;
      theta[k] = now;
    }
    result.converged = change <= options.tolerance * static_cast<double>(n);
  }
  for (std::size_t k = 0; k < known.size(); ++k) result.theta[known[k]] = theta[k], result.weight[known[k]] = w[known[k]];
  result.log_likelihood = detail::plackett_luce_log_likelihood(data, w);
  return result;
}

/// The same on the calling thread.
inline plackett_luce_result plackett_luce_fit(comparisons const& data, plackett_luce_options const& options = {}) {
  return plackett_luce_fit(serial, data, options);
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
