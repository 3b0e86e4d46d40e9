#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/state_of.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// An aggregator whose gradient with respect to an item is a closed form of the item, the final state and the gradient G of the answer:
/// `fold_vjp(state, g)` gives a callable item -> gradient.
template <class A, class G>
concept has_pullback = aggregator<A> && requires(A const& a, typename A::state const& s, G const& g, typename A::input const& x) { a.fold_vjp(s, g)(x); };

template <aggregator A>
struct fold_vjp_loop {
  A aggregator{};
};

namespace detail {

inline constexpr std::int64_t pullback_task_items = 16384;

/// Elements [begin, end) of a column `stride` apart.
template <class Pullback, class Input, class T, class D>
FANFOLD_INLINE void pull_back(Pullback const& pullback, T const* x, std::int64_t x_stride, D* dx, std::int64_t dx_stride, std::int64_t begin,
                              std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) dx[i * dx_stride] = store_item<D>(pullback(load_item<Input>(x[i * x_stride])));
}

template <class A, class T, class G, class D>
FANFOLD_NOINLINE void pull_back_stream(A const& a, T const* x, typename A::state const& state, G const& g, D* dx, std::int64_t begin,
                                       std::int64_t end) {
  auto const pullback = a.fold_vjp(state, g);
  pull_back<decltype(pullback), typename A::input>(pullback, x, 1, dx, 1, begin, end);
}

/// Rows [begin, end) of segments from `segment` on.
template <class A, class T, class G, class D>
FANFOLD_NOINLINE void pull_back_segments(A const& a, matrix_view<T const> x, std::int64_t const* offsets, matrix_view<typename A::state const> states,
                                         matrix_view<G const> g, matrix_view<D> dx, std::int64_t begin, std::int64_t end) {
  for (std::int64_t s = begin; s < end; ++s)
    for (std::int64_t c = 0; c < x.cols(); ++c) {
      auto const pullback = a.fold_vjp(states(s, c), g(s, c));
      pull_back<decltype(pullback), typename A::input>(pullback, x.data() + c, x.stride(), dx.data() + c, dx.stride(), offsets[s], offsets[s + 1]);
    }
}

}  // namespace detail

/// Host forms.
template <host_executor E, class A, class T, class G, class D>
void run_loop(E const& ex, fold_vjp_loop<A> const& loop, view<T const> x, view<typename A::state const> state, view<G const> g, view<D> dx) {
  std::int64_t const n = x.size(), step = detail::pullback_task_items;
  for_each_task(ex, detail::divide_up(n, step), [&](std::int64_t t) {
    detail::pull_back_stream(loop.aggregator, x.data(), state[0], g[0], dx.data(), t * step, (t + 1) * step < n ? (t + 1) * step : n);
  });
}
template <host_executor E, class A, class T, class G, class D>
void run_loop(E const& ex, fold_vjp_loop<A> const& loop, matrix_view<T const> x, view<std::int64_t const> offsets,
              matrix_view<typename A::state const> states, matrix_view<G const> g, matrix_view<D> dx) {
  std::int64_t const segments = states.rows();
  if (segments == 0 || x.cols() == 0) return;
  std::int64_t const tasks = detail::divide_up((offsets[segments] - offsets[0]) * x.cols() + segments, detail::segment_task_work);
  for_each_task(ex, tasks, [&](std::int64_t t) {
    detail::pull_back_segments(loop.aggregator, x, offsets.data(), states, g, dx, detail::first_segment_of_task(offsets, t, tasks),
                               detail::first_segment_of_task(offsets, t + 1, tasks));
  });
}

