#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Items in ascending order (-0 before +0, NaN, made canonical, last), and what no monoid smaller than this can answer.
template <class T>
struct sorted_items {
  std::vector<T> items;

  template <class Same>
  constexpr bool matches(sorted_items const& other, Same const& same) const {
    return same(items, other.items);
  }

  /// The middle item, or the mean of the two in the middle; NaN of none.
  double median() const { return quantile(0.5); }
  /// By linear interpolation between the items around position q (n - 1); NaN of none.
  double quantile(double q) const {
    check_argument(q >= 0.0 && q <= 1.0, "multiset::quantile", "q", q, "from 0 to 1");
    if (items.empty()) return math::quiet_nan<double>();
    double const at = q * static_cast<double>(items.size() - 1);
    auto const low = static_cast<std::size_t>(at);
    double const a = static_cast<double>(items[low]);
    if (static_cast<double>(low) == at) return a;
    double const b = static_cast<double>(items[low + 1]);
    return a == b ? a : a + (at - static_cast<double>(low)) * (b - a);
  }
  /// Mean without the `cut` smallest and `cut` greatest items; NaN where nothing is left.
  double trimmed_mean(std::int64_t cut) const {
    check_argument(cut >= 0, "multiset::trimmed_mean", "cut", cut, "0 or more");
    std::int64_t const n = static_cast<std::int64_t>(items.size());
    if (n <= 2 * cut) return math::quiet_nan<double>();
    double sum = 0.0;
    for (std::int64_t i = cut; i < n - cut; ++i) sum += static_cast<double>(items[static_cast<std::size_t>(i)]);
    return sum / static_cast<double>(n - 2 * cut);
  }
  /// The most frequent item, the smallest of ties; there must be one.
  T mode() const {
    check_argument(!items.empty(), "multiset::mode", "count of items", items.size(), "1 or more");
    std::size_t best = 0, best_run = 0;
    for (std::size_t i = 0; i < items.size();) {
      std::size_t j = i + 1;
      while (j < items.size() && (items[j] == items[i] || (is_nan(items[j]) && is_nan(items[i])))) ++j;
      if (j - i > best_run) {
        best = i;
        best_run = j - i;
      }
      i = j;
    }
    return items[best];
  }
};

/// The free commutative monoid on numbers (host only): all items, sorted. Memory grows with the items.
template <class T>
struct multiset {
  using input = T;
  using state = sorted_items<T>;
  using output = sorted_items<T>;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;

  state identity() const { return {}; }
  state lift(input const& x) const { return {{canonical(x)}}; }
  state combine(state const& a, state const& b) const {
    state s;
    s.items.reserve(a.items.size() + b.items.size());
    std::size_t i = 0, j = 0;
    while (i < a.items.size() && j < b.items.size())
      s.items.push_back(monotone_key(b.items[j]) < monotone_key(a.items[i]) ? b.items[j++] : a.items[i++]);
    for (; i < a.items.size(); ++i) s.items.push_back(a.items[i]);
    for (; j < b.items.size(); ++j) s.items.push_back(b.items[j]);
    return s;
  }
  output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
