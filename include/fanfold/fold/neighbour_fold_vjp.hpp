#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/fold_vjp.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What the edge j -> r sends back to its source j: the pullback of r's fold at the item that j sent.
template <aggregator A, class T, class G>
struct pullback_rows {
  struct row_type {
    pullback_rows const& message;
    std::int64_t source, destination, edge;
    FANFOLD_HD constexpr auto operator[](std::int64_t c) const {
      using input = typename A::input;
      auto const& [a, sources, finals, gradients, weights] = message;
      auto const pullback = a.fold_vjp(finals.data()[destination * finals.stride() + c], gradients.data()[destination * gradients.stride() + c]);
      auto const item = sources.data()[source * sources.stride() + c];
      if constexpr (std::is_arithmetic_v<input>) {
        if (weights.data() != nullptr) {
          auto const w = weights.data()[edge];
          return static_cast<decltype(pullback(input{}))>(w * pullback(static_cast<input>(w * to_arithmetic(item))));
        }
      }
      return pullback(detail::load_item<input>(item));
    }
  };

  A aggregator{};
  matrix_view<T const> x{};
  matrix_view<typename A::state const> states{};
  matrix_view<G const> g{};
  view<arithmetic_t<T> const> weight{};

  FANFOLD_HD constexpr row_type row(std::int64_t source, std::int64_t destination, std::int64_t edge) const {
    return {*this, source, destination, edge};
  }
  FANFOLD_HD constexpr std::int64_t sources() const { return states.rows(); }
  FANFOLD_HD constexpr std::int64_t columns() const { return x.cols(); }
};

/// Gradient of `neighbour_fold` of `source_rows` (or, where `transposed` has values, of `weighted_source_rows`) with respect to the sources:
/// `dx(j, c) = sum over edges j -> r of w a.fold_vjp(state(r, c), g(r, c))(w x(j, c))`.
///
/// Row j of `transposed` lists the rows r that fold source j, with the same weights. States come from the neighbour fold of `state_of{a}`.
/// \throws argument_error as neighbour_fold does.
/// \par Determinism the ordered tree over a source's edges: a neighbour fold by itself, on every executor that has one.
template <executor E, aggregator A, class W, matrix_viewable X, matrix_viewable S, matrix_viewable G, matrix_viewable D, detail::call_option... Options>
void neighbour_fold_vjp(E const& ex, A const& a, csr_view<W> const& transposed, X const& x, S const& states, G const& g, D&& dx, Options&&... options) {
  auto const items = as_const(as_matrix_view(x));
  auto const gradients = as_const(as_matrix_view(g));
  auto const finals = as_const(as_matrix_view(states));
  using T = typename decltype(items)::value_type;
  using message = pullback_rows<A, T, typename decltype(gradients)::value_type>;
  check_argument(items.rows() == transposed.rows(), "neighbour_fold_vjp", "x.rows()", items.rows(), "the rows of the transposed graph");
  check_argument(finals.rows() == gradients.rows() && finals.cols() == items.cols() && gradients.cols() == items.cols(), "neighbour_fold_vjp",
                 "g.rows()", gradients.rows(), "that of states, with x.cols() columns each");
  check_argument(!transposed.weighted() || transposed.values.size() >= transposed.entries(), "neighbour_fold_vjp", "transposed.values.size()",
                 transposed.values.size(), "the number of entries");
  view<arithmetic_t<T> const> weight{};
  if constexpr (std::is_same_v<W, arithmetic_t<T>>)
    weight = transposed.values;
  else
    check_argument(!transposed.weighted(), "neighbour_fold_vjp", "transposed.values", "of another type", "of the arithmetic type of x");
  using gradient = std::remove_cvref_t<decltype(a.fold_vjp(finals(0, 0), gradients(0, 0))(typename A::input{}))>;
  neighbour_fold(ex, plus<gradient>{}, transposed, message{a, items, finals, gradients, weight}, dx, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
