#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/detail/check_plan.hpp"
#include "fanfold/dispatch/plan_view.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

/// Rows are copies of their tokens (weights are applied after the experts).
struct unscaled {};

/// Rows are their tokens times the assignment's weight (weights are applied before the experts).
template <class W>
struct scaled {
  matrix_view<W const> weight{};
};
template <matrix_viewable M>
scaled(M const&) -> scaled<std::remove_const_t<typename M::element_type>>;

/// What `run_loop` runs for `gather` (engine loop E7).
template <class Scale>
struct gather_loop {
  Scale scale{};
};

namespace detail {

template <class T, class U>
FANFOLD_NOINLINE void copy_row(T const* FANFOLD_RESTRICT from, U* FANFOLD_RESTRICT to, std::int64_t n) {
  if constexpr (std::is_same_v<T, U>) {
    if (n > 0) std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
  } else {
    for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<U>(static_cast<arithmetic_t<U>>(to_arithmetic(from[c])));
  }
}

template <class T, class U, class A>
FANFOLD_NOINLINE void scale_row(T const* FANFOLD_RESTRICT from, A weight, U* FANFOLD_RESTRICT to, std::int64_t n) {
  for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<U>(static_cast<arithmetic_t<U>>(weight * static_cast<A>(to_arithmetic(from[c]))));
}

template <class U>
FANFOLD_NOINLINE void zero_row(U* to, std::int64_t n) {
  for (std::int64_t c = 0; c < n; ++c) to[c] = from_arithmetic<U>(arithmetic_t<U>(0));
}

// Each token is read once and written to its rows.
template <class Scale, class T, class U>
void gather_token(Scale const& scale, plan_view const& plan, std::int64_t t, matrix_view<T const> x, matrix_view<U> rows) {
  T const* const from = x.data() + t * x.stride();
  for (std::int64_t s = 0; s < plan.slots; ++s) {
    std::int64_t const row = plan.row_of.data()[t * plan.slots + s];
    if (row < 0) continue;
    U* const to = rows.data() + row * rows.stride();
    if constexpr (std::is_same_v<Scale, unscaled>)
      copy_row(from, to, x.cols());
    else
      scale_row(from, static_cast<arithmetic_t<T>>(to_arithmetic(scale.weight(t, s))), to, x.cols());
  }
}

/// Tokens of one task: about 64 KiB of a matrix's elements a slot.
constexpr std::int64_t tokens_a_task(std::int64_t cols, std::int64_t element) {
  std::int64_t const n = 65536 / (cols * element < 1 ? 1 : cols * element);
  return n < 1 ? 1 : n;
}

}  // namespace detail

/// Host form of E7's first half.
template <host_executor E, class Scale, class T, class U>
void run_loop(E const& ex, gather_loop<Scale> const& loop, plan_view const& plan, matrix_view<T const> x, matrix_view<U> rows, workspace&) {
  std::int64_t const step = detail::tokens_a_task(x.cols(), sizeof(T));
  std::int64_t const token_tasks = fanfold::detail::divide_up(plan.tokens, step);
  std::int64_t const pad_tasks = plan.leaves_padding ? 0 : plan.experts();
  for_each_task(ex, token_tasks, [&](std::int64_t task) {
    std::int64_t const end = (task + 1) * step < plan.tokens ? (task + 1) * step : plan.tokens;
    for (std::int64_t t = task * step; t < end; ++t) detail::gather_token(loop.scale, plan, t, x, rows);
  });
  for_each_task(ex, pad_tasks, [&](std::int64_t e) {
    for (std::int64_t r = plan.offsets[e] + plan.kept[e]; r < plan.offsets[e + 1]; ++r) detail::zero_row(rows.data() + r * rows.stride(), rows.cols());
  });
}

/// Tokens to rows: `rows[r, :] = g * x[src_of[r] / K, :]` with g = 1 (`unscaled`) or the assignment's weight (`scaled{weight}`). Padding
/// rows become zero, or stay untouched in the masked layout. Storage types of `x` and `rows` may differ: one rounding.
/// \throws argument_error for shapes that do not match the plan, or x and rows that overlap.
/// \par Determinism  elementwise.
template <executor E, class Scale, matrix_viewable X, matrix_viewable Rows, fanfold::detail::call_option... Options>
void gather(E const& ex, Scale const& scale, plan_view const& plan, X const& x, Rows&& rows, Options&&... options) {
  auto const from = as_const(as_matrix_view(x));
  auto const to = as_matrix_view(rows);
  detail::check_plan_shape("gather", plan);
  detail::check_tokens("gather", "x", plan, from, from.cols());
  detail::check_rows("gather", "rows", ex, plan, to, from.cols());
  detail::check_apart("gather", "x and rows", from, to);
  if constexpr (!std::is_same_v<Scale, unscaled>) detail::check_tokens("gather", "weight", plan, scale.weight, plan.slots);
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, gather_loop<Scale>{scale}, plan, from, to, ws.get());
}

template <executor E, matrix_viewable X, matrix_viewable Rows, fanfold::detail::call_option... Options>
void gather(E const& ex, plan_view const& plan, X const& x, Rows&& rows, Options&&... options) {
  gather(ex, unscaled{}, plan, x, rows, options...);
}
template <matrix_viewable X, matrix_viewable Rows, fanfold::detail::call_option... Options>
void gather(plan_view const& plan, X const& x, Rows&& rows, Options&&... options) {
  gather(serial, unscaled{}, plan, x, rows, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
