#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/lane_vector.hpp"

namespace fanfold::inline FANFOLD_ABI::detail {

/// Pointers to the rows of a view, in workspace memory.
template <class T>
T** row_table(workspace::frame& frame, rows_view<T> const& rows) {
  T** const table = frame.take<T*>(rows.rows()).data();
  for (std::int64_t i = 0; i < rows.rows(); ++i) table[i] = rows.row_data(i);
  return table;
}

/// As many neighbouring elements as V has lanes, as numbers.
template <class V, class T>
FANFOLD_HD FANFOLD_INLINE V load_lanes(T const* from) {
  using A = typename V::scalar;
  if constexpr (std::is_same_v<T, A>) {
    return V::load(from);
  } else {
    A number[std::size_t{V::lanes}];
    for (int l = 0; l < V::lanes; ++l) number[l] = to_arithmetic(from[l]);
    return V::load(number);
  }
}

/// The first `count` lanes as stored elements.
template <class V, class Out>
FANFOLD_INLINE void store_lanes(V const& value, Out* to, int count) {
  if constexpr (std::is_same_v<Out, typename V::scalar>) {
    if (count == V::lanes) return value.store(to);
  }
  typename V::scalar number[std::size_t{V::lanes}];
  value.store(number);
  for (int l = 0; l < count; ++l) to[l] = from_arithmetic<Out>(static_cast<arithmetic_t<Out>>(number[l]));
}

}  // namespace fanfold::inline FANFOLD_ABI::detail
