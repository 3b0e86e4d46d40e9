#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The shape of the adjacent-pair trees of all segments, level by level: what a tape of inner nodes is addressed with. Nodes of level 0
/// are the items in (segment, position) order; level l + 1 pairs the nodes of each segment's level l, an unpaired last node moves up.
class tree_shape {
 public:
  tree_shape() = default;
  /// \throws argument_error for offsets that fall or do not start at 0.
  explicit tree_shape(view<std::int64_t const> offsets) {
    detail::check_offsets("tree_shape", offsets, offsets.empty() ? 0 : offsets[offsets.size() - 1]);
    check_argument(offsets.empty() || offsets[0] == 0, "tree_shape", "offsets[0]", offsets.empty() ? 0 : offsets[0], "0");
    std::vector<std::int64_t> level(offsets.begin(), offsets.end());
    if (level.empty()) level.push_back(0);
    levels_.clear();
    for (;;) {
      first_.push_back(nodes_);
      nodes_ += level.back();
      levels_.push_back(level);
      bool done = true;
      std::vector<std::int64_t> next(level.size(), 0);
      for (std::size_t s = 0; s + 1 < level.size(); ++s) {
        std::int64_t const n = level[s + 1] - level[s];
        done &= n <= 1;
        next[s + 1] = next[s] + (n + 1) / 2;
      }
      if (done) return;
      level = std::move(next);
    }
  }

  std::int64_t segments() const { return static_cast<std::int64_t>(levels_[0].size()) - 1; }
  /// Levels, that of the items included: 1 + ceil(log2(longest segment)).
  int levels() const { return static_cast<int>(levels_.size()); }
  /// Nodes of all levels.
  std::int64_t nodes() const { return nodes_; }
  /// Index of level l's first node.
  std::int64_t first(int l) const { return first_[static_cast<std::size_t>(l)]; }
  /// Level l's segment offsets, counted from first(l).
  std::vector<std::int64_t> const& offsets(int l) const { return levels_[static_cast<std::size_t>(l)]; }

  struct pair {
    std::int64_t left, right, parent;
    bool moved_up() const { return right < 0; }
  };
  /// The pairs that make level l (l >= 1), by (segment, position); right is -1 where a node moves up.
  std::vector<pair> pairs(int l) const {
    auto const &below = offsets(l - 1), &here = offsets(l);
    std::vector<pair> result;
    result.reserve(static_cast<std::size_t>(here.back()));
    for (std::size_t s = 0; s + 1 < below.size(); ++s)
      for (std::int64_t child = below[s], parent = here[s]; child < below[s + 1]; child += 2, ++parent)
        result.push_back({first(l - 1) + child, child + 1 < below[s + 1] ? first(l - 1) + child + 1 : -1, first(l) + parent});
    return result;
  }

 private:
  std::vector<std::vector<std::int64_t>> levels_{{0}};
  std::vector<std::int64_t> first_{};
  std::int64_t nodes_ = 0;
};

namespace detail {

/// f(i) for i in [0, n), in chunks that threads take.
template <class E, class F>
void for_each_chunk(E const& ex, std::int64_t n, F const& f) {
  constexpr std::int64_t chunk = 1024;
  for_each_task(ex, divide_up(n, chunk), [&](std::int64_t task) {
    for (std::int64_t i = task * chunk; i < n && i < (task + 1) * chunk; ++i) f(i);
  });
}

}  // namespace detail

/// Every node of the trees of a `tree_fold`, kept for its gradient.
template <class State>
struct tree_tape {
  tree_shape shape{};
  std::vector<State> node{};

  /// The root of segment s, which must not be empty.
  State const& root(std::int64_t s) const {
    int const top = shape.levels() - 1;
    auto const& last = shape.offsets(top);
    return node[static_cast<std::size_t>(shape.first(top) + last[static_cast<std::size_t>(s)])];
  }
  bool empty(std::int64_t s) const { return shape.offsets(0)[static_cast<std::size_t>(s)] == shape.offsets(0)[static_cast<std::size_t>(s + 1)]; }
};

/// What `run_loop` runs for tree folds and their gradients.
template <class A>
struct tree_loop {
  A aggregator{};
};

/// Host forms.
template <host_executor E, aggregator A, class T>
void run_loop(E const& ex, tree_loop<A> const& loop, tree_shape const& shape, view<T const> x, view<typename A::state> node, workspace&) {
  A const& a = loop.aggregator;
  detail::for_each_chunk(ex, x.size(), [&](std::int64_t i) { node[i] = a.lift(detail::load_item<typename A::input>(x[i])); });
  for (int l = 1; l < shape.levels(); ++l) {
    auto const pairs = shape.pairs(l);
    detail::for_each_chunk(ex, static_cast<std::int64_t>(pairs.size()), [&](std::int64_t i) {
      auto const& p = pairs[static_cast<std::size_t>(i)];
      node[p.parent] = p.moved_up() ? node[p.left] : a.combine(node[p.left], node[p.right]);
    });
  }
}
template <host_executor E, class A, class G, class D>
void run_loop(E const& ex, tree_loop<A> const& loop, tree_shape const& shape, view<typename A::state const> node, view<G const> roots, view<D> items,
              workspace&) {
  A const& a = loop.aggregator;
  std::vector<typename A::state> gradient(static_cast<std::size_t>(shape.nodes()), a.identity());
  auto const g = view<typename A::state>(gradient);
  int const top = shape.levels() - 1;
  auto const& items_of = shape.offsets(0);
  for (std::int64_t s = 0; s < shape.segments(); ++s)
    if (items_of[static_cast<std::size_t>(s)] < items_of[static_cast<std::size_t>(s + 1)])
      g[shape.first(top) + shape.offsets(top)[static_cast<std::size_t>(s)]] = roots[s];
  for (int l = top; l >= 1; --l) {
    auto const pairs = shape.pairs(l);
    detail::for_each_chunk(ex, static_cast<std::int64_t>(pairs.size()), [&](std::int64_t i) {
      auto const& p = pairs[static_cast<std::size_t>(i)];
      if (p.moved_up())
        g[p.left] = g[p.parent];
      else
        a.combine_vjp(node[p.left], node[p.right], g[p.parent], g[p.left], g[p.right]);
    });
  }
  for (std::int64_t i = 0; i < items.size(); ++i) items[i] = g[i];
}

