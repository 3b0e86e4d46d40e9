#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/lsa.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/noise.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// MixER's gate without gradients (2502.05335): clusters contexts by k-means, matches clusters to experts by loss, and fits one-hot targets
/// by least squares. W ((q + 1) x E) gives logits [x, 1] W for the router `mixer()`.
struct mixer_gate {
  enum class matching : unsigned char { greedy, optimal };
  enum class status : unsigned char { fitted, not_converged, empty_cluster };

  std::int64_t most_iterations = 20;
  double tolerance = 1e-3;
  double sigma = 0;  ///< of the normal noise on contexts in the fit
  matching match = matching::greedy;
  row_noise noise{};
};

/// `weight` and `centroids` are read and written: a failed fit leaves `weight` and draws new centroids from U(-1e-3, 1e-3).
struct mixer_fit {
  mixer_gate::status status = mixer_gate::status::fitted;
  std::int64_t iterations = 0;
  std::vector<std::int32_t> label;            ///< cluster of each context
  std::vector<std::int32_t> expert_of_cluster;
};

namespace detail {

/// x of least norm with A x = b in the least squares sense, for every column of b: one-sided Jacobi rotations of A's columns give A = U S V^T;
/// singular values below rcond times the largest count as 0. A (n x m) and b (n x k) are row major.
inline std::vector<double> least_squares(std::vector<double> a, std::vector<double> const& b, std::int64_t n, std::int64_t m, std::int64_t k, double rcond) {
  auto const at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  std::vector<double> v(at(m * m)), s(at(m)), x(at(m * k));
  for (std::int64_t i = 0; i < m; ++i) v[at(i * m + i)] = 1;
  for (int sweep = 0; sweep < 60; ++sweep) {
    bool turned = false;
    for (std::int64_t p = 0; p < m; ++p)
      for (std::int64_t q = p + 1; q < m; ++q) {
        double alpha = 0, beta = 0, gamma = 0;
        for (std::int64_t i = 0; i < n; ++i) {
          alpha += a[at(i * m + p)] * a[at(i * m + p)];
          beta += a[at(i * m + q)] * a[at(i * m + q)];
          gamma += a[at(i * m + p)] * a[at(i * m + q)];
        }
        double const size = math::sqrt(alpha * beta);
        if (size == 0 || (gamma < 0 ? -gamma : gamma) <= 1e-15 * size) continue;
        turned = true;
        double const zeta = (beta - alpha) / (2 * gamma), steep = zeta < 0 ? -zeta : zeta;
        double const t = (zeta < 0 ? -1 : 1) / (steep + math::sqrt(1 + zeta * zeta)), c = 1 / math::sqrt(1 + t * t), d = c * t;
        auto const turn = [&](std::vector<double>& w, std::int64_t rows) {
          for (std::int64_t i = 0; i < rows; ++i) {
            double const y = w[at(i * m + p)], z = w[at(i * m + q)];
            w[at(i * m + p)] = c * y - d * z;
            w[at(i * m + q)] = d * y + c * z;
          }
        };
        turn(a, n);
        turn(v, m);
      }
    if (!turned) break;
  }
  double most = 0;
  for (std::int64_t j = 0; j < m; ++j) {
    for (std::int64_t i = 0; i < n; ++i) s[at(j)] += a[at(i * m + j)] * a[at(i * m + j)];
    most = s[at(j)] > most ? s[at(j)] : most;
  }
  for (std::int64_t j = 0; j < m; ++j) {
    if (!(s[at(j)] > rcond * rcond * most)) continue;
    for (std::int64_t r = 0; r < k; ++r) {
      double dot = 0;
      for (std::int64_t i = 0; i < n; ++i) dot += a[at(i * m + j)] * b[at(i * k + r)];
      for (std::int64_t i = 0; i < m; ++i) x[at(i * k + r)] += v[at(i * m + j)] * (dot / s[at(j)]);
    }
  }
  return x;
}

/// Median of the numbers that are not NaN (the mean of the middle two); infinity for none.
inline double median(std::vector<double> x) {
  std::vector<double> good, spare(x.size());
  for (double v : x)
    if (v == v) good.push_back(v);
  if (good.empty()) return math::infinity<double>();
  merge_sort(good.data(), spare.data(), static_cast<std::int64_t>(good.size()), [](double a, double b) { return a < b; });
  return good.size() % 2 != 0 ? good[good.size() / 2] : (good[good.size() / 2 - 1] + good[good.size() / 2]) / 2;
}

}  // namespace detail

/// Start centroids, uniform in (-1e-3, 1e-3).
inline void draw_centroids(row_noise const& noise, matrix_view<double> centroids) {
  random_stream const u{noise.key, streams::router_sample, 2};
  for (std::int64_t e = 0; e < centroids.rows(); ++e)
    for (std::int64_t i = 0; i < centroids.cols(); ++i)
      centroids(e, i) = 1e-3 * (2 * static_cast<double>(u.u01(static_cast<std::uint64_t>(e * centroids.cols() + i))) - 1);
}

