#pragma once

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/dense.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/gossip/graph.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// What a matrix's sums are: rows of 1 average, columns of 1 preserve the total.
enum class stochasticity { none, row, column, doubly };

/// Weights of a gossip round: receiver i gives `w[e]` to node `col[e]` for e in [row_ptr[i], row_ptr[i+1]) and `self[i]` to itself.
template <class T = double>
struct mixing_matrix {
  std::int32_t n = 0;
  std::vector<std::int64_t> row_ptr{0};
  std::vector<std::int32_t> col;
  std::vector<T> w;
  std::vector<T> self;
  stochasticity kind = stochasticity::none;

  /// Off-diagonal part in the library's common form.
  csr_view<T> csr() const { return {row_ptr, col, w}; }
  bool nonnegative() const {
    for (T x : w)
      if (!(x >= 0)) return false;
    for (T x : self)
      if (!(x >= 0)) return false;
    return true;
  }
};

/// Row-major n x n.
template <class T>
std::vector<double> dense(mixing_matrix<T> const& m) {
  auto const n = static_cast<std::size_t>(m.n);
  std::vector<double> a(n * n);
  for (std::size_t i = 0; i < n; ++i) {
    a[i * n + i] = static_cast<double>(m.self[i]);
    for (auto e = static_cast<std::size_t>(m.row_ptr[i]); e < static_cast<std::size_t>(m.row_ptr[i + 1]); ++e)
      a[i * n + static_cast<std::size_t>(m.col[e])] += static_cast<double>(m.w[e]);
  }
  return a;
}

/// W^T: what pulls back gradients of a mix, and the send lists of a receive matrix.
template <class T>
mixing_matrix<T> transpose(mixing_matrix<T> const& m) {
  mixing_matrix<T> t{m.n, std::vector<std::int64_t>(m.row_ptr.size()), std::vector<std::int32_t>(m.col.size()), std::vector<T>(m.w.size()), m.self, m.kind};
  if (m.kind == stochasticity::row) t.kind = stochasticity::column;
  if (m.kind == stochasticity::column) t.kind = stochasticity::row;
  for (std::int32_t j : m.col) ++t.row_ptr[static_cast<std::size_t>(j) + 1];
  for (std::size_t i = 1; i < t.row_ptr.size(); ++i) t.row_ptr[i] += t.row_ptr[i - 1];
  std::vector<std::int64_t> next(t.row_ptr);
  for (std::int32_t i = 0; i < m.n; ++i)
    for (auto e = static_cast<std::size_t>(m.row_ptr[static_cast<std::size_t>(i)]); e < static_cast<std::size_t>(m.row_ptr[static_cast<std::size_t>(i) + 1]); ++e) {
      auto const at = static_cast<std::size_t>(next[static_cast<std::size_t>(m.col[e])]++);
      t.col[at] = i;
      t.w[at] = m.w[e];
    }
  return t;
}

/// Largest distance of a row sum (or column sum) from 1; NaN if an entry is.
struct stochastic_error {
  double rows = 0;
  double columns = 0;
};
template <class T>
stochastic_error validate_stochastic(mixing_matrix<T> const& m) {
  std::vector<double> row(static_cast<std::size_t>(m.n)), column(row);
  for (std::size_t i = 0; i < row.size(); ++i) {
    row[i] += static_cast<double>(m.self[i]);
    column[i] += static_cast<double>(m.self[i]);
    for (auto e = static_cast<std::size_t>(m.row_ptr[i]); e < static_cast<std::size_t>(m.row_ptr[i + 1]); ++e) {
      row[i] += static_cast<double>(m.w[e]);
      column[static_cast<std::size_t>(m.col[e])] += static_cast<double>(m.w[e]);
    }
  }
  stochastic_error worst;
  auto const keep = [](double& most, double sum) {
    double const off = std::fabs(sum - 1);
    if (!(off <= most)) most = off;
  };
  for (std::size_t i = 0; i < row.size(); ++i) {
    keep(worst.rows, row[i]);
    keep(worst.columns, column[i]);
  }
  return worst;
}

namespace detail {

inline mixing_matrix<> matrix_of(graph const& g, stochasticity kind) {
  return {g.n, g.row_ptr, g.col, std::vector<double>(g.col.size()), std::vector<double>(static_cast<std::size_t>(g.n), 1.0), kind};
}

/// w[e] = weight(i, j); self[i] = 1 - sum of its row, ascending, computed last.
template <class F>
mixing_matrix<> row_weights(graph const& g, stochasticity kind, F weight) {
  mixing_matrix<> m = matrix_of(g, kind);
  for (std::int32_t i = 0; i < g.n; ++i) {
    double sum = 0;
    for (auto e = static_cast<std::size_t>(g.row_ptr[static_cast<std::size_t>(i)]); e < static_cast<std::size_t>(g.row_ptr[static_cast<std::size_t>(i) + 1]); ++e)
      sum += m.w[e] = weight(i, g.col[e]);
    m.self[static_cast<std::size_t>(i)] = 1 - sum;
  }
  return m;
}

inline void check_undirected(char const* function, graph const& g) {
  check_argument(!g.directed, function, "graph", "directed", "undirected");
}

}  // namespace detail

/// W_ij = 1 / (1 + max(deg_i, deg_j)), the rest to the node itself: symmetric, doubly stochastic, needs only the neighbours' degrees
/// (Xiao and Boyd, Fast linear iterations for distributed averaging, 2004).
inline mixing_matrix<> metropolis_hastings(graph const& g) {
  detail::check_undirected("gossip::metropolis_hastings", g);
  return detail::row_weights(g, stochasticity::doubly, [&](std::int32_t i, std::int32_t j) {
    std::int64_t const a = g.degree(i), b = g.degree(j);
    return 1.0 / static_cast<double>(1 + (a > b ? a : b));
  });
}

