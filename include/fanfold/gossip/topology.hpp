#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/gossip/graph.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// Neighbours on a circle; two nodes have one edge.
inline graph ring(std::int32_t n) {
  check_argument(n >= 1, "gossip::ring", "n", n, "1 or more");
  std::vector<edge> list;
  for (std::int32_t i = 0; i + 1 < n; ++i) list.push_back({i, i + 1});
  if (n > 2) list.push_back({0, n - 1});
  return from_edges(n, list);
}

/// Neighbours on a line.
inline graph path(std::int32_t n) {
  check_argument(n >= 1, "gossip::path", "n", n, "1 or more");
  std::vector<edge> list;
  for (std::int32_t i = 0; i + 1 < n; ++i) list.push_back({i, i + 1});
  return from_edges(n, list);
}

/// All pairs.
inline graph complete(std::int32_t n) {
  check_argument(n >= 1, "gossip::complete", "n", n, "1 or more");
  std::vector<edge> list;
  for (std::int32_t i = 0; i < n; ++i)
    for (std::int32_t j = i + 1; j < n; ++j) list.push_back({i, j});
  return from_edges(n, list);
}

/// All others hang on `centre`.
inline graph star(std::int32_t n, std::int32_t centre = 0) {
  check_argument(n >= 1, "gossip::star", "n", n, "1 or more");
  check_argument(centre >= 0 && centre < n, "gossip::star", "centre", centre, "in [0, n)");
  std::vector<edge> list;
  for (std::int32_t i = 0; i < n; ++i)
    if (i != centre) list.push_back({centre, i});
  return from_edges(n, list);
}

/// Rows and columns of the most square r x c = n with r <= c; a prime n gives 1 x n.
inline std::pair<std::int32_t, std::int32_t> near_square(std::int32_t n) {
  check_argument(n >= 1, "gossip::near_square", "n", n, "1 or more");
  std::int32_t rows = 1;
  for (std::int32_t r = 1; r <= n / r; ++r) rows = n % r == 0 ? r : rows;
  return {rows, n / rows};
}

namespace detail {

inline graph lattice(char const* function, std::int32_t rows, std::int32_t cols, bool wrap) {
  check_argument(rows >= 1, function, "rows", rows, "1 or more");
  check_argument(cols >= 1 && cols <= INT32_MAX / rows, function, "cols", cols, "1 or more, with rows * cols below 2^31");
  std::vector<edge> list;
  for (std::int32_t y = 0; y < rows; ++y)
    for (std::int32_t x = 0; x < cols; ++x) {
      std::int32_t const i = y * cols + x;
      if (x + 1 < cols || (wrap && cols > 2)) list.push_back({i, y * cols + (x + 1) % cols});
      if (y + 1 < rows || (wrap && rows > 2)) list.push_back({i, (y + 1) % rows * cols + x});
    }
  return from_edges(rows * cols, list);
}

}  // namespace detail

/// A grid of rows x cols nodes, node y * cols + x.
inline graph grid(std::int32_t rows, std::int32_t cols) { return detail::lattice("gossip::grid", rows, cols, false); }
/// A grid whose ends meet; a side of 2 has single edges, a side of 1 none.
inline graph torus(std::int32_t rows, std::int32_t cols) { return detail::lattice("gossip::torus", rows, cols, true); }

namespace detail {

inline bool power_of_two(std::int32_t n) { return n >= 1 && (n & (n - 1)) == 0; }
/// max(1, ceil(log2 n)).
inline std::int32_t exponential_hops(std::int32_t n) {
  std::int32_t hops = 1;
  while ((std::int64_t{1} << hops) < n) ++hops;
  return hops;
}

}  // namespace detail

/// Nodes whose ids differ in one bit; n is a power of two.
inline graph hypercube(std::int32_t n) {
  check_argument(detail::power_of_two(n), "gossip::hypercube", "n", n, "a power of two");
  std::vector<edge> list;
  for (std::int32_t i = 0; i < n; ++i)
    for (std::int32_t bit = 1; bit < n; bit *= 2)
      if ((i & bit) == 0) list.push_back({i, i | bit});
  return from_edges(n, list);
}

/// Directed: node i receives from i - 2^k mod n, k = 0 .. max(1, ceil(log2 n)) - 1 (Ying et al., Exponential Graph is Provably Efficient for
/// Decentralized Deep Training, 2021). Its usual weights: exponential_static in gossip/schedule.hpp.
inline graph exponential(std::int32_t n) {
  check_argument(n >= 1, "gossip::exponential", "n", n, "1 or more");
  std::vector<edge> list;
  for (std::int32_t i = 0; i < n; ++i)
    for (std::int32_t k = 0; k < detail::exponential_hops(n); ++k) {
      auto const j = static_cast<std::int32_t>((i + std::int64_t{n} - (std::int64_t{1} << k) % n) % n);
      if (j != i) list.push_back({i, j});
    }
  return from_edges(n, list, true);
}