/// Fits the gate: contexts N x q, losses N x E (NaN left out), centroids E x q, weight (q + 1) x E.
inline mixer_fit fit_mixer_gate(mixer_gate const& gate, matrix_view<double const> contexts, matrix_view<double const> losses, matrix_view<double> centroids,
                                matrix_view<double> weight) {
  static constexpr char function[] = "route::fit_mixer_gate";
  std::int64_t const n = contexts.rows(), q = contexts.cols(), experts = losses.cols();
  check_argument(experts >= 1 && n >= experts, function, "number of contexts", n, "at least the number of experts");
  check_argument(losses.rows() == n, function, "rows of the losses", losses.rows(), "the number of contexts");
  check_argument(centroids.rows() == experts && centroids.cols() == q, function, "shape of the centroids", centroids.rows(), "E x q");
  check_argument(weight.rows() == q + 1 && weight.cols() == experts, function, "shape of the weight", weight.rows(), "(q + 1) x E");
  check_argument(gate.most_iterations >= 1, function, "most_iterations", gate.most_iterations, "1 or more");
  auto const at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  auto const size = [](double x) { return x < 0 ? -x : x; };
  mixer_fit fit;
  fit.label.assign(at(n), 0);
  std::vector<std::int64_t> members(at(experts));
  bool converged = false;
  fit.status = mixer_gate::status::not_converged;
  while (!converged && fit.iterations < gate.most_iterations) {
    ++fit.iterations;
    std::vector<double> sum(at(experts * q));
    for (auto& c : members) c = 0;
    for (std::int64_t t = 0; t < n; ++t) {
      double best = math::infinity<double>();
      for (std::int64_t e = 0; e < experts; ++e) {
        double distance = 0;
        for (std::int64_t i = 0; i < q; ++i) distance += size(contexts(t, i) - centroids(e, i));
        if (distance < best) {
          best = distance;
          fit.label[at(t)] = static_cast<std::int32_t>(e);
        }
      }
      auto const e = fit.label[at(t)];
      ++members[at(e)];
      for (std::int64_t i = 0; i < q; ++i) sum[at(e * q + i)] += contexts(t, i);
    }
    bool empty = false;
    for (auto c : members) empty = empty || c == 0;
    if (empty) {
      fit.status = mixer_gate::status::empty_cluster;
      break;
    }
    converged = true;
    for (std::int64_t e = 0; e < experts; ++e)
      for (std::int64_t i = 0; i < q; ++i) {
        double const next = sum[at(e * q + i)] / static_cast<double>(members[at(e)]);
        converged = converged && size(next - centroids(e, i)) <= gate.tolerance + 1e-5 * size(centroids(e, i));
        centroids(e, i) = next;
      }
  }
  if (!converged) {
    draw_centroids(gate.noise, centroids);
    return fit;
  }
  fit.status = mixer_gate::status::fitted;
  std::vector<double> cost(at(experts * experts));
  for (std::int64_t c = 0; c < experts; ++c)
    for (std::int64_t e = 0; e < experts; ++e) {
      std::vector<double> of_cluster;
      for (std::int64_t t = 0; t < n; ++t)
        if (fit.label[at(t)] == c) of_cluster.push_back(losses(t, e));
      cost[at(c * experts + e)] = detail::median(of_cluster);
    }
  if (gate.match == mixer_gate::matching::optimal) {
    for (double& x : cost) x = x < 1e300 ? x : 1e300;
    fit.expert_of_cluster = linear_sum_assignment(matrix_view<double const>(cost.data(), experts, experts));
  } else {
    std::vector<char> used(at(experts));
    for (std::int64_t c = 0; c < experts; ++c) {
      std::int64_t best = -1;
      for (std::int64_t e = 0; e < experts; ++e)
        if (used[at(e)] == 0 && (best < 0 || cost[at(c * experts + e)] < cost[at(c * experts + best)])) best = e;
      used[at(best)] = 1;
      fit.expert_of_cluster.push_back(static_cast<std::int32_t>(best));
    }
  }
  std::vector<double> x(at(n * (q + 1)), 1), y(at(n * experts));
  random_stream const normals{gate.noise.key, streams::router_noise, 0};
  for (std::int64_t t = 0; t < n; ++t) {
    for (std::int64_t i = 0; i < q; ++i)
      x[at(t * (q + 1) + i)] = contexts(t, i) + (gate.sigma == 0 ? 0 : gate.sigma * static_cast<double>(normals.normal(gate.noise.element(t, i, q))));
    y[at(t * experts + fit.expert_of_cluster[at(fit.label[at(t)])])] = 1;
  }
  auto const w = detail::least_squares(x, y, n, q + 1, experts, 0x1p-52 * static_cast<double>(n > q + 1 ? n : q + 1));
  for (std::int64_t i = 0; i < q + 1; ++i)
    for (std::int64_t e = 0; e < experts; ++e) weight(i, e) = w[at(i * experts + e)];
  return fit;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
