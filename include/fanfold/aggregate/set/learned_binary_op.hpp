#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// A learned operation on pairs of vectors of `width()` numbers, applied to a whole level of a tree at once.
/// `apply(ex, x, y, ws)`: operands of pair p are rows 2p (left) and 2p + 1 (right) of x, its result is row p of y.
/// `vjp(ex, x, g, dx, dparameter, ws)`: for g = dL/dy the gradients of the operands and, summed over the pairs, of the `parameters()`
/// numbers that the operation refers to; both are overwritten.
/// Results of a pair must not depend on its batch mates, nor any result on the executor. Nothing need be associative.
template <class Op>
concept learned_binary_op = requires(Op const& op, matrix_view<typename Op::value_type const> x, matrix_view<typename Op::value_type> y,
                                     view<typename Op::value_type> p, workspace& ws) {
  { op.width() } -> std::same_as<std::int64_t>;
  { op.parameters() } -> std::same_as<std::int64_t>;
  { Op::commutative } -> std::convertible_to<bool>;
  op.check();
  op.apply(serial, x, y, ws);
  op.vjp(serial, x, x, y, p, ws);
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
