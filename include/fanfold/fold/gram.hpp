#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/detail/gram_tile.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/pair_form.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `run_loop` runs for `gram` (engine loop E9).
template <pair_form P>
struct gram_loop {
  P form{};
  bool symmetric = true;    ///< the second set of rows is the first
  bool accumulate = false;  ///< add to the output instead of overwriting it
};

/// Option of `gram`: add to what the output holds.
struct accumulate_t {};
inline constexpr accumulate_t accumulate{};

namespace detail {

/// The adjacent-pair tree over tile results that are whole matrices of `count` doubles: one matrix a level.
class matrix_tree {
 public:
  static constexpr std::int64_t levels(std::int64_t leaves) {
    std::int64_t n = 1;
    for (; leaves > 1; leaves = (leaves + 1) / 2) ++n;
    return n;
  }

  /// `memory`: levels(leaves) * count doubles.
  matrix_tree(double* memory, std::int64_t count) : level_(memory), count_(count) {}

  /// Where the next leaf goes; then push().
  double* leaf(double* spare) { return (leaves_ & 1) != 0 ? spare : level_; }
  void push(double* spare) {
    double* s = leaf(spare);
    int l = 0;
    for (std::uint64_t n = leaves_; n & 1; n >>= 1, ++l) add_behind(level_ + l * count_, s);
    if (s != level_ + l * count_) copy(s, level_ + l * count_);
    ++leaves_;
  }
  void root(double* to) const {
    int l = 0;
    std::uint64_t n = leaves_;
    for (; !(n & 1); n >>= 1) ++l;
    copy(level_ + l * count_, to);
    for (n >>= 1, ++l; n != 0; n >>= 1, ++l)
      if (n & 1) add_behind(level_ + l * count_, to);
  }

 private:
  // later := earlier + later
  void add_behind(double const* FANFOLD_RESTRICT earlier, double* FANFOLD_RESTRICT later) const {
    for (std::int64_t i = 0; i < count_; ++i) later[i] = earlier[i] + later[i];
  }
  void copy(double const* FANFOLD_RESTRICT from, double* FANFOLD_RESTRICT to) const {
    for (std::int64_t i = 0; i < count_; ++i) to[i] = from[i];
  }

  double* level_;
  std::int64_t count_;
  std::uint64_t leaves_ = 0;
};

/// Tiles of one task: a power of two, so that its result is a node of the tree, and so many that the results of all tasks stay small.
FANFOLD_HD constexpr std::int64_t gram_task_tiles(std::int64_t tiles, std::int64_t entries) {
  std::int64_t most = (std::int64_t{1} << 22) / (entries < 1 ? 1 : entries);
  most = most < 4 ? 4 : most > 64 ? 64 : most;
  std::int64_t n = 1;
  while (n * most < tiles) n *= 2;
  return n;
}

template <class V, class P, class T>
FANFOLD_NOINLINE void gram_tiles(gram_source<T> const& from, P const& form, std::int64_t first, std::int64_t last, bool symmetric, double* memory,
                                 double* to) {
  std::int64_t const count = from.n * from.m;
  matrix_tree tree(memory + count, count);
  for (std::int64_t t = first; t < last; ++t) {
    std::int64_t const begin = t * tile_items;
    gram_tile<V>(from, form, begin, from.d - begin < tile_items ? from.d - begin : tile_items, symmetric, tree.leaf(memory));
    tree.push(memory);
  }
  tree.root(to);
}

template <class P>
void finish_gram(gram_loop<P> const& loop, double const* sums, matrix_view<double> out) {
  for (std::int64_t i = 0; i < out.rows(); ++i)
    for (std::int64_t j = 0; j < out.cols(); ++j) {
      double value = loop.symmetric && j < i ? sums[j * out.cols() + i] : sums[i * out.cols() + j];
      if (loop.symmetric && i == j && P::zero_diagonal) value = 0;
      double& to = out.data()[i * out.stride() + j];
      to = loop.accumulate ? to + value : value;
    }
}

}  // namespace detail

/// Host form of E9.
template <host_executor E, pair_form P, class T, class U>
  requires std::same_as<T, U>
