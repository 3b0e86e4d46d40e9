#pragma once

#include <cstdint>

#include "fanfold/aggregate/set/detail/dense_layer.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// h = relu(W x + b), or W x + b where not `Rectified`: brings items of any width to that of a learned operation, and its result to
/// answers. `parameter` holds W [out, in] and b [out].
template <class A, bool Rectified = true>
struct item_projection {
  std::int64_t in = 0, out = 0;
  view<A const> parameter{};

  static constexpr std::int64_t parameters_of(std::int64_t in, std::int64_t out) { return out * (in + 1); }
  std::int64_t parameters() const { return parameters_of(in, out); }
  detail::dense_weights<A> layer() const { return {parameter.data(), parameter.data() + out * in, out, in}; }
};

namespace detail {

template <class A, bool Rectified, class X, class Y>
void check_projection(char const* function, item_projection<A, Rectified> const& p, X const& x, Y const& y) {
  check_argument(p.in >= 1 && p.out >= 1, function, "a size", p.in < 1 ? p.in : p.out, "1 or more");
  check_argument(p.parameter.size() == p.parameters(), function, "parameter.size()", p.parameter.size(), "out (in + 1)");
  check_argument(x.cols() == p.in, function, "x.cols()", x.cols(), "in");
  check_argument(y.cols() == p.out, function, "y.cols()", y.cols(), "out");
  check_argument(y.rows() == x.rows(), function, "y.rows()", y.rows(), "x.rows()");
}

}  // namespace detail

/// y = relu(W x + b) (or W x + b) for every row; NaN stays.
template <host_executor E, class A, bool Rectified, matrix_viewable X, matrix_viewable Y, fanfold::detail::call_option... Options>
void project(E const& ex, item_projection<A, Rectified> const& p, X const& x, Y&& y, Options&&... options) {
  auto const in = as_const(as_matrix_view(x));
  auto const out = as_matrix_view(y);
  detail::check_projection("project", p, in, out);
  fanfold::detail::call_workspace ws(ex, options...);
  detail::dense_layer(ex, p.layer(), in, out, ws.get());
  if constexpr (!Rectified) return;
  detail::for_each_row(ex, out.rows(), out.cols(), [&](std::int64_t r) {
    A* const row = out.data() + r * out.stride();
    for (std::int64_t c = 0; c < out.cols(); ++c) row[c] = row[c] < A(0) ? A(0) : row[c];
  });
}

/// Gradients of `project` for g = dL/dy, from its output y. `dx` may be absent (null); both outputs are overwritten.
template <host_executor E, class A, bool Rectified, matrix_viewable X, matrix_viewable Y, matrix_viewable G, matrix_viewable DX,
          viewable DP, fanfold::detail::call_option... Options>
void project_vjp(E const& ex, item_projection<A, Rectified> const& p, X const& x, Y const& y, G const& gradient, DX&& dx, DP&& dparameter,
                 Options&&... options) {
  auto const in = as_const(as_matrix_view(x)), out = as_const(as_matrix_view(y)), g = as_const(as_matrix_view(gradient));
  auto const din = as_matrix_view(dx);
  auto const dp = as_view(dparameter);
  detail::check_projection("project_vjp", p, in, out);
  detail::check_projection("project_vjp", p, in, g);
  check_argument(dp.size() == p.parameters(), "project_vjp", "dparameter.size()", dp.size(), "the number of parameters");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  auto const masked = detail::take_matrix<A>(frame, out.rows(), out.cols());
  detail::for_each_row(ex, out.rows(), out.cols(), [&](std::int64_t r) {
    for (std::int64_t c = 0; c < out.cols(); ++c) masked(r, c) = !Rectified || out(r, c) > A(0) ? g(r, c) : A(0);
  });
  detail::dense_layer_parameters(ex, in, as_const(masked), dp.data(), dp.data() + p.out * p.in, ws.get());
  if (din.data() != nullptr) detail::dense_layer_inputs(ex, p.layer(), as_const(masked), din, ws.get());
}

/// A random order of the items of every segment: `order[offsets[s] + i]` is the item that comes i-th. Shuffled leaves teach an operation
/// to be associative. Draws belong to items, so the order of a segment depends on its place and the stream alone.
template <viewable Offsets, viewable Order>
void shuffle_leaves(random_stream const& draws, Offsets const& offsets, Order&& order) {
  auto const begin = as_const(as_view(offsets));
  auto const to = as_view(order);
  check_argument(begin.empty() || begin[begin.size() - 1] == to.size(), "shuffle_leaves", "order.size()", to.size(), "the last offset");
  for (std::int64_t i = 0; i < to.size(); ++i) to[i] = static_cast<std::int32_t>(i);
  for (std::int64_t s = 0; s + 1 < begin.size(); ++s)
    for (std::int64_t i = begin[s + 1] - 1; i > begin[s]; --i) {
      std::int64_t const j = begin[s] + draws.below(static_cast<std::uint32_t>(i - begin[s] + 1), static_cast<std::uint64_t>(i));
      std::int32_t const kept = to[i];
      to[i] = to[j];
      to[j] = kept;
    }
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
