#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/fold/rank_window.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

template <class R, class Column, class Rows>
auto window_of(R const& rule, Column const& v, Rows const& rows) {
  if constexpr (requires { rule.window(v, rows); })
    return rule.window(v, rows);
  else if constexpr (requires { rule.window(v); })
    return rule.window(v);
}

}  // namespace detail

/// A coordinate rule that is the mean of a window of the sorted values: `window(column)` or `window(column, rows)` says which, where the
/// values only choose.
template <class R>
concept window_rule = coordinate_rule<R> && requires(R const& r, sorted_values<float> const& column, detail::values_by_row const& rows) {
  { detail::window_of(r, column, rows) } -> std::same_as<rank_window>;
};

namespace detail {

/// Keys of a coordinate in the order of the rows, as numbers.
template <class A>
struct decoded_values {
  order_key_t<A> const* keys;
  std::int64_t stride;

  FANFOLD_HD A operator[](std::int64_t i) const { return decode_key<A>(keys[i * stride]); }
};

/// One coordinate: every row of the window gets `share`, every other 0; of equal values the rows with smaller indices rank first.
template <class Key, class Share>
void share_out(Key const* raw, Key const* sorted, std::int64_t stride, std::int64_t n, rank_window w, Share const& share) {
  std::int64_t const last = w.first + w.count - 1;
  Key const low = sorted[w.first * stride], high = sorted[last * stride];
  std::int64_t skip = 0, lowest = 0, take = 0;  // rows at the lower bound that rank below the window, that are in it, and at the upper bound
  if (!w.lowest_by_index)
    for (std::int64_t r = w.first; r-- > 0 && sorted[r * stride] == low;) ++skip;
  for (std::int64_t r = w.first; r <= last && sorted[r * stride] == low; ++r) ++lowest;
  for (std::int64_t r = last; r >= w.first && sorted[r * stride] == high; --r) ++take;
  for (std::int64_t i = 0; i < n; ++i) {
    Key const k = raw[i * stride];
    bool in = low <= k && k <= high;
    if (in && k == low) {
      in = skip > 0 ? false : lowest > 0;
      --(skip > 0 ? skip : lowest);
    } else if (in && k == high) {
      in = take-- > 0;
    }
    share(i, in);
  }
}

template <class V, class T, class R, class D>
FANFOLD_NOINLINE void coordinates_vjp(R const& rule, T const* const* rows, std::int64_t n, std::int64_t begin, std::int64_t end,
                                      typename V::scalar const* gradient, D* const* dx, void* scratch) {
  using A = typename V::scalar;
  using K = order_key<A>;
  using key = typename K::type;
  using keys = typename V::template of<key>;
  constexpr std::int64_t L = V::lanes;
  key* const sorted = static_cast<key*>(scratch);
  key* const raw = sorted + padded_rows(n) * L;
  for (std::int64_t c = begin; c < end; c += L) {
    std::int64_t const count = end - c < L ? end - c : L;
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t l = 0; l < L; ++l) raw[i * L + l] = l < count ? encode_key(to_arithmetic(rows[i][c + l]), key{K::infinity}) : key{0};
    for (std::int64_t i = 0; i < n * L; ++i) sorted[i] = raw[i];
    for (std::int64_t i = n * L; i < padded_rows(n) * L; ++i) sorted[i] = K::pad;
    sort_columns<keys>(sorted, n);
    for (std::int64_t l = 0; l < count; ++l) {
      rank_window const w = window_of(rule, sorted_values<A>(sorted + l, L, n), decoded_values<A>{raw + l, L});
      A const each = gradient[c + l] / static_cast<A>(w.count);
      share_out(raw + l, sorted + l, L, n, w, [&](std::int64_t i, bool in) { dx[i][c + l] = from_arithmetic<D>(in ? each : A(0)); });
    }
  }
}

}  // namespace detail

/// Gradient of `coordinate_fold` for g = dL/dout: each row of the window that a coordinate averages gets g / count, the others 0; of equal
/// values the rows with smaller indices rank first, unless the rule says otherwise. The choice is a constant under differentiation. NaN counts as +inf. `dx`: n rows of
/// d, overwritten. Option: a workspace. \throws argument_error for shapes that do not match and what the rule's `check` rejects.
template <host_executor E, window_rule R, rows_viewable X, viewable G, rows_viewable DX, detail::call_option... Options>
void coordinate_fold_vjp(E const& ex, R const& rule, X const& rows, G const& gradient, DX const& dx, Options&&... options) {
  auto const x = as_const(as_rows_view(rows));
  auto const g = as_const(as_view(gradient));
  auto const to = as_rows_view(dx);
  using T = std::remove_const_t<typename decltype(x)::element_type>;
  using D = typename decltype(to)::element_type;
  using A = arithmetic_t<T>;
  static_assert(std::same_as<std::remove_const_t<typename decltype(g)::element_type>, A>, "gradients are of the arithmetic type of the rows");
  std::int64_t const n = x.rows(), d = x.cols();
  check_argument(to.rows() == n, "coordinate_fold_vjp", "rows of dx", to.rows(), "the number of rows");
  check_argument(n == 0 || to.cols() == d, "coordinate_fold_vjp", "columns of dx", to.cols(), "those of the rows");
  check_argument(n == 0 || g.size() == d, "coordinate_fold_vjp", "size of the gradient", g.size(), "the length of the rows");
  if (n == 0 || d == 0) return;
  for (std::int64_t i = 0; i < n; ++i) {
    check_argument(x.row_data(i) != nullptr, "coordinate_fold_vjp", "data of a row", x.row_data(i), "not null");
    check_argument(to.row_data(i) != nullptr, "coordinate_fold_vjp", "data of dx", to.row_data(i), "not null");
  }
  check_argument(g.data() != nullptr, "coordinate_fold_vjp", "gradient", g.data(), "not null");
  if constexpr (requires { rule.check(n); }) rule.check(n);
  detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  T const* const* const from = detail::row_table(frame, x);
  D* const* const out = detail::row_table(frame, to);
  std::int64_t const items = detail::coordinate_task_items(n);
  auto const scratch = static_cast<std::size_t>(padded_rows(n) + n) * FANFOLD_VECTOR_BYTES;
  for_each_task(ex, detail::divide_up(d, items), scratch, ws.get(), [&](std::int64_t task, void* mine) {
    std::int64_t const begin = task * items, end = begin + items < d ? begin + items : d;
    detail::coordinates_vjp<native_lanes<A>>(rule, from, n, begin, end, g.data(), out, mine);
  });
}

}  // namespace fanfold::inline FANFOLD_ABI