/// Folds each segment of `shape` by the adjacent-pair tree over its items (no runs) and keeps all nodes: `node` has shape.nodes() states, those
/// of level l from shape.first(l) on. Asks for no law, so it serves operations that are only learned to be associative. Depth ceil(log2 n).
///
/// `x` and `node` are memory that `ex` can read; `shape` is the host's and, on a device, must live until the work is done.
/// \throws argument_error for sizes that do not fit the shape; nothing is written then.
/// \par Determinism each pair is combined once, at a place that the segment's length fixes.
template <executor E, aggregator A, viewable X, viewable Nodes, detail::call_option... Options>
void tree_fold(E const& ex, A const& a, X const& x, tree_shape const& shape, Nodes&& node, Options&&... options) {
  auto const items = as_const(as_view(x));
  auto const nodes = as_view(node);
  check_argument(shape.offsets(0).back() == items.size(), "tree_fold", "last offset", shape.offsets(0).back(), "x.size()");
  check_argument(nodes.size() == shape.nodes(), "tree_fold", "node.size()", nodes.size(), "shape.nodes()");
  detail::check_segment_items<A, serial_executor>("tree_fold", view<std::int64_t const>(shape.offsets(0)), items.size());
  detail::call_workspace ws(ex, options...);
  static_assert(detail::has_backend<E, tree_loop<A>, tree_shape const&, decltype(items), decltype(nodes), workspace&>,
                "no backend of tree_fold for this executor: include <fanfold/kernel/tree_fold.hpp> for device executors");
  run_loop(ex, tree_loop<A>{a}, shape, items, nodes, ws.get());
}

/// The same on the host, with a tape of its own.
/// \throws argument_error for offsets that do not fit `x`.
template <host_executor E, aggregator A, viewable X, viewable Offsets>
tree_tape<typename A::state> tree_fold(E const& ex, A const& a, X const& x, Offsets const& offsets) {
  tree_tape<typename A::state> tape{tree_shape(as_const(as_view(offsets))), {}};
  auto const items = as_view(x);
  check_argument(tape.shape.offsets(0).back() == items.size(), "tree_fold", "last offset", tape.shape.offsets(0).back(), "x.size()");
  tape.node.assign(static_cast<std::size_t>(tape.shape.nodes()), a.identity());
  tree_fold(ex, a, items, tape.shape, tape.node);
  return tape;
}

/// Gradients of the items' lifted states, given those of the segments' roots: walks the levels down through
/// `a.combine_vjp(left, right, g, g_left, g_right)`. `node` is what `tree_fold` kept; `root_gradient` has one state a segment (ignored where
/// it is empty), `item_gradient` one an item.
/// \throws argument_error for sizes that do not match the shape; nothing is written then.
template <executor E, class A, viewable Nodes, viewable G, viewable Out, detail::call_option... Options>
void tree_fold_vjp(E const& ex, A const& a, tree_shape const& shape, Nodes const& node, G const& root_gradient, Out&& item_gradient,
                   Options&&... options) {
  auto const nodes = as_const(as_view(node));
  auto const roots = as_const(as_view(root_gradient));
  auto const items = as_view(item_gradient);
  check_argument(nodes.size() == shape.nodes(), "tree_fold_vjp", "node.size()", nodes.size(), "shape.nodes()");
  check_argument(roots.size() == shape.segments(), "tree_fold_vjp", "root_gradient.size()", roots.size(), "the number of segments");
  check_argument(items.size() == shape.offsets(0).back(), "tree_fold_vjp", "item_gradient.size()", items.size(), "the number of items");
  detail::call_workspace ws(ex, options...);
  static_assert(detail::has_backend<E, tree_loop<A>, tree_shape const&, decltype(nodes), decltype(roots), decltype(items), workspace&>,
                "no backend of tree_fold_vjp for this executor: include <fanfold/kernel/tree_fold.hpp> for device executors");
  run_loop(ex, tree_loop<A>{a}, shape, nodes, roots, items, ws.get());
}
template <host_executor E, class A, viewable G, viewable Out>
void tree_fold_vjp(E const& ex, A const& a, tree_tape<typename A::state> const& tape, G const& root_gradient, Out&& item_gradient) {
  tree_fold_vjp(ex, a, tape.shape, tape.node, root_gradient, item_gradient);
}

}  // namespace fanfold::inline FANFOLD_ABI