/// Gradient of `fold`: `dx[i] = a.fold_vjp(state, g)(x[i])`, for aggregators with a closed form.
///
/// `state` and `g` have one element each, in memory that `ex` can read: the final state, from `fold(ex, state_of{a}, x, state)`, and the
/// gradient of the answer. `dx` may be `x`.
/// \throws argument_error for sizes that do not match; nothing is written then.
/// \par Determinism elementwise.
template <executor E, aggregator A, viewable X, viewable S, viewable G, viewable D>
void fold_vjp(E const& ex, A const& a, X const& x, S const& state, G const& g, D&& dx) {
  auto const items = as_const(as_view(x));
  auto const final = as_const(as_view(state));
  auto const gradient = as_const(as_view(g));
  auto const out = as_view(dx);
  static_assert(has_pullback<A, typename decltype(gradient)::value_type>, "fold_vjp needs an aggregator with fold_vjp(state, gradient) -> pullback");
  check_argument(final.size() == 1, "fold_vjp", "state.size()", final.size(), "1");
  check_argument(gradient.size() == 1, "fold_vjp", "g.size()", gradient.size(), "1");
  check_argument(out.size() == items.size(), "fold_vjp", "dx.size()", out.size(), "x.size()");
  static_assert(detail::has_backend<E, fold_vjp_loop<A>, decltype(items), decltype(final), decltype(gradient), decltype(out)>,
                "no backend of fold_vjp for this executor: include <fanfold/kernel/fold_vjp.hpp> for device executors");
  run_loop(ex, fold_vjp_loop<A>{a}, items, final, gradient, out);
}
template <aggregator A, viewable X, viewable S, viewable G, viewable D>
void fold_vjp(A const& a, X const& x, S const& state, G const& g, D&& dx) {
  fold_vjp(serial, a, x, state, g, dx);
}

/// Gradient of `segmented_fold`: `dx(i, c) = a.fold_vjp(state(s, c), g(s, c))(x(i, c))` for the rows i of segment s. Rows in no segment keep
/// what `dx` holds. States come from the segmented fold of `state_of{a}`.
/// \throws argument_error for shapes that do not match or offsets that fall; nothing is written then.
template <executor E, aggregator A, matrix_viewable X, viewable Offsets, matrix_viewable S, matrix_viewable G, matrix_viewable D>
void segmented_fold_vjp(E const& ex, A const& a, X const& x, Offsets const& offsets, S const& states, G const& g, D&& dx) {
  auto const items = as_const(as_matrix_view(x));
  auto const starts = as_const(as_view(offsets));
  auto const finals = as_const(as_matrix_view(states));
  auto const gradients = as_const(as_matrix_view(g));
  auto const out = as_matrix_view(dx);
  auto const same = [&](auto const& m, char const* name) {
    check_argument(m.rows() == finals.rows() && m.cols() == items.cols(), "segmented_fold_vjp", name, m.rows(), "one row a segment, x.cols() columns");
  };
  static_assert(has_pullback<A, typename decltype(gradients)::value_type>, "segmented_fold_vjp needs an aggregator with fold_vjp(state, gradient)");
  check_argument(starts.size() == finals.rows() + 1 || (starts.empty() && finals.rows() == 0), "segmented_fold_vjp", "states.rows()", finals.rows(),
                 "the number of segments");
  same(finals, "states"), same(gradients, "g");
  check_argument(out.rows() == items.rows() && out.cols() == items.cols(), "segmented_fold_vjp", "dx.rows()", out.rows(), "the shape of x");
  if constexpr (host_executor<E>) detail::check_offsets("segmented_fold_vjp", starts, items.rows());
  static_assert(detail::has_backend<E, fold_vjp_loop<A>, decltype(items), decltype(starts), decltype(finals), decltype(gradients), decltype(out)>,
                "no backend of segmented_fold_vjp for this executor: include <fanfold/kernel/fold_vjp.hpp> for device executors");
  run_loop(ex, fold_vjp_loop<A>{a}, items, starts, finals, gradients, out);
}

/// The same over a stream of items.
template <executor E, aggregator A, viewable X, viewable Offsets, viewable S, viewable G, viewable D>
void segmented_fold_vjp(E const& ex, A const& a, X const& x, Offsets const& offsets, S const& states, G const& g, D&& dx) {
  auto const column = [](auto v) { return matrix_view(v.data(), v.size(), 1); };
  segmented_fold_vjp(ex, a, column(as_view(x)), offsets, column(as_view(states)), column(as_view(g)), column(as_view(dx)));
}
template <class A, class X, viewable Offsets, class S, class G, class D>
  requires aggregator<A> && (!executor<A>)
void segmented_fold_vjp(A const& a, X const& x, Offsets const& offsets, S const& states, G const& g, D&& dx) {
  segmented_fold_vjp(serial, a, x, offsets, states, g, dx);
}

}  // namespace fanfold::inline FANFOLD_ABI
