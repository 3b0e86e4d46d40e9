#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// Ascending by monotone key (heap sort: the algorithms header is too heavy for what it would save here).
inline void sort_ascending(std::vector<double>& x) {
  auto const sift = [&](std::size_t root, std::size_t n) {
    for (std::size_t child; (child = 2 * root + 1) < n; root = child) {
      if (child + 1 < n && monotone_key(x[child]) < monotone_key(x[child + 1])) ++child;
      if (monotone_key(x[root]) >= monotone_key(x[child])) return;
      std::swap(x[root], x[child]);
    }
  };
  for (std::size_t i = x.size() / 2; i-- > 0;) sift(i, x.size());
  for (std::size_t n = x.size(); n > 1;) {
    std::swap(x[0], x[--n]);
    sift(0, n);
  }
}

}  // namespace detail

/// Levels of a KLL sketch: an item of level h stands for 2^h items.
struct kll_state {
  struct level {
    std::vector<double> items;
    std::uint64_t compactions = 0;
    bool operator==(level const&) const = default;
  };
  std::vector<level> levels;
  std::uint64_t count = 0;
  std::uint64_t nans = 0;
  bool operator==(kll_state const&) const = default;

  /// Estimated number of items below or equal to x.
  std::uint64_t rank(double x) const {
    std::uint64_t r = 0;
    for (std::size_t h = 0; h < levels.size(); ++h)
      for (double const v : levels[h].items)
        if (v <= x) r += std::uint64_t{1} << h;
    return r;
  }
  /// The smallest kept item whose estimated rank exceeds q (n - 1); NaN of no items.
  double quantile(double q) const {
    check_argument(q >= 0.0 && q <= 1.0, "kll::quantile", "q", q, "from 0 to 1");
    std::vector<double> all;
    for (level const& l : levels) all.insert(all.end(), l.items.begin(), l.items.end());
    if (all.empty()) return math::quiet_nan<double>();
    detail::sort_ascending(all);
    double const wanted = q * static_cast<double>(count - 1);
    for (double const v : all)
      if (static_cast<double>(rank(v)) > wanted) return v;
    return all.back();
  }
};

/// Quantiles by random compaction (Karnin, Lang, Liberty 2016), rank error about 2.3 / k^0.9 of n at 99 % (host only).
///
/// Level h may hold max(8, ceil(k c^(H - h))) items, H the top level; the lowest level at its capacity is sorted, an odd count leaves its
/// greatest item behind, and of the rest every second item moves up. A monoid **in distribution only**: the state depends on the tree, so
/// use order::fixed (the coins are Philox words, so that a fixed tree gives fixed bits); order::reproducible rejects it. NaN is counted aside.
struct kll {
  using input = double;
  using state = kll_state;
  using output = kll_state;
  static constexpr law laws = law::associative | law::commutative;

  int k = 200;
  double c = 2.0 / 3.0;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;

  state identity() const {
    check_argument(k >= 8, "kll", "k", k, "8 or more");
    check_argument(c > 0.5 && c < 1.0, "kll", "c", c, "between 0.5 and 1");
    return {};
  }
  state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  void absorb(state& s, input const& x) const {
    if (x != x) {
      ++s.nans;
      return;
    }
    if (s.levels.empty()) s.levels.resize(1);
    s.levels[0].items.push_back(x);
    ++s.count;
    compact(s);
  }
  state combine(state const& a, state const& b) const {
    state s = a;
    if (s.levels.size() < b.levels.size()) s.levels.resize(b.levels.size());
    for (std::size_t h = 0; h < b.levels.size(); ++h) {
      s.levels[h].items.insert(s.levels[h].items.end(), b.levels[h].items.begin(), b.levels[h].items.end());
      s.levels[h].compactions += b.levels[h].compactions;
    }
    s.count += b.count;
    s.nans += b.nans;
    compact(s);
    return s;
  }
  output lower(state const& s) const { return s; }

  std::size_t capacity(std::size_t level, std::size_t levels) const {
    double size = static_cast<double>(k);
    for (std::size_t h = level + 1; h < levels; ++h) size *= c;
    auto const whole = static_cast<std::size_t>(size);
    std::size_t const up = whole + (static_cast<double>(whole) < size ? 1 : 0);
    return up < 8 ? 8 : up;
  }

 private:
  void compact(state& s) const {
    for (std::size_t h = 0; h < s.levels.size();) {
      if (s.levels[h].items.size() < capacity(h, s.levels.size())) {
        ++h;
        continue;
      }
      if (h + 1 == s.levels.size()) s.levels.emplace_back();
      promote(s, h);
      h = 0;
    }
  }
  void promote(state& s, std::size_t h) const {
    kll_state::level& from = s.levels[h];
    detail::sort_ascending(from.items);
    std::uint64_t const element = from.compactions++;
    std::size_t const coin = random_block(seed, stream, static_cast<std::uint32_t>(h), element / 4)[element % 4] & 1u;
    std::size_t const even = from.items.size() / 2 * 2;
    auto& to = s.levels[h + 1].items;
    for (std::size_t i = coin; i < even; i += 2) to.push_back(from.items[i]);
    from.items.erase(from.items.begin(), from.items.begin() + static_cast<std::ptrdiff_t>(even));
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
