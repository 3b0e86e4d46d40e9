#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// An item and a lower bound of its count.
template <class T>
struct heavy_item {
  T item{};
  std::uint64_t count = 0;
  bool operator==(heavy_item const&) const = default;
};

/// At most k items, ascending, and the number of all items.
template <class T>
struct misra_gries_state {
  std::vector<heavy_item<T>> items;
  std::uint64_t total = 0;
  bool operator==(misra_gries_state const&) const = default;

  /// At most the true count, and less than it by at most total / (k + 1); 0 for an item that is not kept.
  std::uint64_t count(T const& item) const {
    for (auto const& e : items)
      if (e.item == item) return e.count;
    return 0;
  }
};

/// Frequent items (Misra, Gries 1982; mergeable form of Agarwal et al. 2012) of an ordered type (host only). Every item with more than
/// n / (k + 1) occurrences is kept. A monoid **in guarantee only**: states depend on the tree, the bound does not.
template <class T>
struct misra_gries {
  using input = T;
  using state = misra_gries_state<T>;
  using output = misra_gries_state<T>;
  static constexpr law laws = law::associative | law::commutative;

  int k = 64;

  state identity() const {
    check_argument(k >= 1, "misra_gries", "k", k, "1 or more");
    return {};
  }
  state lift(input const& x) const {
    state s = identity();
    s.items.push_back({x, 1});
    s.total = 1;
    return s;
  }
  state combine(state const& a, state const& b) const {
    state s;
    s.total = a.total + b.total;
    std::size_t i = 0, j = 0;
    while (i < a.items.size() || j < b.items.size()) {
      if (j == b.items.size() || (i < a.items.size() && a.items[i].item < b.items[j].item))
        s.items.push_back(a.items[i++]);
      else if (i == a.items.size() || b.items[j].item < a.items[i].item)
        s.items.push_back(b.items[j++]);
      else {
        s.items.push_back({a.items[i].item, a.items[i].count + b.items[j].count});
        ++i, ++j;
      }
    }
    shrink(s);
    return s;
  }
  output lower(state const& s) const { return s; }

 private:
  // takes the (k + 1)-th largest count off every count, and keeps what is left
  void shrink(state& s) const {
    if (s.items.size() <= static_cast<std::size_t>(k)) return;
    std::vector<std::uint64_t> greatest;  // of the counts, descending, k + 1 of them
    for (auto const& e : s.items) {
      std::size_t at = greatest.size();
      while (at > 0 && greatest[at - 1] < e.count) --at;
      if (at > static_cast<std::size_t>(k)) continue;
      greatest.insert(greatest.begin() + static_cast<std::ptrdiff_t>(at), e.count);
      if (greatest.size() > static_cast<std::size_t>(k) + 1) greatest.pop_back();
    }
    std::uint64_t const off = greatest.back();
    std::size_t n = 0;
    for (auto const& e : s.items)
      if (e.count > off) s.items[n++] = {e.item, e.count - off};
    s.items.resize(n);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
