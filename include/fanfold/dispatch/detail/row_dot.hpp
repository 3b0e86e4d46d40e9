#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch::detail {

/// Products of two rows, rounded, as the items of a fold.
template <class X, class P, class A>
struct feature_product {
  X const* x;
  P const* p;
  FANFOLD_HD A operator()(std::int64_t c) const { return static_cast<A>(to_arithmetic(x[c])) * static_cast<A>(to_arithmetic(p[c])); }
};

/// <x, z> over n columns by the canonical tree of streams; products are rounded before they are added.
template <class A, class T, class U>
FANFOLD_NOINLINE A row_dot(T const* x, U const* z, std::int64_t n) {
  if (n == 0) return A(0);
  A product[tile_items];
  pair_tree<A> tree;
  for (std::int64_t begin = 0; begin < n; begin += tile_items) {
    std::int64_t const length = n - begin < tile_items ? n - begin : tile_items;
    for (std::int64_t c = 0; c < length; ++c)
      product[c] = static_cast<A>(to_arithmetic(x[begin + c])) * static_cast<A>(to_arithmetic(z[begin + c]));
    tree.push(plus<A>{}, fanfold::detail::fold_tile(plus<A>{}, static_cast<A const*>(product), length));
  }
  return tree.root(plus<A>{});
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch::detail
