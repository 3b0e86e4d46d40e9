#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Chooses experts of a row by the total order (key descending, index ascending). `order_only`: only the order of the keys matters, so
/// that they may be logits; `reads_score`: the score row is read. `max_slots(E)` is the number of slots of the output; `check(E)` throws
/// argument_error where the policy does not fit E experts. The call sets all slots of `id`, -1 from the number it returns on.
template <class Q>
concept selector = requires(Q const q, host_lane const g, std::int64_t n, float const* x, std::int32_t* id) {
  { Q::order_only } -> std::convertible_to<bool>;
  { Q::reads_score } -> std::convertible_to<bool>;
  { q.max_slots(n) } -> std::convertible_to<std::int64_t>;
  q.check(n);
  { q(g, n, x, x, n, id) } -> std::convertible_to<std::int64_t>;
};

namespace detail {

/// A key and its index. `none()` comes after everything.
template <class R>
struct candidate {
  R key;
  std::int32_t id;

  FANFOLD_HD static constexpr candidate none() { return {-math::infinity<R>(), 0x7fffffff}; }
  FANFOLD_HD constexpr bool before(candidate const& o) const { return key > o.key || (key == o.key && id < o.id); }
};

template <class R>
struct first_candidate {
  using state = candidate<R>;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;
  FANFOLD_HD constexpr state identity() const { return state::none(); }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return b.before(a) ? b : a; }
};

/// Candidate e of keys[first + e], unless it does not come after `last`.
template <class R>
struct candidate_after {
  R const* key;
  std::int64_t first;
  candidate<R> last;
  bool any;  // there is a last one
  FANFOLD_HD candidate<R> operator()(std::int64_t e) const {
    candidate<R> const c{key[first + e], static_cast<std::int32_t>(first + e)};
    return any && !last.before(c) ? candidate<R>::none() : c;
  }
};

/// Takes keys [first, last) into the sorted list id[0, count) of at most k, and returns its length.
template <class R>
FANFOLD_HD std::int64_t insert_top(R const* key, std::int64_t first, std::int64_t last, std::int32_t* id, std::int64_t count, std::int64_t k) {
  for (std::int64_t e = first; e < last; ++e) {
    if (count == k && !(key[e] > key[id[k - 1]])) continue;  // of equal keys the one met first stays
    std::int64_t j = count < k ? count++ : k - 1;
    for (; j > 0 && key[e] > key[id[j - 1]]; --j) id[j] = id[j - 1];
    id[j] = static_cast<std::int32_t>(e);
  }
  return count;
}

/// id[0, k) := the k first of keys [first, first + n) in the total order; k <= n. Keys hold no NaN.
template <row_group G, class R>
FANFOLD_HD void select_top(G const& g, R const* key, std::int64_t first, std::int64_t n, std::int32_t* id, std::int64_t k) {
  if constexpr (G::size() == 1) {
    insert_top(key, first, first + n, id, 0, k);
  } else {
    candidate<R> last = candidate<R>::none();
    for (std::int64_t j = 0; j < k; ++j) {
      last = g.fold(first_candidate<R>{}, n, candidate_after<R>{key, first, last, j > 0});
      if (g.rank() == 0) id[j] = last.id;
    }
    g.sync();
  }
}

template <row_group G>
FANFOLD_HD void clear_slots(G const& g, std::int32_t* id, std::int64_t from, std::int64_t to) {
  for (std::int64_t j = from + g.rank(); j < to; j += g.size()) id[j] = -1;
  g.sync();
}

}  // namespace detail

/// The k best experts, best first. Ties go to the lower index. -infinity keys come last and still fill slots.
struct top_k {
  std::int64_t k = 1;

  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return k; }
  void check(std::int64_t experts) const {
    check_argument(k >= 1 && k <= experts, "route::assign", "k", k, "between 1 and the number of experts");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    detail::select_top(g, key, 0, experts, id, k);
    return k;
  }
};

/// Every expert, best first.
struct all_experts {
  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t experts) const { return experts; }
  void check(std::int64_t) const {}
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    detail::select_top(g, key, 0, experts, id, experts);
    return experts;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
