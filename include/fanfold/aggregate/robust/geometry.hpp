#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"

/// \file
/// What robust rules see of n long rows: matrices of n x n numbers in double, made by one sweep over the data, and the concepts of rules
/// that turn them into weights, choices or mixtures. All of it is host code; it never touches the rows themselves.

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// What of the geometry a rule reads. Values combine by `|`.
enum class needs : unsigned {
  nothing = 0,
  distances = 1,     ///< squared distances of all pairs
  norms = 2,         ///< squared lengths, so the origin is one of the points
  products = 4,      ///< products of all pairs about the origin or the previous output
  one_distance = 8,  ///< squared distances to one row
};
constexpr needs operator|(needs a, needs b) { return static_cast<needs>(static_cast<unsigned>(a) | static_cast<unsigned>(b)); }
constexpr bool includes(needs all, needs part) { return (static_cast<unsigned>(all) & static_cast<unsigned>(part)) != 0; }

/// Points are the n rows, then (where asked for) the origin, then the previous output. Entries of a row that is not finite are +inf among
/// the distances and 0 among the products.
struct row_geometry {
  std::int64_t rows = 0;
  std::int64_t origin = -1;           ///< index of the zero vector, -1: not there
  std::int64_t previous = -1;         ///< index of the previous output
  std::int64_t centre = -1;           ///< products are about this point; -1: about the zero vector
  matrix_view<double> distance{};     ///< squared; empty unless needed
  matrix_view<double> product{};      ///< empty unless needed
  view<unsigned char> finite{};       ///< a point

  std::int64_t points() const { return finite.size(); }
  std::int64_t finite_rows() const {
    std::int64_t n = 0;
    for (std::int64_t i = 0; i < rows; ++i) n += finite[i];
    return n;
  }
  /// |x_i|^2
  double squared_norm(std::int64_t i) const {
    if (origin >= 0 && !distance.empty()) return distance(i, origin);
    return finite[i] ? product(i, i) : (std::numeric_limits<double>::infinity)();
  }
};

/// Turns the geometry into one weight a point (unset before): the output is the weighted sum of the points. `check(n)` throws
/// argument_error where the rule is not defined for n rows.
template <class R>
concept gram_rule = std::copyable<R> && requires(R const& r, row_geometry const& g, view<double> weight, workspace& ws, std::int64_t n) {
  { r.requirement() } -> std::same_as<needs>;
  r.check(n);
  r.weigh(g, weight, ws);
};

/// Chooses rows that a coordinate rule then folds: `select` writes `selected(n)` ids.
template <class R>
concept selection_rule = std::copyable<R> && requires(R const& r, row_geometry const& g, view<std::int32_t> ids, workspace& ws, std::int64_t n) {
  { r.requirement() } -> std::same_as<needs>;
  { r.selected(n) } -> std::same_as<std::int64_t>;
  r.check(n);
  r.select(g, ids, ws);
  r.coordinates();
};

/// Pre-aggregation: row i of `m` (zero before) holds the weights of the points in new row i. They sum to 1.
template <class R>
concept mixing_rule = std::copyable<R> && requires(R const& r, row_geometry const& g, matrix_view<double> m, workspace& ws, std::int64_t n) {
  { r.requirement() } -> std::same_as<needs>;
  { r.rows_after(n) } -> std::same_as<std::int64_t>;
  r.check(n);
  r.mix(g, m, ws);
};

namespace detail {

inline constexpr double infinite = (std::numeric_limits<double>::infinity)();

/// The rules of this family that promise something about f faulty rows of n.
inline void check_faulty(char const* rule, std::int64_t n, std::int64_t f, std::int64_t least, char const* limit) {
  check_argument(f >= 0, rule, "f", f, "0 or more");
  if (n >= least) return;
  throw argument_error(std::string("fanfold::") + rule + ": number of rows is " + std::to_string(n) + " with f = " + std::to_string(f) + ", must be at least " +
                       limit + " = " + std::to_string(least));
}
inline void check_majority(char const* rule, std::int64_t n, std::int64_t f) { check_faulty(rule, n, f, 2 * f + 1, "2 f + 1"); }
inline void check_finite_rows(char const* rule, row_geometry const& g, std::int64_t least) {
  check_argument(g.finite_rows() >= least, rule, "number of finite rows", g.finite_rows(), least > 1 ? "at least n - f" : "1 or more");
}

/// Ids 0..n-1 by rising key, equal keys by rising id: a merge sort from runs of one.
inline void stable_order(view<double const> key, view<std::int32_t> ids, workspace& ws) {
  std::int64_t const n = key.size();
  workspace::frame frame(ws);
  view<std::int32_t> from = ids, to = frame.take<std::int32_t>(n);
  for (std::int64_t i = 0; i < n; ++i) from[i] = static_cast<std::int32_t>(i);
  for (std::int64_t run = 1; run < n; run *= 2) {
    for (std::int64_t begin = 0; begin < n; begin += 2 * run) {
      std::int64_t const middle = begin + run < n ? begin + run : n, end = begin + 2 * run < n ? begin + 2 * run : n;
      std::int64_t a = begin, b = middle;
      for (std::int64_t i = begin; i < end; ++i) {
        bool const right = a == middle || (b < end && key[from[b]] < key[from[a]]);
        to[i] = from[right ? b++ : a++];
      }
    }
    view<std::int32_t> const swap = from;
    from = to;
    to = swap;
  }
  if (from.data() != ids.data())
    for (std::int64_t i = 0; i < n; ++i) ids[i] = from[i];
}

/// The h ids with the smallest keys, in that order.
inline view<std::int32_t> smallest(view<double const> key, std::int64_t h, workspace::frame& frame, workspace& ws) {
  view<std::int32_t> const ids = frame.take<std::int32_t>(key.size());
  stable_order(key, ids, ws);
  return ids.subview(0, h);
}

inline void set(view<double> x, double value) {
  for (double& v : x) v = value;
}
inline void set(matrix_view<double> x, double value) {
  for (std::int64_t i = 0; i < x.rows(); ++i) set(x.row(i), value);
}

/// Distances of point i to the rows.
inline view<double const> row_distances(row_geometry const& g, std::int64_t i) { return {g.distance.row(i).data(), g.rows}; }

inline matrix_view<double> take_matrix(workspace::frame& frame, std::int64_t rows, std::int64_t cols) {
  return {frame.take<double>(rows * cols).data(), rows, cols};
}

/// |x_i - sum_j b_j x_j|^2 for all rows from products about a point, where the b sum to 1: never below 0.
inline void distances_to_mixture(matrix_view<double const> k, view<double const> b, view<double> to, workspace& ws) {
  workspace::frame frame(ws);
  view<double> const kb = frame.take<double>(b.size());
  double quadratic = 0;
  for (std::int64_t i = 0; i < b.size(); ++i) {
    kb[i] = 0;
    for (std::int64_t j = 0; j < b.size(); ++j)
      if (b[j] != 0) kb[i] += k(i, j) * b[j];
  }
  for (std::int64_t i = 0; i < b.size(); ++i) quadratic += b[i] * kb[i];
  for (std::int64_t i = 0; i < to.size(); ++i) {
    double const d = k(i, i) - 2 * kb[i] + quadratic;
    to[i] = d > 0 ? d : 0;
  }
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
