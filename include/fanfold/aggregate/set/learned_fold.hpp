#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/aggregate/set/fold_shape.hpp"
#include "fanfold/aggregate/set/learned_binary_op.hpp"
#include "fanfold/fold/empty_policy.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// The nodes of the trees of one `learned_fold`: items first, then the results of the pairs, level by level. Memory is reused by the
/// next fold over the same tape.
template <class A>
class learned_tape {
 public:
  fold_shape const& shape() const { return shape_; }
  std::int64_t width() const { return width_; }
  /// [items + pairs, width].
  matrix_view<A const> nodes() const { return {node_.data(), shape_.nodes(), width_}; }

  /// Sets up memory for the trees; used by `learned_fold`.
  matrix_view<A> reset(fold_shape shape, std::int64_t width) {
    shape_ = static_cast<fold_shape&&>(shape);
    width_ = width;
    node_.resize(static_cast<std::size_t>(shape_.nodes() * width));
    return {node_.data(), shape_.nodes(), width_};
  }

 private:
  fold_shape shape_{};
  std::vector<A> node_{};
  std::int64_t width_ = 0;
};

namespace detail {

template <class T, class U>
FANFOLD_INLINE void copy_row(matrix_view<T> from, std::int64_t r, matrix_view<U> to, std::int64_t q) {
  T* const source = from.data() + r * from.stride();
  U* const target = to.data() + q * to.stride();
  for (std::int64_t c = 0; c < from.cols(); ++c) target[c] = source[c];
}

/// The operands of a level's pairs, one below the other.
template <host_executor E, class A>
void gather_operands(E const& ex, fold_shape const& shape, int level, matrix_view<A const> nodes, matrix_view<A> x) {
  view<std::int64_t const> const operand = shape.operands(level);
  for_each_row(ex, operand.size(), nodes.cols(), [&](std::int64_t i) { copy_row(nodes, operand.data()[i], x, i); });
}

template <class Op, class X, class Out>
void check_learned_fold(char const* function, Op const& op, fold_shape const& shape, X const& x, Out const& out) {
  op.check();
  check_argument(x.cols() == op.width(), function, "x.cols()", x.cols(), "the width of the operation (project the items first)");
  check_argument(x.rows() == shape.items(), function, "x.rows()", x.rows(), "the last offset");
  check_argument(out.rows() == shape.segments(), function, "out.rows()", out.rows(), "the number of segments");
  check_argument(out.cols() == op.width(), function, "out.cols()", out.cols(), "the width of the operation");
  check_argument(x.empty() || x.data() != nullptr, function, "x.data()", x.data(), "not null");
  check_argument(out.empty() || out.data() != nullptr, function, "out.data()", out.data(), "not null");
}

template <class Empty, class A>
void store_empty_segment([[maybe_unused]] Empty const& empty, [[maybe_unused]] matrix_view<A> out, [[maybe_unused]] std::int64_t s) {
  if constexpr (!std::is_same_v<Empty, empty_policy::skip_t>) {
    A v = 0;
    if constexpr (!std::is_same_v<Empty, empty_policy::answer_t>) v = static_cast<A>(empty.v);
    for (std::int64_t c = 0; c < out.cols(); ++c) out.data()[s * out.stride() + c] = v;
  }
}

}  // namespace detail

/// Folds each segment of the rows of `x` with a learned operation over the tree that `shape` gives (by default the adjacent-pair tree of
/// depth ceil(log2 n)), without padding: all pairs of a level, of all segments, in one batch. `out` has one row a segment; a segment of one
/// item is that item, an empty one follows the empty policy among the options (default 0). `tape` keeps the nodes for the gradient.
/// Options: an empty policy, a workspace.
/// \throws argument_error for shapes that do not match, also where items are not as wide as the operation: project them first.
/// \par Determinism  a segment's bits depend on its own items alone, neither on the rest of the batch nor on the executor.
/// Ong and Velickovic 2022 (arXiv 2212.08541).
template <host_executor E, learned_binary_op Op, matrix_viewable X, matrix_viewable Out, fanfold::detail::segment_option... Options>
void learned_fold(E const& ex, Op const& op, X const& x, fold_shape const& shape, Out&& out, learned_tape<typename Op::value_type>& tape,
                  Options&&... options) {
  using A = typename Op::value_type;
  matrix_view<A const> const items = as_const(as_matrix_view(x));
  matrix_view<A> const answer = as_matrix_view(out);
  detail::check_learned_fold("learned_fold", op, shape, items, answer);
  fanfold::detail::call_workspace ws(ex, options...);
  auto const empty = fanfold::detail::find_empty_policy(std::as_const(options)...);
  matrix_view<A> const node = tape.reset(shape, op.width());
  detail::for_each_row(ex, items.rows(), items.cols(), [&](std::int64_t i) { detail::copy_row(items, i, node, i); });
  for (int l = 0; l < shape.levels(); ++l) {
    workspace::frame frame(ws.get());
    auto const operands = detail::take_matrix<A>(frame, 2 * shape.pairs(l), op.width());
    detail::gather_operands(ex, shape, l, as_const(node), operands);
    op.apply(ex, as_const(operands), node.sub_rows(shape.first(l), shape.pairs(l)), ws.get());
  }
  for (std::int64_t s = 0; s < shape.segments(); ++s) {
    if (shape.root(s) >= 0)
      detail::copy_row(node, shape.root(s), answer, s);
    else
      detail::store_empty_segment(empty, answer, s);
  }
}

