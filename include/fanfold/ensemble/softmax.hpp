#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble::detail {

template <class A>
struct row_entry {
  A const* row;
  FANFOLD_HD A operator()(std::int64_t c) const { return row[c]; }
};

/// p := softmax(z), in place allowed. -inf is probability 0; one +inf is certain. The normaliser is the canonical tree of a row.
template <class T, class A>
FANFOLD_HD void softmax_row(T const* z, std::int64_t classes, A* p) {
  A most = -math::infinity<A>();
  for (std::int64_t c = 0; c < classes; ++c) {
    p[c] = to_arithmetic(z[c]);
    most = p[c] > most ? p[c] : most;
  }
  bool const certain = most == math::infinity<A>();
  for (std::int64_t c = 0; c < classes; ++c) p[c] = certain ? (p[c] == most ? A(1) : A(0)) : math::exp_nonpositive(p[c] - most);
  A const sum = host_lane{}.fold(plus<A>{}, classes, row_entry<A>{p});
  for (std::int64_t c = 0; c < classes; ++c) p[c] = p[c] / sum;
}

/// The class with the largest score; the lowest of equal ones.
template <class T>
FANFOLD_HD std::int64_t arg_max_row(T const* z, std::int64_t classes) {
  std::int64_t best = 0;
  for (std::int64_t c = 1; c < classes; ++c) best = to_arithmetic(z[c]) > to_arithmetic(z[best]) ? c : best;
  return best;
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble::detail