/// W_ij = 1 / (1 + largest degree).
inline mixing_matrix<> max_degree(graph const& g) {
  detail::check_undirected("gossip::max_degree", g);
  std::int64_t most = 0;
  for (std::int32_t i = 0; i < g.n; ++i) most = g.degree(i) > most ? g.degree(i) : most;
  return detail::row_weights(g, stochasticity::doubly, [most](std::int32_t, std::int32_t) { return 1.0 / static_cast<double>(1 + most); });
}

/// (I + W) / 2: no negative eigenvalues where W is symmetric and doubly stochastic.
inline mixing_matrix<> lazy(mixing_matrix<> m) {
  for (double& x : m.w) x /= 2;
  for (double& x : m.self) x = (1 + x) / 2;
  return m;
}

/// I - a L, the same weight on every edge. The diagonal may turn negative (see nonnegative()): legal for linear averaging.
inline mixing_matrix<> constant_edge(graph const& g, double a) {
  detail::check_undirected("gossip::constant_edge", g);
  check_argument(std::isfinite(a), "gossip::constant_edge", "a", a, "finite");
  return detail::row_weights(g, stochasticity::doubly, [a](std::int32_t, std::int32_t) { return a; });
}

/// L = D - A, or with one weight an edge id, sum of w_e (e_i - e_j)(e_i - e_j)^T; row-major.
inline std::vector<double> laplacian(graph const& g, view<double const> weight = {}) {
  detail::check_undirected("gossip::laplacian", g);
  auto const n = static_cast<std::size_t>(g.n);
  auto const edges = g.edges();
  check_argument(weight.empty() || weight.size() == static_cast<std::int64_t>(edges.size()), "gossip::laplacian", "number of weights", weight.size(),
                 "the number of edges");
  std::vector<double> l(n * n);
  for (std::size_t e = 0; e < edges.size(); ++e) {
    double const w = weight.empty() ? 1.0 : weight[e];
    auto const i = static_cast<std::size_t>(edges[e].a), j = static_cast<std::size_t>(edges[e].b);
    l[i * n + i] += w;
    l[j * n + j] += w;
    l[i * n + j] -= w;
    l[j * n + i] -= w;
  }
  return l;
}

/// constant_edge with the weight 2 / (lambda_2(L) + lambda_n(L)) that mixes fastest; a = 0 without edges. Dense: up to about a thousand nodes.
inline mixing_matrix<> best_constant(graph const& g) {
  auto const l = laplacian(g);
  auto const values = symmetric_eigen({l.data(), g.n, g.n}).values;
  double const sum = g.n < 2 ? 0 : values[1] + values.back();
  return constant_edge(g, g.col.empty() ? 0 : 2 / sum);
}

/// W_ij = 1 / (1 + deg_i): row-stochastic; the limit weighs node i by deg_i + 1.
inline mixing_matrix<> uniform_neighbour(graph const& g) {
  return detail::row_weights(g, stochasticity::row, [&](std::int32_t i, std::int32_t) { return 1.0 / static_cast<double>(1 + g.degree(i)); });
}

/// W_ij = p_j / sum of p over i and its neighbours, with p >= 0 the data sizes, raised to `floor` where given: row-stochastic. A node with p = 0 relays
/// nothing, so without a floor it may cut the network. Where the sum is 0, the node keeps its value.
inline mixing_matrix<> data_size(graph const& g, view<double const> p, double floor = 0) {
  check_argument(p.size() == g.n, "gossip::data_size", "number of sizes", p.size(), "the number of nodes");
  check_argument(floor >= 0 && std::isfinite(floor), "gossip::data_size", "floor", floor, "finite and 0 or more");
  for (double x : p) check_argument(x >= 0 && std::isfinite(x), "gossip::data_size", "a size", x, "finite and 0 or more");
  auto const size = [&](std::int32_t i) { return p[i] < floor ? floor : p[i]; };
  mixing_matrix<> m = detail::matrix_of(g, stochasticity::row);
  for (std::int32_t i = 0; i < g.n; ++i) {
    double sum = 0;
    bool own = false;  // the node's own size at its place in ascending order
    for (std::int32_t j : g.neighbours(i)) {
      if (!own && j > i) sum += size(i), own = true;
      sum += size(j);
    }
    if (!own) sum += size(i);
    if (sum == 0) continue;
    auto e = static_cast<std::size_t>(g.row_ptr[static_cast<std::size_t>(i)]);
    for (std::int32_t j : g.neighbours(i)) m.w[e++] = size(j) / sum;
    m.self[static_cast<std::size_t>(i)] = size(i) / sum;
  }
  return m;
}

/// W_ij = 1 / (1 + outdegree of j): column-stochastic, for push-sum.
inline mixing_matrix<> push_uniform(graph const& g) {
  std::vector<std::int64_t> out(static_cast<std::size_t>(g.n));
  for (std::int32_t j : g.col) ++out[static_cast<std::size_t>(j)];
  mixing_matrix<> m = detail::matrix_of(g, stochasticity::column);
  for (std::size_t e = 0; e < m.w.size(); ++e) m.w[e] = 1.0 / static_cast<double>(1 + out[static_cast<std::size_t>(g.col[e])]);
  for (std::size_t i = 0; i < m.self.size(); ++i) m.self[i] = 1.0 / static_cast<double>(1 + out[i]);
  return m;
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
