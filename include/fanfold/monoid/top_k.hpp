#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Where NaN keys stand in a selection. error: lower throws argument_error on the host; on a device they stand last.
enum class nan_place { last, first, error };

/// Which end is selected.
enum class selection { greatest, least };

struct no_payload {
  bool operator==(no_payload const&) const = default;
};

/// A key, its index, and whatever travels along.
template <class T, class Payload = no_payload>
struct ranked {
  T key;
  std::int64_t index;
  Payload payload;

  template <class Same>
  constexpr bool matches(ranked const& other, Same const& same) const {
    return same(key, other.key) && index == other.index && same(payload, other.payload);
  }
};

namespace detail {

/// Whether `a` comes before `b`: better key (-0 equals +0, NaN by policy), then smaller index.
template <selection Side, nan_place Nan, class T, class P>
FANFOLD_HD constexpr bool ranks_before(ranked<T, P> const& a, ranked<T, P> const& b) {
  bool const na = is_nan(a.key);
  bool const nb = is_nan(b.key);
  if (na != nb) return na == (Nan == nan_place::first);
  if (!na && a.key != b.key) return Side == selection::greatest ? a.key > b.key : a.key < b.key;
  return a.index < b.index;
}

/// Merges sorted lists into at most `k` entries at `out`; with `Dedupe` an entry like the one before it in key and index is left out.
template <selection Side, nan_place Nan, bool Dedupe, class E>
FANFOLD_HD constexpr int merge_ranked(E const* a, int na, E const* b, int nb, E* out, int k) {
  int i = 0, j = 0, n = 0;
  while (n < k && (i < na || j < nb)) {
    // of entries that rank equally the left one goes first
    bool const take_b = i >= na || (j < nb && ranks_before<Side, Nan>(b[j], a[i]));
    E const& e = take_b ? b[j++] : a[i++];
    if (Dedupe && n > 0 && !ranks_before<Side, Nan>(out[n - 1], e)) continue;
    out[n++] = e;
  }
  return n;
}

/// The same into `s`, which holds the n entries of the left list and has room for K, by constant indices: for the registers of a device.
template <selection Side, nan_place Nan, bool Dedupe, int K, class E>
FANFOLD_HD constexpr int insert_ranked(E* s, int n, E const* b, int nb) {
  for (int j = 0; j < K; ++j) {
    if (j >= nb) continue;
    E e = b[j];
    bool moving = false, done = false;  // moving: e and all after it go on by one place
    for (int i = 0; i < K; ++i) {
      if (done || i > n) continue;
      moving = moving || i == n || ranks_before<Side, Nan>(e, s[i]);
      if (moving) {
        E const next = s[i];
        s[i] = e;
        e = next;
      } else if (Dedupe && !ranks_before<Side, Nan>(s[i], e)) {
        done = true;
      }
      if (moving && i == n) {
        ++n;
        done = true;
      }
    }
  }
  return n;
}

template <nan_place Nan, class E>
FANFOLD_HD constexpr void check_no_nan(E const* e, int n) {
#if !FANFOLD_ON_DEVICE
  if constexpr (Nan == nan_place::error)
    for (int i = 0; i < n; ++i)
      if (is_nan(e[i].key)) check_argument(false, "top_k", "key", "NaN", "a number");
#else
  (void)e;
  (void)n;
#endif
}

}  // namespace detail

/// At most K entries, best first.
template <class T, int K, class Payload = no_payload>
struct top_list {
  using entry = ranked<T, Payload>;
  std::int32_t size;
  entry entries[std::size_t{K > 0 ? K : 1}];

  FANFOLD_HD constexpr entry const& operator[](int i) const { return entries[i]; }

  template <class Same>
  constexpr bool matches(top_list const& other, Same const& same) const {
    bool equal = size == other.size;
    for (int i = 0; equal && i < size; ++i) equal = entries[i].matches(other.entries[i], same);
    return equal;
  }
};

/// The K greatest (or least) keys with their indices: key descending with -0 equal to +0, ties by ascending index; a list of min(K, n)
/// entries. -infinity is an ordinary key. Items with equal keys must differ in their index, unless `Dedupe` merges such duplicates.
/// Under nan_place::error NaN entries are kept first, so that one is always seen.
template <class T, int K, class Payload = no_payload, selection Side = selection::greatest, nan_place Nan = nan_place::last, bool Dedupe = false>
struct top_k {
  static_assert(K >= 0);
  using input = ranked<T, Payload>;
  using state = top_list<T, K, Payload>;
  using output = state;
  static constexpr law laws =
      law::associative | law::commutative | law::bitwise | (Dedupe ? law::idempotent : law::none);

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    if (K > 0) {
      s.size = 1;
      s.entries[0] = x;
    }
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    if constexpr (FANFOLD_ON_DEVICE && K > 0 && K <= 8) {
      state s = a;
      s.size = detail::insert_ranked<Side, place, Dedupe, K>(s.entries, a.size, b.entries, b.size);
      return s;
    } else {
      state s{};
      s.size = detail::merge_ranked<Side, place, Dedupe>(a.entries, a.size, b.entries, b.size, s.entries, K);
      return s;
    }
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    detail::check_no_nan<Nan>(s.entries, s.size);
    return s;
  }

 private:
  static constexpr nan_place place = Nan == nan_place::last ? nan_place::last : nan_place::first;
};

template <class T, int K, class Payload = no_payload, nan_place Nan = nan_place::last, bool Dedupe = false>
using bottom_k = top_k<T, K, Payload, selection::least, Nan, Dedupe>;

/// top_k with a run-time k (host only): states are lists.
template <class T, class Payload = no_payload, selection Side = selection::greatest, nan_place Nan = nan_place::last, bool Dedupe = false>
struct dynamic_top_k {
  using input = ranked<T, Payload>;
  using state = std::vector<input>;
  using output = state;
  static constexpr law laws =
      law::associative | law::commutative | law::bitwise | (Dedupe ? law::idempotent : law::none);

  int k = 1;

  state identity() const { return {}; }
  state lift(input const& x) const { return k > 0 ? state{x} : state{}; }
  state combine(state const& a, state const& b) const {
    std::size_t const both = a.size() + b.size();
    auto const limit = static_cast<std::size_t>(k > 0 ? k : 0);
    state s(both < limit ? both : limit);
    int const n = detail::merge_ranked<Side, place, Dedupe>(a.data(), static_cast<int>(a.size()), b.data(), static_cast<int>(b.size()), s.data(),
                                                            static_cast<int>(s.size()));
    s.resize(static_cast<std::size_t>(n));
    return s;
  }
  output lower(state const& s) const {
    detail::check_no_nan<Nan>(s.data(), static_cast<int>(s.size()));
    return s;
  }

 private:
  static constexpr nan_place place = Nan == nan_place::last ? nan_place::last : nan_place::first;
};

}  // namespace fanfold::inline FANFOLD_ABI