void run_loop(E const& ex, gram_loop<P> const& loop, rows_view<T const> const& x, rows_view<U const> const& y, matrix_view<double> out,
              workspace& ws) {
  std::int64_t const d = x.cols(), entries = out.rows() * out.cols();
  if (entries == 0) return;
  workspace::frame frame(ws);
  std::int64_t const tiles = detail::divide_up(d, tile_items);
  std::int64_t const step = detail::gram_task_tiles(tiles, entries), tasks = tiles == 0 ? 1 : detail::divide_up(tiles, step);
  double* const sums = frame.take<double>(tasks * entries).data();
  if (tiles == 0) {
    for (std::int64_t e = 0; e < entries; ++e) sums[e] = 0;
    return detail::finish_gram(loop, sums, out);
  }
  detail::gram_source<T> from{detail::row_table(frame, x), detail::row_table(frame, y), nullptr, x.rows(), y.rows(), d};
  if constexpr (P::centred) from.reference = from.x[loop.form.reference];
  std::int64_t const scratch = (1 + detail::matrix_tree::levels(step)) * entries * static_cast<std::int64_t>(sizeof(double));
  for_each_task(ex, tasks, static_cast<std::size_t>(scratch), ws, [&](std::int64_t task, void* mine) {
    std::int64_t const first = task * step, last = first + step < tiles ? first + step : tiles;
    detail::gram_tiles<native_lanes<arithmetic_t<T>>>(from, loop.form, first, last, loop.symmetric, static_cast<double*>(mine),
                                                      sums + task * entries);
  });
  // the tasks are complete nodes: the same tree over them, in place
  for (std::int64_t distance = 1; distance < tasks; distance *= 2)
    for (std::int64_t t = 0; t + distance < tasks; t += 2 * distance)
      for (std::int64_t e = 0; e < entries; ++e) sums[t * entries + e] += sums[(t + distance) * entries + e];
  detail::finish_gram(loop, sums, out);
}

namespace detail {

template <class O>
concept gram_option = call_option<O> || std::is_same_v<std::remove_cvref_t<O>, accumulate_t>;

template <class T>
void check_rows(char const* function, char const* argument, rows_view<T> const& rows) {
  if (rows.cols() == 0) return;
  for (std::int64_t i = 0; i < rows.rows(); ++i)
    check_argument(rows.row_data(i) != nullptr, function, argument, rows.row_data(i), "not null");
}

template <class E, class P, class T, class... Options>
void run_gram(E const& ex, gram_loop<P> loop, rows_view<T const> const& x, rows_view<T const> const& y, matrix_view<double> out,
              Options&... options) {
  loop.accumulate = (std::is_same_v<std::remove_cvref_t<Options>, accumulate_t> || ...);
  check_argument(x.cols() == y.cols() || x.rows() == 0 || y.rows() == 0, "gram", "columns of y", y.cols(), "those of x");
  check_argument(out.rows() == x.rows(), "gram", "rows of out", out.rows(), "the number of rows of x");
  check_argument(out.cols() == y.rows(), "gram", "columns of out", out.cols(), "the number of rows of y");
  check_argument(out.empty() || out.data() != nullptr, "gram", "out.data()", out.data(), "not null");
  check_rows("gram", "data of a row of x", x);
  check_rows("gram", "data of a row of y", y);
  if constexpr (P::centred)
    check_argument(x.rows() == 0 || (loop.form.reference >= 0 && loop.form.reference < x.rows()), "gram", "reference", loop.form.reference,
                   "a row of x");
  call_workspace ws(ex, options...);
  static_assert(has_backend<E, gram_loop<P>, rows_view<T const>, rows_view<T const>, matrix_view<double>, workspace&>,
                "no backend of gram for this executor: include <fanfold/kernel/gram.hpp> for device executors");
  run_loop(ex, loop, x, y, out, ws.get());
}

}  // namespace detail

/// `out(i, j) = sum over c of form(x_i[c], x_j[c])` for all pairs of n long rows in one sweep over the data: dot products, squared distances
/// (from differences, never as norms minus products, which cancels), products about a reference row. `out` is n x n, in double, symmetric
/// to the bit; the diagonal of distances is 0.
///
/// `rows`: n rows of d elements (float, double, float16, bfloat16). Options: `accumulate` (out += instead of out =, for parameters that come
/// in pieces), a workspace. Entries add up over pieces and shards of the coordinates: gather the partial matrices and add them in a
/// fixed order. Rows with NaN or infinities make the entries of their pairs non-finite, no others. d = 0 gives zeros.
/// O(n^2 d), each element read from memory once.
/// \throws argument_error for shapes that do not match, null data, a reference that is not a row.
/// \par Determinism  the interleaved tree within tiles of 2,048 coordinates in the arithmetic type, tiles in double by adjacent pairs.
template <executor E, pair_form P, rows_viewable X, matrix_viewable Out, detail::gram_option... Options>
void gram(E const& ex, P const& form, X const& rows, Out&& out, Options&&... options) {
  auto const x = as_const(as_rows_view(rows));
  detail::run_gram(ex, gram_loop<P>{.form = form, .symmetric = true}, x, x, as_matrix_view(out), options...);
}

/// `out(i, j) = sum over c of form(x_i[c], y_j[c])`, n x m; entries have the bits that the square form gives the same two rows.
template <executor E, pair_form P, rows_viewable X, rows_viewable Y, matrix_viewable Out, detail::gram_option... Options>
void gram(E const& ex, P const& form, X const& x, Y const& y, Out&& out, Options&&... options) {
  detail::run_gram(ex, gram_loop<P>{.form = form, .symmetric = false}, as_const(as_rows_view(x)), as_const(as_rows_view(y)), as_matrix_view(out),
                   options...);
}

/// The same on the calling thread.
template <pair_form P, class... Arguments>
void gram(P const& form, Arguments&&... arguments) {
  gram(serial, form, arguments...);
}

}  // namespace fanfold::inline FANFOLD_ABI