/// Every pair is an edge with probability p, decided by the word of the pair's lexicographic index.
inline graph erdos_renyi(std::int32_t n, double p, std::uint64_t seed) {
  check_argument(n >= 1, "gossip::erdos_renyi", "n", n, "1 or more");
  check_argument(p >= 0 && p <= 1, "gossip::erdos_renyi", "p", p, "in [0, 1]");
  random_stream const draws{seed, streams::erdos_renyi, tags::none};
  std::vector<edge> list;
  std::uint64_t e = 0;
  for (std::int32_t i = 0; i < n; ++i)
    for (std::int32_t j = i + 1; j < n; ++j, ++e)
      if (static_cast<double>(draws.u01(e)) < p) list.push_back({i, j});
  return from_edges(n, list);
}

namespace detail {

/// A graph under construction: neighbour lists with a linear test, for the few neighbours that the generators ask about.
class growing_graph {
 public:
  explicit growing_graph(std::int32_t n) : lists_(static_cast<std::size_t>(n)) {}
  bool linked(std::int32_t i, std::int32_t j) const {
    auto const& a = lists_[static_cast<std::size_t>(i)];
    auto const& b = lists_[static_cast<std::size_t>(j)];
    bool const shorter = a.size() <= b.size();
    for (std::int32_t k : shorter ? a : b)
      if (k == (shorter ? j : i)) return true;
    return false;
  }
  void link(std::int32_t i, std::int32_t j) {
    lists_[static_cast<std::size_t>(i)].push_back(j);
    lists_[static_cast<std::size_t>(j)].push_back(i);
  }
  void unlink(std::int32_t i, std::int32_t j) {
    drop(i, j);
    drop(j, i);
  }
  std::int64_t degree(std::int32_t i) const { return static_cast<std::int64_t>(lists_[static_cast<std::size_t>(i)].size()); }
  graph finish() const {
    std::vector<edge> list;
    auto const n = static_cast<std::int32_t>(lists_.size());
    for (std::int32_t i = 0; i < n; ++i)
      for (std::int32_t j : lists_[static_cast<std::size_t>(i)])
        if (i < j) list.push_back({i, j});
    return from_edges(n, list);
  }

 private:
  void drop(std::int32_t i, std::int32_t j) {
    auto& list = lists_[static_cast<std::size_t>(i)];
    for (std::int32_t& k : list)
      if (k == j) {
        k = list.back();
        list.pop_back();
        return;
      }
  }
  std::vector<std::vector<std::int32_t>> lists_;
};

}  // namespace detail

/// A ring of links to the k nearest nodes (k even), each link (u, u + j) redirected to a random node with probability p
/// (Watts and Strogatz, Collective dynamics of small-world networks, 1998). \par Determinism Draws one after the other.
inline graph watts_strogatz(std::int32_t n, std::int32_t k, double p, std::uint64_t seed) {
  check_argument(n >= 1, "gossip::watts_strogatz", "n", n, "1 or more");
  check_argument(k >= 1 && k % 2 == 0 && k < n, "gossip::watts_strogatz", "k", k, "even, above 0 and below n");
  check_argument(p >= 0 && p <= 1, "gossip::watts_strogatz", "p", p, "in [0, 1]");
  detail::growing_graph g(n);
  for (std::int32_t j = 1; j <= k / 2; ++j)
    for (std::int32_t u = 0; u < n; ++u)
      if (std::int32_t const v = (u + j) % n; !g.linked(u, v)) g.link(u, v);
  random_sequence draws{{seed, streams::watts_strogatz, tags::none}};
  for (std::int32_t j = 1; j <= k / 2; ++j)
    for (std::int32_t u = 0; u < n; ++u) {
      bool const redirect = static_cast<double>(draws.u01()) < p;
      std::int32_t const v = (u + j) % n;
      if (!redirect || g.degree(u) >= n - 1 || !g.linked(u, v)) continue;
      std::int32_t w = u;
      while (w == u || g.linked(u, w)) w = static_cast<std::int32_t>(draws.below(static_cast<std::uint32_t>(n)));
      g.unlink(u, v);
      g.link(u, w);
    }
  return g.finish();
}

