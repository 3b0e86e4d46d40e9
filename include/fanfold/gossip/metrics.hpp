#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/dense.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/gossip/mixing.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// ||W - J||_2: the factor by which a round shrinks the distance to consensus at least. For symmetric W the second largest modulus of an eigenvalue.
/// Dense: up to about a thousand nodes. \throws argument_error for non-finite weights.
inline double contraction(mixing_matrix<> const& m) {
  auto const n = static_cast<std::size_t>(m.n);
  std::vector<double> a = dense(m);
  bool symmetric = true;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) symmetric = symmetric && a[i * n + j] == a[j * n + i];
  for (double& x : a) x -= 1.0 / static_cast<double>(n);
  if (symmetric) {
    auto const values = symmetric_eigen({a.data(), m.n, m.n}).values;
    return n == 0 ? 0 : std::fmax(std::fabs(values[0]), std::fabs(values[n - 1]));
  }
  std::vector<double> squared(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t j = 0; j < n; ++j) squared[i * n + j] += a[k * n + i] * a[k * n + j];
  double const most = symmetric_eigen({squared.data(), m.n, m.n}).values.back();
  return most > 0 ? std::sqrt(most) : 0;
}

/// 1 - contraction(W); 0 where the network is disconnected, 1 for a single node.
inline double spectral_gap(mixing_matrix<> const& m) { return 1 - contraction(m); }

/// Effective resistances of a network of edges with conductances (one an edge id; none: all 1). Pairs in different components have infinite resistance.
class resistance {
 public:
  explicit resistance(graph const& g, view<double const> weight = {}) : n_(g.n), edges_(g.edges()), weight_(weight.begin(), weight.end()) {
    if (weight_.empty()) weight_.assign(edges_.size(), 1.0);
    for (double w : weight_) check_argument(w >= 0 && std::isfinite(w), "gossip::resistance", "a weight", w, "finite and 0 or more");
    std::vector<double> a = laplacian(g, weight_);
    std::vector<edge> live;
    for (std::size_t e = 0; e < edges_.size(); ++e)
      if (weight_[e] > 0) live.push_back(edges_[e]);
    component_ = components(from_edges(n_, live));
    // L plus a constant on each component is regular, and its inverse gives the same differences as the pseudo-inverse of L.
    std::vector<double> members(static_cast<std::size_t>(n_));
    for (std::int32_t c : component_) members[static_cast<std::size_t>(c)] += 1;
    for (std::size_t i = 0; i < members.size(); ++i)
      for (std::size_t j = 0; j < members.size(); ++j)
        if (component_[i] == component_[j]) a[i * members.size() + j] += 1 / members[static_cast<std::size_t>(component_[i])];
    matrix_view<double> const square(a.data(), n_, n_);
    check_argument(cholesky(square), "gossip::resistance", "the Laplacian", "singular to working precision", "of weights of similar size");
    inverse_.resize(a.size());
    for (std::int64_t i = 0; i < n_; ++i) {
      view<double> const row(inverse_.data() + i * n_, n_);
      row[i] = 1;
      cholesky_solve({a.data(), n_, n_}, row);
    }
  }

  /// (e_i - e_j)^T L^+ (e_i - e_j).
  double operator()(std::int32_t i, std::int32_t j) const {
    auto const n = static_cast<std::size_t>(n_), a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
    if (component_[a] != component_[b]) return math::infinity<double>();
    return a == b ? 0 : inverse_[a * n + a] - inverse_[a * n + b] - inverse_[b * n + a] + inverse_[b * n + b];
  }
  /// Sum over all pairs.
  double kirchhoff_index() const {
    double sum = 0;
    for (std::int32_t i = 0; i < n_; ++i)
      for (std::int32_t j = i + 1; j < n_; ++j) sum += (*this)(i, j);
    return sum;
  }
  /// Half the largest resistance of an edge with positive weight; infinite where the network is disconnected.
  double chi2() const {
    for (std::int32_t c : component_)
      if (c > 0) return math::infinity<double>();
    double most = 0;
    for (std::size_t e = 0; e < edges_.size(); ++e)
      if (weight_[e] > 0) most = std::fmax(most, (*this)(edges_[e].a, edges_[e].b));
    return most / 2;
  }
  std::vector<std::int32_t> const& component() const { return component_; }

 private:
  std::int32_t n_;
  std::vector<edge> edges_;
  std::vector<double> weight_;
  std::vector<std::int32_t> component_;
  std::vector<double> inverse_;
};

/// 1 / lambda_2 of the Laplacian with the given edge weights; infinite where the network is disconnected, 0 for a single node.
inline double chi1(graph const& g, view<double const> weight = {}) {
  if (g.n < 2) return 0;
  resistance const r(g, weight);
  for (std::int32_t c : r.component())
    if (c > 0) return math::infinity<double>();
  auto const l = laplacian(g, weight);
  return 1 / symmetric_eigen({l.data(), g.n, g.n}).values[1];
}

namespace detail {

/// Sum of squared distances of an element's values from their mean, by count, mean and squared deviation in double.
template <class A>
struct squared_spread {
  struct state {
    double count, mean, squares;
  };
  FANFOLD_HD constexpr state lift(std::int64_t, A x, std::int64_t) const { return {1, static_cast<double>(x), 0}; }
  FANFOLD_HD constexpr state combine(state a, state b) const {
    double const count = a.count + b.count, d = b.mean - a.mean;
    return {count, a.mean + d * (b.count / count), (a.squares + b.squares) + (d * d) * (a.count * b.count / count)};
  }
  FANFOLD_HD constexpr A lower(state s) const { return static_cast<A>(s.squares); }
};

struct plain_sum {
  static constexpr int fields = 1;
  template <class A>
  FANFOLD_HD constexpr void lift(A x, A, double* s) const {
    s[0] = static_cast<double>(x);
  }
  FANFOLD_HD constexpr void lower(double*, double, std::int64_t) const {}
};

}  // namespace detail

/// sqrt((1/n) sum_i ||x_i - mean||^2) over the rows of `models`: 0 for no or one row. \par Determinism as map_fold.
template <host_executor E, rows_viewable X, fanfold::detail::call_option... Options>
double consensus_distance(E const& ex, X const& models, Options&&... options) {
  auto const rows = as_const(as_rows_view(models));
  using A = arithmetic_t<std::remove_cvref_t<decltype(*rows.row_data(0))>>;
  if (rows.empty()) return 0;
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const spread = frame.take<A>(rows.cols());
  element_range const all[1] = {{0, rows.cols()}};
  double sum = 0;
  map_fold(ex, detail::squared_spread<A>{}, rows, matrix_view<A>(spread.data(), 1, rows.cols()), all,
           measured<detail::plain_sum>{.inputs = false, .out = {&sum, 1, 1}}, ws.get());
  return std::sqrt(sum / static_cast<double>(rows.rows()));
}
template <rows_viewable X>
double consensus_distance(X const& models) {
  return consensus_distance(serial, models);
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
