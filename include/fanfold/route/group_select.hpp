#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

inline void check_groups(std::int64_t groups, std::int64_t experts) {
  check_argument(groups >= 1 && experts % (groups < 1 ? 1 : groups) == 0, "route::assign", "groups", groups, "a divisor of the number of experts");
}

}  // namespace detail

/// The `k_each` best of each of `groups` equal groups of consecutive experts, group by group: equal work for the devices that hold them
/// ("Pangu Pro MoE: Mixture of Grouped Experts", 2025).
struct per_group_top_k {
  std::int64_t groups = 1;
  std::int64_t k_each = 1;

  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return groups * k_each; }
  void check(std::int64_t experts) const {
    detail::check_groups(groups, experts);
    check_argument(k_each >= 1 && k_each <= experts / groups, "route::assign", "k_each", k_each, "between 1 and the experts of a group");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    std::int64_t const size = experts / groups;
    for (std::int64_t d = 0; d < groups; ++d) detail::select_top(g, key, d * size, size, id + d * k_each, k_each);
    return groups * k_each;
  }
};

namespace detail {

/// Which kept group comes next, and which expert of the kept groups: both by candidates in the total order.
template <class R>
struct group_score_after {
  R const* key;
  std::int64_t size;
  std::int64_t summed;
  candidate<R> last;
  bool any;

  FANFOLD_HD candidate<R> operator()(std::int64_t d) const {
    candidate<R> const c{score(key + d * size), static_cast<std::int32_t>(d)};
    return any && !last.before(c) ? candidate<R>::none() : c;
  }

  // Sum of the `summed` largest keys above -infinity, largest first; -infinity where there is none.
  FANFOLD_HD R score(R const* x) const {
    if (summed <= 2) {
      R first = -math::infinity<R>(), second = first;
      for (std::int64_t e = 0; e < size; ++e) {
        R const low = x[e] < first ? x[e] : first;
        second = second < low ? low : second;
        first = first < x[e] ? x[e] : first;
      }
      return summed == 2 && second > -math::infinity<R>() ? first + second : first;
    }
    candidate<R> best = candidate<R>::none();
    R sum = -math::infinity<R>();
    for (std::int64_t j = 0; j < summed; ++j) {
      candidate<R> next = candidate<R>::none();
      for (std::int64_t e = 0; e < size; ++e) {
        candidate<R> const c{x[e], static_cast<std::int32_t>(e)};
        if ((j == 0 || best.before(c)) && c.before(next)) next = c;
      }
      if (next.key == -math::infinity<R>()) break;
      sum = j == 0 ? next.key : sum + next.key;
      best = next;
    }
    return sum;
  }
};

/// Candidate e unless its group is not kept or it does not come after `last`. Bit d of `kept`: group d is.
template <class R>
struct kept_candidate_after {
  R const* key;
  std::int64_t size;
  std::uint64_t kept;
  candidate<R> last;
  bool any;

  FANFOLD_HD candidate<R> operator()(std::int64_t e) const {
    candidate<R> const c{key[e], static_cast<std::int32_t>(e)};
    return (kept >> (e / size) & 1u) == 0 || (any && !last.before(c)) ? candidate<R>::none() : c;
  }
};

}  // namespace detail

/// The k best experts among the `keep` best of `groups` equal groups of consecutive experts. A group's score is the sum of its `summed`
/// largest keys: 1 is DeepSeek-V2's maximum, 2 DeepSeek-V3's, k / keep Megatron's (2405.04434, 2412.19437). Ties go to the lower group
/// and the lower expert. Experts of other groups are no candidates, whatever their keys. At most 64 groups.
template <bool SumsScores>
struct basic_group_limited {
  std::int64_t groups = 1;
  std::int64_t keep = 1;
  std::int64_t k = 1;
  std::int64_t summed = 1;

  static constexpr bool order_only = !SumsScores;  // sums are of scores, never of logits
  static constexpr bool reads_score = false;
  static constexpr std::int64_t most_groups = 64;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return k; }
  void check(std::int64_t experts) const {
    detail::check_groups(groups, experts);
    std::int64_t const size = experts / groups;
    check_argument(groups <= most_groups, "route::assign", "groups", groups, "64 or fewer");
    check_argument(keep >= 1 && keep <= groups, "route::assign", "keep", keep, "between 1 and the groups");
    check_argument(k >= 1 && k <= keep * size, "route::assign", "k", k, "between 1 and the experts of the kept groups");
    check_argument(summed >= 1 && (SumsScores || summed == 1), "route::assign", "summed", summed, "1 or more, and 1 where only the order counts");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    using detail::candidate;
    if constexpr (G::size() == 1) return alone(key, experts / groups, id);
    std::int64_t const size = experts / groups;
    std::uint64_t kept = 0;
    candidate<R> last = candidate<R>::none();
    for (std::int64_t i = 0; i < keep; ++i) {
      detail::group_score_after<R> const next{key, size, summed < size ? summed : size, last, i > 0};
      last = g.fold(detail::first_candidate<R>{}, groups, next);
      kept |= std::uint64_t{1} << last.id;
    }
    last = candidate<R>::none();
    for (std::int64_t j = 0; j < k; ++j) {
      last = g.fold(detail::first_candidate<R>{}, experts, detail::kept_candidate_after<R>{key, size, kept, last, j > 0});
      if (g.rank() == 0) id[j] = last.id;
    }
    g.sync();
    return k;
  }

 private:
  // One lane: the score of each group once, then one pass over the kept ones.
  template <class R>
  FANFOLD_HD std::int64_t alone(R const* key, std::int64_t size, std::int32_t* id) const {
    R score[most_groups] = {};
    detail::group_score_after<R> const by{key, size, summed < size ? summed : size, detail::candidate<R>::none(), false};
    for (std::int64_t d = 0; d < groups; ++d) score[d] = by.score(key + d * size);
    std::int32_t best[most_groups] = {};
    detail::insert_top(score, 0, groups, best, 0, keep);
    std::uint64_t kept = 0;
    for (std::int64_t i = 0; i < keep; ++i) kept |= std::uint64_t{1} << best[i];
    std::int64_t count = 0;
    for (std::int64_t d = 0; d < groups; ++d)
      if ((kept >> d & 1u) != 0) count = detail::insert_top(key, d * size, (d + 1) * size, id, count, k);
    return count;
  }
};

/// By the best key of each group (DeepSeek-V2): the order is all that counts.
using group_limited = basic_group_limited<false>;
/// By the sum of the `summed` best keys of each group (DeepSeek-V3: 2), which are scores.
using group_limited_by_sum = basic_group_limited<true>;

}  // namespace fanfold::inline FANFOLD_ABI::route
