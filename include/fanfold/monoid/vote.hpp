#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Who won a vote, and with what; index -1 where nobody voted.
template <class W>
using verdict = indexed<W, std::int32_t>;

namespace detail {

/// A device walks over the states of up to so many classes, which then stay in registers, and indexes longer ones.
inline constexpr int most_register_classes = 16;

}  // namespace detail

/// Majority among C classes: items are class ids (others are not counted), the answer is the class of most votes, the smaller id of ties.
template <int C>
struct majority {
  static_assert(C > 0);
  using input = std::int32_t;
  using state = small_array<std::uint64_t, C>;
  using output = verdict<std::uint64_t>;
  static constexpr law laws = law::associative | law::commutative | law::invertible | law::bitwise;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    absorb(s, x);
    return s;
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const {
    if constexpr (FANFOLD_ON_DEVICE && C <= detail::most_register_classes) {
      for (int c = 0; c < C; ++c) s[c] += x == c ? 1u : 0u;
    } else {
      if (x >= 0 && x < C) ++s[x];
    }
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int c = 0; c < C; ++c) s[c] = a[c] + b[c];
    return s;
  }
  FANFOLD_HD constexpr state subtract(state const& whole, state const& part) const {
    state s{};
    for (int c = 0; c < C; ++c) s[c] = whole[c] - part[c];
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    output best{0, -1};
    for (int c = 0; c < C; ++c)
      if (s[c] > best.value) best = {s[c], c};
    return best;
  }
};

/// A vote with a weight.
template <class T>
struct ballot {
  std::int32_t choice = 0;
  T weight{};
};

/// The class of the greatest total weight, the smaller id of ties; weights are summed by binned_sum, so that the verdict does not depend on
/// the order of the votes. A total of NaN wins nothing.
template <int C, class T = float, int K = sizeof(T) == 4 ? 2 : 3>
struct weighted_vote {
  static_assert(C > 0);
  using sum = binned_sum<T, K>;
  using input = ballot<T>;
  using state = small_array<typename sum::state, C>;
  using output = verdict<T>;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;
  static constexpr std::uint64_t max_items = item_limit<sum>;

  FANFOLD_HD constexpr state identity() const { return state::filled(sum{}.identity()); }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  FANFOLD_HD constexpr void absorb(state& s, input const& x) const {
    if (x.choice < 0 || x.choice >= C) return;
    if constexpr (FANFOLD_ON_DEVICE && C <= detail::most_register_classes / 4) {
      auto const vote = sum{}.lift(x.weight);
#if FANFOLD_ON_DEVICE
#pragma unroll
#endif
      for (int c = 0; c < C; ++c) {
        auto const more = sum{}.combine(s[c], vote);
        if (x.choice == c) s[c] = more;
      }
    } else {
      sum{}.absorb(s[x.choice], x.weight);
    }
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s{};
    for (int c = 0; c < C; ++c) s[c] = sum{}.combine(a[c], b[c]);
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    output best{T(0), -1};
    for (int c = 0; c < C; ++c) {
      if (s[c].count == 0) continue;
      T const total = sum{}.lower(s[c]);
      if (total > best.value || (best.index < 0 && total == total)) best = {total, c};
    }
    return best;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