/// The same over segments given by offsets, by the adjacent-pair tree.
template <host_executor E, learned_binary_op Op, matrix_viewable X, viewable Offsets, matrix_viewable Out,
          fanfold::detail::segment_option... Options>
void learned_fold(E const& ex, Op const& op, X const& x, Offsets const& offsets, Out&& out, learned_tape<typename Op::value_type>& tape,
                  Options&&... options) {
  learned_fold(ex, op, x, fold_shape::balanced(as_const(as_view(offsets))), out, tape, options...);
}

/// Gradients of a `learned_fold` for g = dL/dout: `dx` [items, width] and `dparameter`, both overwritten. Levels are walked from the roots
/// down, and pairs are computed again from their operands.
/// \throws argument_error for shapes that do not match the tape.
/// \par Determinism  parameter gradients: one product a level over its pairs in (segment, position) order, level results added by a left
/// fold, root level first; the same bits for every executor.
template <host_executor E, learned_binary_op Op, matrix_viewable G, matrix_viewable DX, viewable DP,
          fanfold::detail::call_option... Options>
void learned_fold_vjp(E const& ex, Op const& op, learned_tape<typename Op::value_type> const& tape, G const& gradient, DX&& dx,
                      DP&& dparameter, Options&&... options) {
  using A = typename Op::value_type;
  fold_shape const& shape = tape.shape();
  matrix_view<A const> const g = as_const(as_matrix_view(gradient));
  matrix_view<A> const ditems = as_matrix_view(dx);
  view<A> const dp = as_view(dparameter);
  detail::check_learned_fold("learned_fold_vjp", op, shape, ditems, g);
  check_argument(dp.size() == op.parameters(), "learned_fold_vjp", "dparameter.size()", dp.size(), "the number of parameters");
  check_argument(tape.width() == op.width(), "learned_fold_vjp", "width of the tape", tape.width(), "the width of the operation");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const dnode = detail::take_matrix<A>(frame, shape.nodes(), op.width());
  for (std::int64_t s = 0; s < shape.segments(); ++s)
    if (shape.root(s) >= 0) detail::copy_row(g, s, dnode, shape.root(s));
  view<A> const share = frame.template take<A>(dp.size());
  for (std::int64_t i = 0; i < dp.size() && shape.levels() == 0; ++i) dp[i] = 0;
  for (int l = shape.levels() - 1; l >= 0; --l) {
    workspace::frame inner(ws.get());
    auto const operands = detail::take_matrix<A>(inner, 2 * shape.pairs(l), op.width()),
               doperands = detail::take_matrix<A>(inner, 2 * shape.pairs(l), op.width());
    detail::gather_operands(ex, shape, l, tape.nodes(), operands);
    bool const first = l == shape.levels() - 1;
    op.vjp(ex, as_const(operands), as_const(dnode.sub_rows(shape.first(l), shape.pairs(l))), doperands, first ? dp : share, ws.get());
    for (std::int64_t i = 0; i < dp.size() && !first; ++i) dp[i] = dp[i] + share[i];
    view<std::int64_t const> const operand = shape.operands(l);
    detail::for_each_row(ex, operand.size(), op.width(), [&](std::int64_t i) { detail::copy_row(doperands, i, dnode, operand.data()[i]); });
  }
  detail::for_each_row(ex, ditems.rows(), ditems.cols(), [&](std::int64_t i) { detail::copy_row(dnode, i, ditems, i); });
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
