#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/aggregate/set/learned_binary_op.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

template <class Op, class A>
void check_triples(char const* function, Op const& op, matrix_view<A const> a, matrix_view<A const> b, matrix_view<A const> c) {
  op.check();
  check_argument(a.cols() == op.width() && b.cols() == op.width() && c.cols() == op.width(), function, "columns of the triples",
                 "another number", "the width of the operation");
  check_argument(b.rows() == a.rows() && c.rows() == a.rows(), function, "b.rows() or c.rows()", "another number", "a.rows()");
}

/// Both bracketings of all triples: rows 2t and 2t + 1 of `result` are (a+b)+c and a+(b+c).
template <class Op>
struct bracketings {
  using A = typename Op::value_type;
  matrix_view<A> inner_operands, outer_operands, result;

  template <host_executor E>
  bracketings(E const& ex, Op const& op, matrix_view<A const> a, matrix_view<A const> b, matrix_view<A const> c, workspace::frame& frame,
              workspace& ws)
      : inner_operands(take_matrix<A>(frame, 4 * a.rows(), op.width())),
        outer_operands(take_matrix<A>(frame, 4 * a.rows(), op.width())),
        result(take_matrix<A>(frame, 2 * a.rows(), op.width())) {
    auto const inner = take_matrix<A>(frame, 2 * a.rows(), op.width());
    for_each_row(ex, a.rows(), 4 * op.width(), [&](std::int64_t t) {
      copy(a, t, inner_operands, 4 * t), copy(b, t, inner_operands, 4 * t + 1), copy(b, t, inner_operands, 4 * t + 2),
          copy(c, t, inner_operands, 4 * t + 3);
    });
    op.apply(ex, as_const(inner_operands), inner, ws);
    for_each_row(ex, a.rows(), 4 * op.width(), [&](std::int64_t t) {
      copy(as_const(inner), 2 * t, outer_operands, 4 * t), copy(c, t, outer_operands, 4 * t + 1);
      copy(a, t, outer_operands, 4 * t + 2), copy(as_const(inner), 2 * t + 1, outer_operands, 4 * t + 3);
    });
    op.apply(ex, as_const(outer_operands), result, ws);
  }
  static void copy(matrix_view<A const> from, std::int64_t r, matrix_view<A> to, std::int64_t q) {
    for (std::int64_t i = 0; i < from.cols(); ++i) to(q, i) = from(r, i);
  }
};

}  // namespace detail

/// mean over triples t of || (a_t (+) b_t) (+) c_t - a_t (+) (b_t (+) c_t) ||^2 for rows of a, b, c: how far a learned operation is from
/// associative, and, as a term of the loss, what makes it so. Users choose the triples. 0 without triples.
/// \throws argument_error for shapes that do not match.
/// \par Determinism  squares in double, by the canonical tree of `fold` over (triple, column).
template <host_executor E, learned_binary_op Op, matrix_viewable X, fanfold::detail::call_option... Options>
double associativity_gap(E const& ex, Op const& op, X const& a, X const& b, X const& c, Options&&... options) {
  using A = typename Op::value_type;
  auto const left = as_const(as_matrix_view(a)), middle = as_const(as_matrix_view(b)), right = as_const(as_matrix_view(c));
  detail::check_triples<Op, A>("associativity_gap", op, left, middle, right);
  if (left.rows() == 0) return 0;
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  detail::bracketings<Op> const both(ex, op, left, middle, right, frame, ws.get());
  view<double> const square = frame.template take<double>(left.rows() * op.width());
  detail::for_each_row(ex, left.rows(), 2 * op.width(), [&](std::int64_t t) {
    for (std::int64_t i = 0; i < op.width(); ++i) {
      double const d = static_cast<double>(both.result(2 * t, i)) - static_cast<double>(both.result(2 * t + 1, i));
      square[t * op.width() + i] = d * d;
    }
  });
  return fold(ex, plus<double>{}, square, ws.get()) / static_cast<double>(left.rows());
}

/// Gradients of `associativity_gap` times `g`: of the three operands, by the chain rule through four uses of the operation, and of the
/// parameters (the outer uses first, the inner ones added). All overwritten.
template <host_executor E, learned_binary_op Op, matrix_viewable X, matrix_viewable DX, viewable DP,
          fanfold::detail::call_option... Options>
void associativity_gap_vjp(E const& ex, Op const& op, X const& a, X const& b, X const& c, typename Op::value_type g, DX&& da, DX&& db,
                           DX&& dc, DP&& dparameter, Options&&... options) {
  using A = typename Op::value_type;
  auto const left = as_const(as_matrix_view(a)), middle = as_const(as_matrix_view(b)), right = as_const(as_matrix_view(c));
  auto const dleft = as_matrix_view(da), dmiddle = as_matrix_view(db), dright = as_matrix_view(dc);
  view<A> const dp = as_view(dparameter);
  std::int64_t const triples = left.rows(), d = op.width();
  detail::check_triples<Op, A>("associativity_gap_vjp", op, left, middle, right);
  detail::check_triples<Op, A>("associativity_gap_vjp", op, as_const(dleft), as_const(dmiddle), as_const(dright));
  check_argument(dleft.rows() == triples, "associativity_gap_vjp", "da.rows()", dleft.rows(), "a.rows()");
  check_argument(dp.size() == op.parameters(), "associativity_gap_vjp", "dparameter.size()", dp.size(), "the number of parameters");
  for (std::int64_t i = 0; i < dp.size() && triples == 0; ++i) dp[i] = 0;
  if (triples == 0) return;
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  detail::bracketings<Op> const both(ex, op, left, middle, right, frame, ws.get());
  auto const dresult = detail::take_matrix<A>(frame, 2 * triples, d), douter = detail::take_matrix<A>(frame, 4 * triples, d),
             dinner = detail::take_matrix<A>(frame, 2 * triples, d), doperands = detail::take_matrix<A>(frame, 4 * triples, d);
  A const scale = A(2) * g / static_cast<A>(triples);
  detail::for_each_row(ex, triples, 2 * d, [&](std::int64_t t) {
    for (std::int64_t i = 0; i < d; ++i) {
      dresult(2 * t, i) = scale * (both.result(2 * t, i) - both.result(2 * t + 1, i));
      dresult(2 * t + 1, i) = -dresult(2 * t, i);
    }
  });
  op.vjp(ex, as_const(both.outer_operands), as_const(dresult), douter, dp, ws.get());
  detail::for_each_row(ex, triples, 2 * d, [&](std::int64_t t) {
    for (std::int64_t i = 0; i < d; ++i) dinner(2 * t, i) = douter(4 * t, i), dinner(2 * t + 1, i) = douter(4 * t + 3, i);
  });
  view<A> const share = frame.template take<A>(dp.size());
  op.vjp(ex, as_const(both.inner_operands), as_const(dinner), doperands, share, ws.get());
  for (std::int64_t i = 0; i < dp.size(); ++i) dp[i] = dp[i] + share[i];
  detail::for_each_row(ex, triples, 4 * d, [&](std::int64_t t) {
    for (std::int64_t i = 0; i < d; ++i) {
      dleft(t, i) = doperands(4 * t, i) + douter(4 * t + 2, i);
      dmiddle(t, i) = doperands(4 * t + 1, i) + doperands(4 * t + 2, i);
      dright(t, i) = doperands(4 * t + 3, i) + douter(4 * t + 1, i);
    }
  });
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
