#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What `gram` sums over the coordinates of two rows: `term(a, b)`, symmetric bit for bit, over numbers or registers of them.
/// `zero_diagonal`: a row with itself gives 0. `centred`: both rows have row `reference` subtracted first.
template <class P>
concept pair_form = std::copyable<P> && requires(P const& p, float a, double b) {
  { p.term(a, a) } -> std::same_as<float>;
  { p.term(b, b) } -> std::same_as<double>;
  { P::zero_diagonal } -> std::convertible_to<bool>;
  { P::centred } -> std::convertible_to<bool>;
};

/// `<x, y>`
struct dot_products {
  static constexpr bool zero_diagonal = false, centred = false;
  template <class V>
  FANFOLD_HD constexpr V term(V const& a, V const& b) const {
    return a * b;
  }
};

/// `|x - y|^2`
struct squared_distances {
  static constexpr bool zero_diagonal = true, centred = false;
  template <class V>
  FANFOLD_HD constexpr V term(V const& a, V const& b) const {
    V const difference = a - b;
    return difference * difference;
  }
};

/// `<x - r, y - r>` with r the row `reference` of the first set of rows: formed from the differences, so it stays exact where rows are close
/// together and far from 0, and where other rows are very far away.
struct centred_products {
  std::int64_t reference = 0;

  static constexpr bool zero_diagonal = false, centred = true;
  template <class V>
  FANFOLD_HD constexpr V term(V const& a, V const& b) const {
    return a * b;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
