#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_rule.hpp"
#include "fanfold/fold/detail/row_source.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/lane_vector.hpp"
#include "fanfold/fold/nonfinite.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/order_key.hpp"
#include "fanfold/fold/sorting_network.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `coordinate_fold` (engine loop E8).
template <coordinate_rule R>
struct coordinate_loop {
  R rule{};
  nonfinite nan = nonfinite::as_pos_inf;
};

namespace detail {

/// The values of coordinates [first, first + count) in the order of the rows, NaN as +inf.
template <class V, class T>
struct loaded_values {
  T const* const* rows;
  std::int64_t first;
  int count;

  FANFOLD_HD V operator[](std::int64_t i) const {
    V x(0);
    if (count == V::lanes)
      x = load_lanes<V>(rows[i] + first);
    else
      for (int l = 0; l < count; ++l) x.v[l] = to_arithmetic(rows[i][first + l]);
    return choose(x != x, V(math::infinity<typename V::scalar>()), x);
  }
};

/// Coordinates [begin, end) of every row.
template <class V, class T, class R, class Out>
FANFOLD_NOINLINE void fold_coordinates(coordinate_loop<R> const& loop, T const* const* rows, std::int64_t n, std::int64_t begin,
                                       std::int64_t end, Out* const* out, void* scratch) {
  using A = typename V::scalar;
  using K = order_key<A>;
  using key = typename K::type;
  using keys = typename V::template of<key>;
  constexpr std::int64_t L = V::lanes;
  bool const propagate = loop.nan == nonfinite::propagate;
  key const most = propagate ? K::nan : K::infinity;
  key* const column = static_cast<key*>(scratch);
  for (std::int64_t c = begin; c < end; c += L) {
    int const count = static_cast<int>(end - c < L ? end - c : L);
    if (count == L) {
      for (std::int64_t i = 0; i < n; ++i) {
        __builtin_prefetch(rows[i] + c + 8 * L);  // loads and sorting alternate; this keeps memory busy during the sorting
        encode_keys(load_lanes<V>(rows[i] + c), most).store(column + i * L);
      }
    } else {
      for (std::int64_t i = 0; i < n; ++i)
        for (int l = 0; l < V::lanes; ++l) column[i * L + l] = l < count ? encode_key(to_arithmetic(rows[i][c + l]), most) : key{0};
    }
    for (std::int64_t i = n; i < padded_rows(n); ++i) keys(K::pad).store(column + i * L);
    sort_columns<keys>(column, n);
    auto const finish = [&](auto const& values) {
      auto const answer = answer_of(loop.rule, values, loaded_values<V, T>{rows, c, count});
      using parts = rule_values<std::remove_cvref_t<decltype(answer)>>;
      for (int o = 0; o < parts::count; ++o) {
        V value = parts::get(answer, o);
        if (propagate)  // NaNs sort last
          for (int l = 0; l < V::lanes; ++l)
            if (column[(n - 1) * L + l] == K::nan) value.v[l] = math::quiet_nan<A>();
        store_lanes(value, out[o] + c, count);
      }
    };
    if (n <= most_network_rows)
      finish(sorted_values<V, true>(column, L, n));
    else
      finish(sorted_values<V>(column, L, n));
  }
}

template <class T>
FANFOLD_NOINLINE bool has_nan(T const* x, std::int64_t n) {
  bool found = false;
  for (std::int64_t i = 0; i < n; ++i) {
    auto const a = to_arithmetic(x[i]);
    found |= a != a;
  }
  return found;
}

template <class E, class T>
void reject_nan(E const& ex, char const* function, T const* const* rows, std::int64_t n, std::int64_t d, workspace& ws) {
  workspace::frame frame(ws);
  auto* const found = frame.take<unsigned char>(n).data();
  for_each_task(ex, n, 0, ws, [&](std::int64_t i, void*) { found[i] = has_nan(rows[i], d); });
  for (std::int64_t i = 0; i < n; ++i) check_argument(found[i] == 0, function, "row with a NaN", i, "none under nonfinite::reject");
}

/// Coordinates of one task: about half a MiB of input.
FANFOLD_HD constexpr std::int64_t coordinate_task_items(std::int64_t n) {
  std::int64_t const items = (std::int64_t{1} << 17) / (n < 1 ? 1 : n) / 64 * 64;
  return items < 64 ? 64 : items > 16384 ? 16384 : items;
}

}  // namespace detail

