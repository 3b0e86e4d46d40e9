#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/statistic.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A contiguous range of elements of aligned rows: one tensor of a flat parameter vector, or a part of one.
struct element_range {
  std::int64_t offset = 0;
  std::int64_t count = 0;
};

/// Anything with an offset and a count of elements.
template <class R>
concept element_segment = requires(R const& r) {
  { r.offset } -> std::convertible_to<std::int64_t>;
  { r.count } -> std::convertible_to<std::int64_t>;
};

/// Several output rows, each from rows of its own: output row i reads rows `ids[offsets[i] .. offsets[i+1])`, in that order.
template <class T>
struct row_lists {
  rows_view<T> rows{};
  view<std::int64_t const> offsets{};
  view<std::int32_t const> ids{};
};

/// What a map_fold measures in the same pass: a statistic of the inputs (not with row lists) and of the outputs before they are rounded
/// to the storage type. `out` has one row a pair (output row, segment), segments fastest, and `fields` columns a measured row: inputs first.
template <element_statistic S>
struct measured {
  S statistic{};
  bool inputs = true;
  bool outputs = true;
  matrix_view<double> out{};
};

/// No statistic.
struct unmeasured {};

namespace detail {

/// Plain numbers and pointers of one call, common to all backends.
template <class T>
struct map_inputs {
  rows_view<T const> rows{};
  view<std::int64_t const> offsets{};  // empty: every output takes all rows
  view<std::int32_t const> ids{};

  bool listed() const { return offsets.data() != nullptr; }
  std::int64_t jobs() const { return listed() ? offsets.size() - 1 : 1; }
  std::int64_t first(std::int64_t job) const { return listed() ? offsets[job] : 0; }
  std::int64_t count(std::int64_t job) const { return listed() ? offsets[job + 1] - offsets[job] : rows.rows(); }
  std::int64_t most() const {
    std::int64_t most = 0;
    for (std::int64_t j = 0; j < jobs(); ++j) most = most < count(j) ? count(j) : most;
    return most;
  }
  void table(std::int64_t job, T const** to) const {
    std::int64_t const n = count(job), begin = first(job);
    for (std::int64_t k = 0; k < n; ++k) to[k] = rows.row_data(listed() ? ids[begin + k] : k);
  }
};

template <class>
inline constexpr bool is_row_lists = false;
template <class T>
inline constexpr bool is_row_lists<row_lists<T>> = true;

template <class X>
constexpr auto as_map_inputs(X const& x) {
  if constexpr (is_row_lists<X>) {
    using element = std::remove_const_t<typename decltype(x.rows)::element_type>;
    return map_inputs<element>{as_const(x.rows), x.offsets, x.ids};
  } else {
    auto const rows = as_const(as_rows_view(x));
    return map_inputs<std::remove_const_t<typename decltype(rows)::element_type>>{rows, {}, {}};
  }
}

template <class R>
void check_segments(char const* function, view<R const> segments, std::int64_t elements) {
  std::int64_t end = 0;
  for (std::int64_t s = 0; s < segments.size(); ++s) {
    auto const offset = static_cast<std::int64_t>(segments[s].offset), count = static_cast<std::int64_t>(segments[s].count);
    check_argument(offset >= end, function, "offset of a segment", offset, "at or after the end of the segment before it");
    check_argument(count >= 0 && count <= elements - offset, function, "count of a segment", count, "0 or more and within the rows");
    end = offset + count;
  }
}

template <class M>
struct measured_fields {
  static constexpr int value = 0;
};
template <class S>
struct measured_fields<measured<S>> {
  static constexpr int value = S::fields;
};

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
