#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// What a zero (and a tie) is worth in a vote of signs.
enum class zero_sign {
  zero,     ///< no vote; ties give 0; NaN does not vote
  positive  ///< +1, as in one-bit messages (bit = !(x < 0)); ties and NaN give +1
};

/// sign(sum over rows of sign(x_i)) for each coordinate: signSGD with majority vote. Survives any f < n/2 in coordinates where the others
/// agree. Bernstein et al. 2018 (arXiv 1802.04434). A row_reduction of map_fold: one read of the data, no sort.
struct sign_vote {
  zero_sign zero = zero_sign::zero;

  using state = std::int32_t;
  template <class A>
  FANFOLD_HD constexpr state lift(std::int64_t, A x, std::int64_t) const {
    if (zero == zero_sign::positive) return x < A(0) ? -1 : 1;
    return static_cast<state>(x > A(0)) - static_cast<state>(x < A(0));
  }
  FANFOLD_HD constexpr state combine(state a, state b) const { return a + b; }
  FANFOLD_HD constexpr float lower(state s) const {
    if (zero == zero_sign::positive) return s < 0 ? -1.0f : 1.0f;
    return static_cast<float>((s > 0) - (s < 0));
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
