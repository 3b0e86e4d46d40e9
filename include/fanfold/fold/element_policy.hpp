#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Where map_fold works: the output row, the index of its first entry in the row lists (0 without lists), and the segment.
struct map_place {
  std::int64_t row = 0;
  std::int64_t first = 0;
  std::int64_t segment = 0;
};

/// One output element from any number of rows: `lift(k, x, element)` makes a state of row k's value, `combine(earlier, later)` joins two,
/// `lower(state)` is the output. Rows join by the ordered tree. No rows at all give +0.
template <class F, class A>
concept row_reduction = requires(F const f, A x, std::int64_t i, typename F::state const s) {
  { f.lift(i, x, i) } -> std::same_as<typename F::state>;
  { f.combine(s, s) } -> std::same_as<typename F::state>;
  { f.lower(s) } -> std::convertible_to<A>;
};

/// A fixed number of rows to a fixed number of rows: `f(element, x, y)` reads x[0..inputs) and writes y[0..outputs).
template <class F, class A>
concept element_map = requires(F const f, A const* x, A* y, std::int64_t i) {
  requires F::inputs >= 0 && F::outputs >= 0;
  f(i, x, y);
};

namespace detail {

/// Policies with parameters that depend on row or segment have `bind(place)`, which returns the functor for that place.
template <class P>
FANFOLD_HD constexpr auto bind_policy(P const& policy, map_place place) {
  if constexpr (requires { policy.bind(place); })
    return policy.bind(place);
  else
    return policy;
}
template <class P>
using bound_policy_t = decltype(bind_policy(std::declval<P const&>(), map_place{}));

}  // namespace detail

/// What map_fold takes: a row_reduction or an element_map, or something whose `bind(map_place)` gives one.
template <class P, class A>
concept element_policy = row_reduction<detail::bound_policy_t<P>, A> || element_map<detail::bound_policy_t<P>, A>;

namespace detail {

template <class P, class A>
constexpr std::int64_t output_rows() {
  if constexpr (element_map<bound_policy_t<P>, A>)
    return bound_policy_t<P>::outputs;
  else
    return 1;
}

}  // namespace detail

/// sum over k of weight[k] * x_k, each product rounded before it is added. With row lists, one weight an entry.
template <class A>
struct weighted_sum {
  view<A const> weight{};

  struct bound {
    using state = A;
    A const* weight;
    FANFOLD_HD constexpr A lift(std::int64_t k, A x, std::int64_t) const { return weight[k] * x; }
    FANFOLD_HD constexpr A combine(A a, A b) const { return a + b; }
    FANFOLD_HD constexpr A lower(A s) const { return s; }
  };
  FANFOLD_HD constexpr bound bind(map_place at) const { return {weight.data() + at.first}; }
};
template <class A>
weighted_sum(view<A const>) -> weighted_sum<A>;

/// The first row as it is.
template <class A>
struct copied {
  static constexpr int inputs = 1, outputs = 1;
  FANFOLD_HD constexpr void operator()(std::int64_t, A const* x, A* y) const { y[0] = x[0]; }
};

/// What happens to the elements of a segment: y = centre + scale * (x - centre), or y = x bit for bit unless `applies`.
template <class A>
struct affine_step {
  A centre = 0;
  A scale = 1;
  bool applies = true;

  FANFOLD_HD constexpr A operator()(A x) const { return applies ? centre + scale * (x - centre) : x; }
};

/// An affine step a row and segment (`step[row * segments + segment]`) on one input row.
template <class A>
struct rescaled {
  view<affine_step<A> const> step{};
  std::int64_t segments = 1;

  struct bound {
    static constexpr int inputs = 1, outputs = 1;
    affine_step<A> step;
    FANFOLD_HD constexpr void operator()(std::int64_t, A const* x, A* y) const { y[0] = step(x[0]); }
  };
  FANFOLD_HD constexpr bound bind(map_place at) const { return {step[at.row * segments + at.segment]}; }
};

/// weighted_sum followed by the affine step, without rounding to the storage type in between.
template <class A>
struct rescaled_sum {
  view<A const> weight{};
  view<affine_step<A> const> step{};
  std::int64_t segments = 1;

  struct bound {
    using state = A;
    A const* weight;
    affine_step<A> step;
    FANFOLD_HD constexpr A lift(std::int64_t k, A x, std::int64_t) const { return weight[k] * x; }
    FANFOLD_HD constexpr A combine(A a, A b) const { return a + b; }
    FANFOLD_HD constexpr A lower(A s) const { return step(s); }
  };
  FANFOLD_HD constexpr bound bind(map_place at) const { return {weight.data() + at.first, step[at.row * segments + at.segment]}; }
};

}  // namespace fanfold::inline FANFOLD_ABI
