#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `A` elementwise over rows of D items.
template <aggregator A, int D>
struct vector_of {
  using input = small_array<typename A::input, D>;
  using state = small_array<typename A::state, D>;
  using output = small_array<typename A::output, D>;
  static constexpr law laws = A::laws;
  static constexpr std::uint64_t max_items = item_limit<A>;

  A aggregator{};

  FANFOLD_HD constexpr state identity() const { return state::filled(aggregator.identity()); }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    for (int j = 0; j < D; ++j) s[j] = aggregator.lift(x[j]);
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int j = 0; j < D; ++j) s[j] = aggregator.combine(a[j], b[j]);
    return s;
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const {
    for (int j = 0; j < D; ++j) absorb_item(aggregator, s[j], x[j]);
  }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const
    requires(has_law(laws, law::invertible))
  {
    state s{};
    for (int j = 0; j < D; ++j) s[j] = aggregator.subtract(whole[j], part[j]);
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    output y{};
    for (int j = 0; j < D; ++j) y[j] = aggregator.lower(s[j]);
    return y;
  }
  FANFOLD_HD constexpr output empty() const { return output::filled(empty_answer(aggregator)); }
};

}  // namespace fanfold::inline FANFOLD_ABI
