#pragma once

#include <concepts>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A monoid over whole rows whose columns are coupled through a small `head` a row: heads join once and leave `factors`, with which each
/// column then combines on its own. An attention state of run-time width is one: the head is its log-sum-exp, the factors rescale.
///
/// `lift_head(row)` reads the row's message, `lift(item)` one column of it; `lower(head, state)` is a column's answer, `lower_head(head)`
/// what the row has to say besides; `empty()` is a column's answer of no rows and `empty_head()` the row's.
template <class R>
concept row_monoid = requires(R const r, typename R::head const& h, typename R::state const& s, typename R::factors& f, typename R::input const& x) {
  { r.join(h, h, f) } -> std::same_as<typename R::head>;
  { r.combine(s, s, f) } -> std::same_as<typename R::state>;
  { r.lift(x) } -> std::same_as<typename R::state>;
  { r.lower(h, s) } -> std::same_as<typename R::output>;
  { r.empty() } -> std::same_as<typename R::output>;
  { R::laws } -> std::convertible_to<law>;
};

/// Any aggregator as a row monoid: each column for itself, the head is empty.
template <aggregator A>
struct columnwise {
  using input = typename A::input;
  using output = typename A::output;
  using state = typename A::state;
  struct head {};
  struct factors {};
  static constexpr law laws = A::laws;

  A aggregator{};

  template <class Row>
  FANFOLD_HD constexpr head lift_head(Row const&) const {
    return {};
  }
  FANFOLD_HD constexpr head join(head const&, head const&, factors&) const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return aggregator.lift(x); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b, factors const&) const { return aggregator.combine(a, b); }
  FANFOLD_HD constexpr void absorb(state& s, input const& x, factors const&) const { absorb_item(aggregator, s, x); }
  FANFOLD_HD constexpr output lower(head const&, state const& s) const { return aggregator.lower(s); }
  FANFOLD_HD constexpr output empty() const { return empty_answer(aggregator); }
};
template <aggregator A>
columnwise(A) -> columnwise<A>;

/// The row monoid that a policy stands for: itself, or its columnwise form.
template <class A>
FANFOLD_HD constexpr auto as_row_monoid(A const& a) {
  if constexpr (row_monoid<A>)
    return a;
  else
    return columnwise<A>{a};
}

}  // namespace fanfold::inline FANFOLD_ABI
