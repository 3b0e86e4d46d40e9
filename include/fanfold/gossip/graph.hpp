#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// A link. In a directed graph, `a` receives from `b`.
struct edge {
  std::int32_t a = 0;
  std::int32_t b = 0;

  friend bool operator==(edge, edge) = default;
};

/// Who hears whom: row i lists the nodes that i receives from, ascending, without i itself and without repetition. An undirected graph
/// stores both directions of an edge.
struct graph {
  std::int32_t n = 0;
  std::vector<std::int64_t> row_ptr{0};
  std::vector<std::int32_t> col;
  bool directed = false;

  std::int64_t degree(std::int64_t i) const { return row_ptr[at(i) + 1] - row_ptr[at(i)]; }
  view<std::int32_t const> neighbours(std::int64_t i) const { return {col.data() + row_ptr[at(i)], degree(i)}; }
  /// Row pointers and ids in the library's common form; valid while the graph lives unchanged.
  csr_view<> csr() const { return {row_ptr, col, {}}; }
  /// Undirected: every edge once, a < b, in lexicographic order (the edge's position is its id). Directed: all of them, by receiver.
  std::vector<edge> edges() const {
    std::vector<edge> list;
    for (std::int32_t i = 0; i < n; ++i)
      for (std::int32_t j : neighbours(i))
        if (directed || i < j) list.push_back({i, j});
    return list;
  }

 private:
  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
};

namespace detail {

// One stable counting pass over pairs (row, col) by `key`.
template <class Key>
std::vector<edge> sorted_by(std::vector<edge> const& list, std::int32_t n, Key key) {
  std::vector<std::int64_t> next(static_cast<std::size_t>(n) + 1);
  for (edge e : list) ++next[static_cast<std::size_t>(key(e)) + 1];
  for (std::size_t i = 1; i < next.size(); ++i) next[i] += next[i - 1];
  std::vector<edge> result(list.size());
  for (edge e : list) result[static_cast<std::size_t>(next[static_cast<std::size_t>(key(e))]++)] = e;
  return result;
}

}  // namespace detail

/// The graph of the listed edges in any order; repeated ones count once.
/// \throws argument_error for a loop or an id outside [0, n). \par Complexity O(n + edges).
inline graph from_edges(std::int32_t n, view<edge const> edges, bool directed = false) {
  check_argument(n >= 1, "gossip::from_edges", "n", n, "1 or more");
  std::vector<edge> list;
  list.reserve(static_cast<std::size_t>(directed ? edges.size() : 2 * edges.size()));
  for (edge e : edges) {
    check_argument(e.a >= 0 && e.a < n, "gossip::from_edges", "a node of an edge", e.a, "in [0, n)");
    check_argument(e.b >= 0 && e.b < n, "gossip::from_edges", "a node of an edge", e.b, "in [0, n)");
    check_argument(e.a != e.b, "gossip::from_edges", "the other node of an edge", e.b, "another node");
    list.push_back(e);
    if (!directed) list.push_back({e.b, e.a});
  }
  list = detail::sorted_by(detail::sorted_by(list, n, [](edge e) { return e.b; }), n, [](edge e) { return e.a; });
  graph g{n, std::vector<std::int64_t>(static_cast<std::size_t>(n) + 1), {}, directed};
  for (std::size_t k = 0; k < list.size(); ++k) {
    if (k > 0 && list[k] == list[k - 1]) continue;
    g.col.push_back(list[k].b);
    ++g.row_ptr[static_cast<std::size_t>(list[k].a) + 1];
  }
  for (std::size_t i = 1; i < g.row_ptr.size(); ++i) g.row_ptr[i] += g.row_ptr[i - 1];
  return g;
}

/// Component of each node, numbered by lowest member; links count in both directions.
inline std::vector<std::int32_t> components(graph const& g) {
  std::vector<std::int32_t> parent(static_cast<std::size_t>(g.n));
  for (std::int32_t i = 0; i < g.n; ++i) parent[static_cast<std::size_t>(i)] = i;
  auto const root = [&](std::int32_t i) {
    while (parent[static_cast<std::size_t>(i)] != i) i = parent[static_cast<std::size_t>(i)] = parent[static_cast<std::size_t>(parent[static_cast<std::size_t>(i)])];
    return i;
  };
  for (std::int32_t i = 0; i < g.n; ++i)
    for (std::int32_t j : g.neighbours(i)) {
      std::int32_t const a = root(i), b = root(j);
      parent[static_cast<std::size_t>(a < b ? b : a)] = a < b ? a : b;
    }
  std::vector<std::int32_t> label(parent.size());
  std::int32_t count = 0;
  for (std::int32_t i = 0; i < g.n; ++i) {
    std::int32_t const r = root(i);
    label[static_cast<std::size_t>(i)] = r == i ? count++ : label[static_cast<std::size_t>(r)];
  }
  return label;
}

/// Number of components.
inline std::int32_t component_count(graph const& g) {
  std::int32_t most = -1;
  for (std::int32_t c : components(g)) most = c > most ? c : most;
  return most + 1;
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
