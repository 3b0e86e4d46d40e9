#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The nodes of a directed acyclic graph by level: level l is `nodes[offsets[l]] .. nodes[offsets[l + 1] - 1]`, ascending, and every
/// predecessor of a node lies in an earlier level.
struct dag_levels {
  std::vector<std::int64_t> offsets{0};
  std::vector<std::int32_t> nodes{};

  std::int64_t levels() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  view<std::int32_t const> level(std::int64_t l) const { return view<std::int32_t const>(nodes).subview(offsets[static_cast<std::size_t>(l)], offsets[static_cast<std::size_t>(l + 1)] - offsets[static_cast<std::size_t>(l)]); }
};

/// The levels of the graph whose row v lists the predecessors of v: a node's level is the longest path to it. O(nodes + entries).
/// \throws argument_error for ids out of range and for cycles.
template <class T>
dag_levels dag_levels_of(csr_view<T> const& predecessors) {
  std::int64_t const n = predecessors.rows();
  std::vector<std::int64_t> level(static_cast<std::size_t>(n), 0), missing(static_cast<std::size_t>(n), 0), begin(static_cast<std::size_t>(n) + 1, 0);
  auto const at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t v = 0; v < n; ++v)
    for (std::int64_t e = predecessors.offsets[v]; e < predecessors.offsets[v + 1]; ++e) {
      std::int64_t const u = predecessors.ids[e];
      check_argument(u >= 0 && u < n, "dag_levels_of", "predecessor", u, "a node of the graph");
      ++begin[at(u) + 1];
      ++missing[at(v)];
    }
  for (std::int64_t v = 0; v < n; ++v) begin[at(v) + 1] += begin[at(v)];
  std::vector<std::int32_t> successors(at(begin[at(n)]));
  std::vector<std::int64_t> next(begin.begin(), begin.end() - 1);
  for (std::int64_t v = 0; v < n; ++v)
    for (std::int64_t e = predecessors.offsets[v]; e < predecessors.offsets[v + 1]; ++e)
      successors[at(next[at(predecessors.ids[e])]++)] = static_cast<std::int32_t>(v);

  std::vector<std::int32_t> ready;
  for (std::int64_t v = 0; v < n; ++v)
    if (missing[at(v)] == 0) ready.push_back(static_cast<std::int32_t>(v));
  std::int64_t deepest = -1;
  for (std::size_t done = 0; done < ready.size(); ++done) {
    std::int64_t const u = ready[done];
    deepest = level[at(u)] > deepest ? level[at(u)] : deepest;
    for (std::int64_t e = begin[at(u)]; e < begin[at(u) + 1]; ++e) {
      std::int64_t const v = successors[at(e)];
      if (level[at(v)] < level[at(u)] + 1) level[at(v)] = level[at(u)] + 1;
      if (--missing[at(v)] == 0) ready.push_back(static_cast<std::int32_t>(v));
    }
  }
  check_argument(static_cast<std::int64_t>(ready.size()) == n, "dag_levels_of", "graph", "cyclic", "acyclic");

  dag_levels result;
  result.offsets.assign(at(deepest + 2), 0);
  for (std::int64_t v = 0; v < n; ++v) ++result.offsets[at(level[at(v)]) + 1];
  for (std::int64_t l = 0; l <= deepest; ++l) result.offsets[at(l) + 1] += result.offsets[at(l)];
  std::vector<std::int64_t> place(result.offsets.begin(), result.offsets.end() - 1);
  result.nodes.resize(at(n));
  for (std::int64_t v = 0; v < n; ++v) result.nodes[at(place[at(level[at(v)])]++)] = static_cast<std::int32_t>(v);
  return result;
}

/// Calls `f(ex, nodes)` for each level in order, each after everything of the level before: a sweep along the graph. `f` may launch
/// engine loops over the nodes of its level. `dag_levels{}` makes no call.
template <executor E, class F>
void level_sweep(E const& ex, dag_levels const& dag, F&& f) {
  for (std::int64_t l = 0; l < dag.levels(); ++l) f(ex, dag.level(l));
}

/// The same with the list of nodes, `nodes`, in memory that `ex` can read: `f` gets views of that. What a device sweeps with: levels follow
/// one another as its launches do, without waiting.
/// \throws argument_error where `nodes` is not as long as the graph's list.
template <executor E, viewable Nodes, class F>
void level_sweep(E const& ex, dag_levels const& dag, Nodes const& nodes, F&& f) {
  view<std::int32_t const> const all = as_const(as_view(nodes));
  check_argument(all.size() == static_cast<std::int64_t>(dag.nodes.size()), "level_sweep", "nodes.size()", all.size(), "that of dag.nodes");
  for (std::int64_t l = 0; l < dag.levels(); ++l) {
    std::int64_t const first = dag.offsets[static_cast<std::size_t>(l)];
    f(ex, all.subview(first, dag.offsets[static_cast<std::size_t>(l + 1)] - first));
  }
}

}  // namespace fanfold::inline FANFOLD_ABI
