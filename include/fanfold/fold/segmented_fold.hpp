#pragma once

#include "fanfold/fold/neighbour_fold.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// One fold a segment of consecutive rows: `out(s, c) = lower(combine over i in [offsets[s], offsets[s+1]) of lift(x(i, c)))`.
///
/// `offsets` has one element more than `out` has rows (int64). Empty segments follow the empty policy among the options.
/// \throws argument_error for shapes that do not match or offsets that fall; nothing is written then.
/// \par Determinism the ordered tree of each segment, counted from its own first row, whatever its width and length.
template <executor E, class A, matrix_viewable X, viewable Offsets, matrix_viewable Out, detail::segment_option... Options>
  requires aggregator<A> || row_monoid<A>
void segmented_fold(E const& ex, A const& a, X const& x, Offsets const& offsets, Out&& out, Options&&... options) {
  auto const rows = as_const(as_matrix_view(x));
  detail::run_segmented("segmented_fold", ex, a, as_const(as_view(offsets)), view<std::int32_t const>(), rows.rows(), source_rows{rows},
                        as_matrix_view(out), options...);
}

/// The same over a stream of items: one answer a segment.
template <executor E, class A, viewable X, viewable Offsets, viewable Out, detail::segment_option... Options>
  requires aggregator<A>
void segmented_fold(E const& ex, A const& a, X const& x, Offsets const& offsets, Out&& out, Options&&... options) {
  auto const items = as_view(x);
  auto const answers = as_view(out);
  segmented_fold(ex, a, matrix_view(items.data(), items.size(), 1), offsets, matrix_view(answers.data(), answers.size(), 1), options...);
}

template <class A, class X, viewable Offsets, class Out, detail::segment_option... Options>
  requires(aggregator<A> || row_monoid<A>) && (!executor<A>)
void segmented_fold(A const& a, X const& x, Offsets const& offsets, Out&& out, Options&&... options) {
  segmented_fold(serial, a, x, offsets, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