/// Host form of E8.
template <host_executor E, coordinate_rule R, class T, class Out>
void run_loop(E const& ex, coordinate_loop<R> const& loop, rows_view<T const> const& rows, rows_view<Out> const& out, workspace& ws) {
  std::int64_t const n = rows.rows(), d = rows.cols();
  if (d == 0) return;
  workspace::frame frame(ws);
  Out* const* const to = detail::row_table(frame, out);
  if (n == 0) {
    for (std::int64_t o = 0; o < out.rows(); ++o)
      for (std::int64_t c = 0; c < d; ++c) to[o][c] = from_arithmetic<Out>(math::quiet_nan<arithmetic_t<Out>>());
    return;
  }
  T const* const* const from = detail::row_table(frame, rows);
  if (loop.nan == nonfinite::reject) detail::reject_nan(ex, "coordinate_fold", from, n, d, ws);
  std::int64_t const items = detail::coordinate_task_items(n);
  auto const scratch = static_cast<std::size_t>(padded_rows(n)) * FANFOLD_VECTOR_BYTES;
  for_each_task(ex, detail::divide_up(d, items), scratch, ws, [&](std::int64_t task, void* mine) {
    std::int64_t const begin = task * items;
    detail::fold_coordinates<native_lanes<arithmetic_t<T>>>(loop, from, n, begin, begin + items < d ? begin + items : d, to, mine);
  });
}

namespace detail {

template <class O>
concept coordinate_option = call_option<O> || std::is_same_v<std::remove_cvref_t<O>, nonfinite>;

inline nonfinite find_nonfinite(nonfinite otherwise) { return otherwise; }
template <class First, class... Rest>
nonfinite find_nonfinite(nonfinite otherwise, First const& first, Rest const&... rest) {
  if constexpr (std::is_same_v<First, nonfinite>)
    return first;
  else
    return find_nonfinite(otherwise, rest...);
}

template <class E, class R, class T, class Out, class... Options>
void run_coordinates(E const& ex, R const& rule, rows_view<T const> const& rows, rows_view<Out> const& out, Options&... options) {
  check_argument(out.rows() == rule_outputs<R>, "coordinate_fold", "rows of out", out.rows(), "the number of the rule's outputs");
  check_argument(out.cols() == rows.cols() || rows.rows() == 0, "coordinate_fold", "columns of out", out.cols(), "those of the rows");
  check_argument(rows.rows() <= most_coordinate_rows, "coordinate_fold", "number of rows", rows.rows(), "at most 2^22");
  if (out.cols() > 0) {
    for (std::int64_t i = 0; i < rows.rows(); ++i)
      check_argument(rows.row_data(i) != nullptr, "coordinate_fold", "data of a row", rows.row_data(i), "not null");
    for (std::int64_t i = 0; i < out.rows(); ++i)
      check_argument(out.row_data(i) != nullptr, "coordinate_fold", "data of out", out.row_data(i), "not null");
  }
  if constexpr (requires { rule.check(rows.rows()); })
    if (rows.rows() > 0) rule.check(rows.rows());
  call_workspace ws(ex, options...);
  using loop = coordinate_loop<R>;
  static_assert(has_backend<E, loop, rows_view<T const>, rows_view<Out>, workspace&>,
                "no backend of coordinate_fold for this executor: include <fanfold/kernel/coordinate_fold.hpp> for device executors");
  run_loop(ex, loop{rule, find_nonfinite(nonfinite::as_pos_inf, options...)}, rows.rows() == 0 ? rows_view<T const>(nullptr, 0, out.cols()) : rows,
           out, ws.get());
}

}  // namespace detail

/// `out[c] = rule(x_0[c], ..., x_{n-1}[c] in ascending order)` for every coordinate c of n equally long rows: medians, trimmed means and what
/// else depends on order statistics. Rules with K outputs (also `together(a, b)`) write K rows.
///
/// `rows`: n rows of d elements (float, double, float16, bfloat16). `out`: d elements, or K rows of d; may be one of the rows. Options: a
/// `nonfinite` policy for NaN (default: counts as +inf), a workspace. Of no rows the result is NaN. -0 sorts before +0.
/// Up to 64 rows are sorted by networks in registers, more by merging blocks of 64 in memory: O(n log^2 n) a coordinate, any n.
/// \throws argument_error for shapes that do not match, null data, what the rule's `check` rejects, NaN under nonfinite::reject; nothing
/// has been written then.
/// \par Determinism  a function of each coordinate's values alone, also of their order among rows not (but for rules that ask for it); sums as
/// the rule says.
template <executor E, coordinate_rule R, rows_viewable X, rows_viewable Out, detail::coordinate_option... Options>
void coordinate_fold(E const& ex, R const& rule, X const& rows, Out&& out, Options&&... options) {
  detail::run_coordinates(ex, rule, as_const(as_rows_view(rows)), as_rows_view(out), options...);
}

/// One output, as a view of d elements.
template <executor E, coordinate_rule R, rows_viewable X, viewable Out, detail::coordinate_option... Options>
  requires(!rows_viewable<Out>)
void coordinate_fold(E const& ex, R const& rule, X const& rows, Out&& out, Options&&... options) {
  auto const to = as_view(out);
  detail::run_coordinates(ex, rule, as_const(as_rows_view(rows)), rows_view(matrix_view(to.data(), 1, to.size())), options...);
}

/// The same on the calling thread.
template <coordinate_rule R, rows_viewable X, class Out, detail::coordinate_option... Options>
void coordinate_fold(R const& rule, X const& rows, Out&& out, Options&&... options) {
  coordinate_fold(serial, rule, rows, out, options...);
}

}  // namespace fanfold::inline FANFOLD_ABI
