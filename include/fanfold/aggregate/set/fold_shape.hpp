#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/view.hpp"
#include "fanfold/fold/tree_fold.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Which pairs of a batch of segments are combined, level by level. Nodes 0 .. items - 1 are the items, the pairs of level 0 follow, then
/// those of level 1, and so on, each level in (segment, position) order. An unpaired node has no pair of its own.
class fold_shape {
 public:
  fold_shape() = default;

  /// The adjacent-pair tree of every segment: depth ceil(log2 n), n - 1 pairs.
  /// \throws argument_error for offsets that fall or do not start at 0.
  static fold_shape balanced(view<std::int64_t const> offsets) {
    tree_shape const tree(offsets);
    fold_shape s(tree.offsets(0));
    std::vector<std::int64_t> id(static_cast<std::size_t>(tree.nodes()));
    for (std::int64_t i = 0; i < s.items_; ++i) id[at(i)] = i;
    for (int l = 1; l < tree.levels(); ++l) {
      for (auto const& p : tree.pairs(l)) id[at(p.parent)] = p.moved_up() ? id[at(p.left)] : s.add_pair(id[at(p.left)], id[at(p.right)]);
      s.close_level();
    }
    int const top = tree.levels() - 1;
    for (std::int64_t segment = 0; segment < tree.segments(); ++segment)
      if (tree.offsets(0)[at(segment)] < tree.offsets(0)[at(segment + 1)])
        s.root_[at(segment)] = id[at(tree.first(top) + tree.offsets(top)[at(segment)])];
    return s;
  }

  /// One item after the other: ((x0 + x1) + x2) + ..., depth n - 1. What a recurrent aggregator does.
  /// \throws argument_error for offsets that fall or do not start at 0.
  static fold_shape sequential(view<std::int64_t const> offsets) {
    fold_shape s(tree_shape(offsets).offsets(0));
    std::int64_t longest = 0;
    for (std::int64_t i = 0; i + 1 < offsets.size(); ++i) {
      std::int64_t const n = offsets[i + 1] - offsets[i];
      longest = n > longest ? n : longest;
      if (n > 0) s.root_[at(i)] = offsets[i];
    }
    for (std::int64_t k = 1; k < longest; ++k) {
      for (std::int64_t i = 0; i + 1 < offsets.size(); ++i)
        if (offsets[i] + k < offsets[i + 1]) s.root_[at(i)] = s.add_pair(s.root_[at(i)], offsets[i] + k);
      s.close_level();
    }
    return s;
  }

  std::int64_t segments() const { return static_cast<std::int64_t>(root_.size()); }
  std::int64_t items() const { return items_; }
  /// Items and pairs.
  std::int64_t nodes() const { return items_ + static_cast<std::int64_t>(operand_.size()) / 2; }
  /// Dependent steps.
  int levels() const { return static_cast<int>(first_.size()) - 1; }
  std::int64_t pairs(int l) const { return first_[at(l + 1)] - first_[at(l)]; }
  /// Node of level l's first pair.
  std::int64_t first(int l) const { return first_[at(l)]; }
  /// Nodes of the operands of level l: left and right of each pair in turn.
  view<std::int64_t const> operands(int l) const { return {operand_.data() + 2 * (first(l) - items_), 2 * pairs(l)}; }
  /// The node that is segment s's result, -1 where it is empty.
  std::int64_t root(std::int64_t s) const { return root_[at(s)]; }

 private:
  explicit fold_shape(std::vector<std::int64_t> const& offsets) : items_(offsets.back()), first_{items_}, root_(offsets.size() - 1, -1) {}

  template <class Index>
  static std::size_t at(Index i) {
    return static_cast<std::size_t>(i);
  }
  std::int64_t add_pair(std::int64_t left, std::int64_t right) {
    operand_.push_back(left);
    operand_.push_back(right);
    return nodes() - 1;
  }
  void close_level() { first_.push_back(nodes()); }

  std::int64_t items_ = 0;
  std::vector<std::int64_t> first_{0};
  std::vector<std::int64_t> operand_{};
  std::vector<std::int64_t> root_{};
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
