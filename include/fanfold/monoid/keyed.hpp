#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// An item of one key.
template <class Key, class T>
struct keyed_value {
  Key key{};
  T value{};

  template <class Same>
  constexpr bool matches(keyed_value const& other, Same const& same) const {
    return key == other.key && same(value, other.value);
  }
};

/// One state of `A` a key (host only): the answer is a list of (key, answer), keys ascending, only of keys that occurred.
template <aggregator A, class Key>
struct keyed {
  using input = keyed_value<Key, typename A::input>;
  using state = std::vector<keyed_value<Key, typename A::state>>;
  using output = std::vector<keyed_value<Key, typename A::output>>;
  static constexpr law laws = A::laws & (law::associative | law::commutative | law::idempotent | law::bitwise);
  static constexpr std::uint64_t max_items = item_limit<A>;

  A aggregator{};

  state identity() const { return {}; }
  state lift(input const& x) const { return {{x.key, aggregator.lift(x.value)}}; }
  state combine(state const& a, state const& b) const {
    state s;
    s.reserve(a.size() + b.size());
    std::size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
      if (a[i].key < b[j].key)
        s.push_back(a[i++]);
      else if (b[j].key < a[i].key)
        s.push_back(b[j++]);
      else {
        s.push_back({a[i].key, aggregator.combine(a[i].value, b[j].value)});
        ++i, ++j;
      }
    }
    for (; i < a.size(); ++i) s.push_back(a[i]);
    for (; j < b.size(); ++j) s.push_back(b[j]);
    return s;
  }
  void absorb(state& s, input const& x) const {
    std::size_t low = 0, high = s.size();
    while (low < high) {
      std::size_t const mid = (low + high) / 2;
      if (s[mid].key < x.key)
        low = mid + 1;
      else
        high = mid;
    }
    if (low < s.size() && !(x.key < s[low].key))
      absorb_item(aggregator, s[low].value, x.value);
    else
      s.insert(s.begin() + static_cast<std::ptrdiff_t>(low), {x.key, aggregator.lift(x.value)});
  }
  output lower(state const& s) const {
    output y;
    y.reserve(s.size());
    for (auto const& entry : s) y.push_back({entry.key, aggregator.lower(entry.value)});
    return y;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
