#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/fold/tree_fold.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// The children of a node, counted from the first of their level.
struct tree_children {
  std::int64_t left;
  bool pair;
};
/// `below` and `here` are the segments' offsets at the children's level and at the node's. Segments without nodes are passed over.
FANFOLD_HD inline tree_children children_of(std::int64_t node, view<std::int64_t const> below, view<std::int64_t const> here) {
  std::int64_t low = 0, high = here.size() - 1;  // the last segment that begins at `node` or before
  while (high - low > 1) {
    std::int64_t const middle = low + (high - low) / 2;
    if (here.data()[middle] <= node)
      low = middle;
    else
      high = middle;
  }
  std::int64_t const left = below.data()[low] + 2 * (node - here.data()[low]);
  return {left, left + 1 < below.data()[low + 1]};
}

template <class A>
struct tree_leaves_body {
  A aggregator;

  template <block B, class T>
  FANFOLD_HD void operator()(B& b, view<T const> x, view<typename A::state> node) const {
    for (std::int64_t i = grid_thread(b); i < x.size(); i += grid_threads(b))
      node.data()[i] = aggregator.lift(load_item<typename A::input>(x.data()[i]));
  }
};

/// A thread makes a node from its two children, or moves an only child up.
template <class A>
struct tree_level_body {
  using state = typename A::state;
  A aggregator;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::int64_t const> below, view<std::int64_t const> here, state const* child, view<state> node) const {
    for (std::int64_t i = grid_thread(b); i < node.size(); i += grid_threads(b)) {
      tree_children const c = children_of(i, below, here);
      state s = child[c.left];
      if (c.pair) s = aggregator.combine(s, child[c.left + 1]);
      node.data()[i] = s;
    }
  }
};

template <class State>
struct tree_roots_body {
  template <block B, class G>
  FANFOLD_HD void operator()(B& b, view<std::int64_t const> here, view<G const> roots, view<State> g) const {
    for (std::int64_t s = grid_thread(b); s < roots.size(); s += grid_threads(b))
      if (here.data()[s] < here.data()[s + 1]) g.data()[here.data()[s]] = roots.data()[s];
  }
};

/// A thread shares the gradient of a node out to its children.
template <class A>
struct tree_pull_body {
  using state = typename A::state;
  A aggregator;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::int64_t const> below, view<std::int64_t const> here, state const* child, view<state const> g,
                             state* child_gradient) const {
    for (std::int64_t i = grid_thread(b); i < g.size(); i += grid_threads(b)) {
      tree_children const c = children_of(i, below, here);
      state left = g.data()[i];
      if (c.pair) {
        state const whole = left;
        state right = left;
        aggregator.combine_vjp(child[c.left], child[c.left + 1], whole, left, right);
        child_gradient[c.left + 1] = right;
      }
      child_gradient[c.left] = left;
    }
  }
};

struct tree_store_body {
  template <block B, class State, class D>
  FANFOLD_HD void operator()(B& b, view<State const> g, view<D> out) const {
    for (std::int64_t i = grid_thread(b); i < out.size(); i += grid_threads(b)) out.data()[i] = static_cast<D>(g.data()[i]);
  }
};

/// The offsets of all levels in the device's memory.
class device_tree {
 public:
  template <class E>
  device_tree(E const& ex, tree_shape const& shape, workspace::frame& frame)
      : shape_(shape), offsets_(frame.take<std::int64_t>(shape.levels() * (shape.segments() + 1))) {
    for (int l = 0; l < shape.levels(); ++l) ex.copy(level(l), view<std::int64_t const>(shape.offsets(l)));
  }
  view<std::int64_t const> offsets(int l) const { return as_const(level(l)); }
  /// The part of `all` that belongs to level l.
  template <class T>
  view<T> nodes(view<T> all, int l) const {
    return all.subview(shape_.first(l), shape_.offsets(l).back());
  }

 private:
  view<std::int64_t> level(int l) const { return offsets_.subview(l * (shape_.segments() + 1), shape_.segments() + 1); }

  tree_shape const& shape_;
  view<std::int64_t> offsets_;
};

}  // namespace detail

/// Device form of tree_fold: one launch for the leaves and one a level.
template <device_executor E, aggregator A, class T>
void run_loop(E const& ex, tree_loop<A> const& loop, tree_shape const& shape, view<T const> x, view<typename A::state> node, workspace& ws) {
  static_assert(std::is_trivially_copyable_v<typename A::state>, "a tree on a device needs a trivially copyable state");
  if (x.empty()) return;
  workspace::frame frame(ws);
  detail::device_tree const tree(ex, shape, frame);
  using leaves = detail::tree_leaves_body<A>;
  unsigned const threads = threads_for<leaves>(ex);
  ex.launch(leaves{loop.aggregator}, blocks_for(ex, x.size(), threads, threads), threads, x, node);
  for (int l = 1; l < shape.levels(); ++l) {
    auto const here = tree.nodes(node, l);
    typename A::state const* const child = tree.nodes(node, l - 1).data();
    ex.launch(detail::tree_level_body<A>{loop.aggregator}, blocks_for(ex, here.size(), threads, threads), threads, tree.offsets(l - 1),
              tree.offsets(l), child, here);
  }
}

/// Device form of tree_fold_vjp: the roots, one launch a level, the items.
template <device_executor E, class A, class G, class D>
void run_loop(E const& ex, tree_loop<A> const& loop, tree_shape const& shape, view<typename A::state const> node, view<G const> roots, view<D> items,
              workspace& ws) {
  using state = typename A::state;
  if (items.empty()) return;
  workspace::frame frame(ws);
  detail::device_tree const tree(ex, shape, frame);
  auto const gradient = frame.take<state>(shape.nodes());
  using pull = detail::tree_pull_body<A>;
  unsigned const threads = threads_for<pull>(ex);
  int const top = shape.levels() - 1;
  ex.launch(detail::tree_roots_body<state>{}, blocks_for(ex, roots.size(), threads, threads), threads, tree.offsets(top), roots,
            tree.nodes(gradient, top));
  for (int l = top; l >= 1; --l) {
    auto const here = as_const(tree.nodes(gradient, l));
    ex.launch(pull{loop.aggregator}, blocks_for(ex, here.size(), threads, threads), threads, tree.offsets(l - 1), tree.offsets(l),
              tree.nodes(node, l - 1).data(), here, tree.nodes(gradient, l - 1).data());
  }
  ex.launch(detail::tree_store_body{}, blocks_for(ex, items.size(), threads, threads), threads, as_const(tree.nodes(gradient, 0)), items);
}

}  // namespace fanfold::inline FANFOLD_ABI
