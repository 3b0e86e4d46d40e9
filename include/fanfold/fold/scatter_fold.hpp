#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Engine loop E3: `out(s, c) = lower(combine over i with index[i] = s, ascending, of lift(x(i, c)))`, indices in any order.
///
/// An index of -1 is skipped; segments that nobody names follow the empty policy among the options.
/// \throws argument_error for shapes that do not match or an index that is not below `out.rows()`; nothing is written then.
/// \par Determinism stable binning by index, then the ordered tree of each segment: a function of the input alone, without atomics.
template <executor E, class A, viewable Index, matrix_viewable X, matrix_viewable Out, detail::segment_option... Options>
  requires aggregator<A> || row_monoid<A>
void scatter_fold(E const& ex, A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  auto const keys = as_const(as_view(index));
  auto const items = as_const(as_matrix_view(x));
  auto const answers = as_matrix_view(out);
  check_argument(keys.size() == items.rows(), "scatter_fold", "index.size()", keys.size(), "x.rows()");
  check_argument(items.cols() == answers.cols(), "scatter_fold", "x.cols()", items.cols(), "out.cols()");
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  std::int64_t const segments = answers.rows();
  auto const offsets = frame.take<std::int64_t>(segments + 1);
  auto const members = frame.take<std::int32_t>(keys.size());
  {
    workspace::frame inner(ws.get());
    bin(ex, dense_rows{}, keys,
        bin_view{offsets, inner.take<std::int32_t>(segments), inner.take<std::int32_t>(segments), inner.take<std::int32_t>(keys.size()), members},
        ws.get());
  }
  using order_tag = detail::order_of<std::remove_cvref_t<Options>...>;
  neighbour_fold(ex, a, csr_view<float>{as_const(offsets), as_const(members), {}}, source_rows{items}, answers, order_tag{},
                 detail::find_empty_policy(std::as_const(options)...), ws.get());
}

/// The same over a stream of items: one answer a segment.
template <executor E, aggregator A, viewable Index, viewable X, viewable Out, detail::segment_option... Options>
void scatter_fold(E const& ex, A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  auto const items = as_view(x);
  auto const answers = as_view(out);
  scatter_fold(ex, a, index, matrix_view(items.data(), items.size(), 1), matrix_view(answers.data(), answers.size(), 1), options...);
}

template <class A, viewable Index, class X, class Out, detail::segment_option... Options>
  requires(aggregator<A> || row_monoid<A>) && (!executor<A>)
void scatter_fold(A const& a, Index const& index, X const& x, Out&& out, Options&&... options) {
  scatter_fold(serial, a, index, x, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
