#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/fold/element_policy.hpp"
#include "fanfold/fold/tree.hpp"

/// \file
/// The host's leaf loops of map_fold: one tile of elements from a table of rows.

namespace fanfold::inline FANFOLD_ABI::detail {

inline constexpr std::int64_t map_lanes = 64;  // elements that a leaf loop holds in registers or the nearest cache

// The left fold of rows [first, last) into `acc`, for up to map_lanes elements; `Full` makes the trip count a constant.
template <bool Full, class F, class T, class S>
FANFOLD_INLINE void reduce_run(F const& f, T const* const* rows, std::int64_t first, std::int64_t last, std::int64_t begin, std::int64_t n,
                               S* FANFOLD_RESTRICT acc) {
  std::int64_t const lanes = Full ? map_lanes : n;
  T const* row = rows[first] + begin;
  for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.lift(first, to_arithmetic(row[j]), begin + j);
  for (std::int64_t k = first + 1; k < last; ++k) {
    row = rows[k] + begin;
    for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.combine(acc[j], f.lift(k, to_arithmetic(row[j]), begin + j));
  }
}

// More than one run: the adjacent-pair tree over the runs, one partial result a level.
template <bool Full, class F, class T, class S>
FANFOLD_INLINE void reduce_tree(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, S* FANFOLD_RESTRICT acc) {
  std::int64_t const lanes = Full ? map_lanes : n;
  S level[27][map_lanes];  // 2^31 rows
  std::int64_t const runs = divide_up(count, run_items);
  auto const join = [&](int l) {
    for (std::int64_t j = 0; j < lanes; ++j) acc[j] = f.combine(level[l][j], acc[j]);
  };
  for (std::int64_t r = 0; r < runs; ++r) {
    std::int64_t const last = (r + 1) * run_items;
    reduce_run<Full>(f, rows, r * run_items, last < count ? last : count, begin, n, acc);
    int l = 0;
    for (std::int64_t m = r; m & 1; m >>= 1) join(l++);
    if (r + 1 < runs)
      for (std::int64_t j = 0; j < lanes; ++j) level[l][j] = acc[j];
    else
      for (std::int64_t m = r >> (l++); (m >>= 1) != 0; ++l)
        if (m & 1) join(l);
  }
}

template <bool Full, class F, class T, class A>
FANFOLD_INLINE void reduce_lanes(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, A* to) {
  typename F::state acc[map_lanes];
  if (count <= run_items)
    reduce_run<Full>(f, rows, 0, count, begin, n, acc);
  else
    reduce_tree<Full>(f, rows, count, begin, n, acc);
  for (std::int64_t j = 0; j < (Full ? map_lanes : n); ++j) to[j] = f.lower(acc[j]);
}

template <bool Full, class F, class T, class A>
FANFOLD_INLINE void map_lanes_of(F const& f, T const* const* rows, std::int64_t begin, std::int64_t n, std::int64_t at, A* const* to) {
  constexpr int inputs = F::inputs, outputs = F::outputs;
  std::int64_t const lanes = Full ? map_lanes : n;
  A x[std::size_t{inputs + 1}][map_lanes], y[std::size_t{outputs + 1}][map_lanes];  // all is read before anything is written: a row may be updated in place
  for (int k = 0; k < inputs; ++k)
    for (std::int64_t j = 0; j < lanes; ++j) x[k][j] = to_arithmetic(rows[k][begin + j]);
  for (std::int64_t j = 0; j < lanes; ++j) {
    A in[std::size_t{inputs + 1}], out[std::size_t{outputs + 1}];
    for (int k = 0; k < inputs; ++k) in[k] = x[k][j];
    f(begin + j, in, out);
    for (int r = 0; r < outputs; ++r) y[r][j] = out[r];
  }
  for (int r = 0; r < outputs; ++r)
    for (std::int64_t j = 0; j < lanes; ++j) to[r][at + j] = y[r][j];
}

/// Leaf: elements [begin, begin + n) of every output row, before rounding to the storage type.
template <class F, class T, class A>
FANFOLD_NOINLINE void map_tile(F const& f, T const* const* rows, std::int64_t count, std::int64_t begin, std::int64_t n, A* const* to) {
  std::int64_t i = 0;
  if constexpr (element_map<F, A>) {
    for (; i + map_lanes <= n; i += map_lanes) map_lanes_of<true>(f, rows, begin + i, map_lanes, i, to);
    if (i < n) map_lanes_of<false>(f, rows, begin + i, n - i, i, to);
  } else if (count == 0) {
    for (; i < n; ++i) to[0][i] = A(0);
  } else {
    for (; i + map_lanes <= n; i += map_lanes) reduce_lanes<true>(f, rows, count, begin + i, map_lanes, to[0] + i);
    if (i < n) reduce_lanes<false>(f, rows, count, begin + i, n - i, to[0] + i);
  }
}

template <class A, class T>
bool writes_over_inputs(A* const* to, std::int64_t outputs, T const* const* rows, std::int64_t count, std::int64_t begin) {
  for (std::int64_t r = 0; r < outputs; ++r)
    for (std::int64_t k = 0; k < count; ++k)
      if (static_cast<void const*>(to[r]) == static_cast<void const*>(rows[k] + begin)) return true;
  return false;
}

template <class A, class U>
FANFOLD_NOINLINE void store_tile(A const* FANFOLD_RESTRICT from, std::int64_t n, U* FANFOLD_RESTRICT to) {
  for (std::int64_t i = 0; i < n; ++i) to[i] = from_arithmetic<U>(from[i]);
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