/// Edges in the order of growth: from a star on nodes 0..m with centre 0, every new node links to m distinct nodes chosen in proportion to
/// their degrees (Barabasi and Albert, Emergence of scaling in random networks, 1999).
inline std::vector<edge> barabasi_albert_edges(std::int32_t n, std::int32_t m, std::uint64_t seed) {
  check_argument(m >= 1 && m < n, "gossip::barabasi_albert", "m", m, "at least 1 and below n");
  std::vector<edge> list;
  std::vector<std::int32_t> ends(static_cast<std::size_t>(m), 0);  // node v appears degree(v) times
  for (std::int32_t v = 1; v <= m; ++v) {
    list.push_back({0, v});
    ends.push_back(v);
  }
  random_sequence draws{{seed, streams::barabasi_albert, tags::none}};
  std::vector<std::int32_t> targets;
  for (std::int32_t v = m + 1; v < n; ++v) {
    targets.clear();
    while (targets.size() < static_cast<std::size_t>(m)) {
      std::int32_t const t = ends[draws.below(static_cast<std::uint32_t>(ends.size()))];
      bool fresh = true;
      for (std::int32_t s : targets) fresh = fresh && s != t;
      if (fresh) targets.push_back(t);
    }
    for (std::int32_t t : targets) list.push_back({t, v});
    ends.insert(ends.end(), targets.begin(), targets.end());
    ends.insert(ends.end(), static_cast<std::size_t>(m), v);
  }
  return list;
}
/// The graph of barabasi_albert_edges: m + m (n - m - 1) edges.
inline graph barabasi_albert(std::int32_t n, std::int32_t m, std::uint64_t seed) { return from_edges(n, barabasi_albert_edges(n, m, seed)); }

namespace detail {

inline std::vector<std::int32_t> random_permutation(std::int32_t n, random_sequence& draws) {
  std::vector<std::int32_t> p(static_cast<std::size_t>(n));
  for (std::int32_t i = 0; i < n; ++i) p[static_cast<std::size_t>(i)] = i;
  shuffle(draws, p);
  return p;
}

/// A random cycle through all nodes that repeats no edge of `g`: repeated edges are cured by reversing stretches of the cycle.
inline void add_random_cycle(growing_graph& g, std::int32_t n, random_sequence& draws) {
  std::vector<std::int32_t> p = random_permutation(n, draws);
  auto const at = [&](std::int32_t i) { return p[static_cast<std::size_t>(i < n ? i : i - n)]; };
  for (std::int32_t i = 0; i < n; ++i)
    while (g.linked(at(i), at(i + 1))) {
      auto const j = static_cast<std::int32_t>(draws.below(static_cast<std::uint32_t>(n)));
      if (j == i || g.linked(at(i), at(j)) || g.linked(at(i + 1), at(j + 1))) continue;
      for (std::int32_t a = (i < j ? i : j) + 1, b = i < j ? j : i; a < b; ++a, --b)
        std::swap(p[static_cast<std::size_t>(a)], p[static_cast<std::size_t>(b)]);
    }
  for (std::int32_t i = 0; i < n; ++i) g.link(at(i), at(i + 1));
}

/// A random pairing of all nodes (n even) that repeats no edge of `g`: repeated ones are cured by swapping partners.
inline void add_random_matching(growing_graph& g, std::int32_t n, random_sequence& draws) {
  std::vector<std::int32_t> p = random_permutation(n, draws);
  auto const at = [&](std::int32_t i) { return p[static_cast<std::size_t>(i)]; };
  for (std::int32_t a = 0; a < n; a += 2)
    while (g.linked(at(a), at(a + 1))) {
      auto const j = static_cast<std::int32_t>(draws.below(static_cast<std::uint32_t>(n)));
      if (j == a || j == a + 1 || g.linked(at(a), at(j)) || g.linked(at(a + 1), at(j ^ 1))) continue;
      std::swap(p[static_cast<std::size_t>(a + 1)], p[static_cast<std::size_t>(j)]);
    }
  for (std::int32_t a = 0; a < n; a += 2) g.link(at(a), at(a + 1));
}

inline graph complement(graph const& g) {
  std::vector<edge> list;
  for (std::int32_t i = 0; i < g.n; ++i) {
    auto const row = g.neighbours(i);
    std::int64_t k = 0;
    for (std::int32_t j = 0; j < g.n; ++j) {
      if (k < row.size() && row[k] == j)
        ++k;
      else if (i < j)
        list.push_back({i, j});
    }
  }
  return from_edges(g.n, list);
}

}  // namespace detail

/// A random graph in which every node has `degree` neighbours: a union of random cycles through all nodes and, for odd degrees, a random pairing;
/// above n/2 the complement of a sparse one. Connected for degree >= 2, and an expander with high probability.
inline graph random_regular(std::int32_t n, std::int32_t degree, std::uint64_t seed) {
  check_argument(n >= 1, "gossip::random_regular", "n", n, "1 or more");
  check_argument(degree >= 0 && degree < n, "gossip::random_regular", "degree", degree, "0 or more and below n");
  check_argument(n % 2 == 0 || degree % 2 == 0, "gossip::random_regular", "degree", degree, "even where n is odd");
  if (2 * std::int64_t{degree} > n) return detail::complement(random_regular(n, n - 1 - degree, seed));
  random_sequence draws{{seed, streams::random_regular, tags::none}};
  detail::growing_graph g(n);
  for (std::int32_t c = 0; c < degree / 2; ++c) detail::add_random_cycle(g, n, draws);
  if (degree % 2 == 1) detail::add_random_matching(g, n, draws);
  return g.finish();
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
