#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/select.hpp"

/// \file
/// Selectors whose rows take different numbers of experts, and those that are told what to take.

namespace fanfold::inline FANFOLD_ABI::route {

/// As many experts as it takes to gather the share p of the scores, best first ("Harder Tasks Need More Experts", 2024). `inclusive` keeps
/// the expert that crosses p, otherwise it is dropped. At least `k_min` and at most `k_max` (0: all) experts; p >= 1 takes all.
struct top_p {
  double p = 0.4;
  std::int64_t k_min = 1;
  std::int64_t k_max = 0;
  bool inclusive = true;

  static constexpr bool order_only = true;
  static constexpr bool reads_score = true;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t experts) const { return k_max == 0 ? experts : k_max; }
  void check(std::int64_t experts) const {
    check_argument(p == p, "route::assign", "p", p, "a number");
    check_argument(k_max >= 0 && k_max <= experts, "route::assign", "k_max", k_max, "0 or at most the number of experts");
    check_argument(k_min >= 0 && k_min <= max_slots(experts), "route::assign", "k_min", k_min, "at most k_max");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const* score, std::int64_t experts, std::int32_t* id) const {
    std::int64_t const most = max_slots(experts);
    detail::select_top(g, key, 0, experts, id, most);
    std::int64_t count = most;
    if (p < 1) {
      R const limit = static_cast<R>(p);
      R sum = R(0);
      count = 0;
      for (; count < most && sum < limit; ++count) {
        sum += score[id[count]];
        if (!inclusive && sum > limit) break;
      }
    }
    if (key[id[0]] == -math::infinity<R>()) count = 0;
    count = count < k_min ? k_min : count;
    g.sync();
    return count;
  }
};

/// Every expert with a positive key, in ascending index; where there are more than `k_max`, the k_max largest (ReMoE, BlockFFN). Keys are
/// scores, so with relu_score these are the experts that are on.
struct positive {
  std::int64_t k_max = 1;

  static constexpr bool order_only = false;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return k_max; }
  void check(std::int64_t experts) const {
    check_argument(k_max >= 1 && k_max <= experts, "route::assign", "k_max", k_max, "between 1 and the number of experts");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const*, std::int64_t experts, std::int32_t* id) const {
    detail::select_top(g, key, 0, experts, id, k_max);
    std::int64_t count = 0;
    while (count < k_max && key[id[count]] > R(0)) ++count;
    g.sync();
    if (g.rank() == 0) sort_ids(id, count);
    g.sync();
    return count;
  }

 private:
  FANFOLD_HD static void sort_ids(std::int32_t* id, std::int64_t count) {
    for (std::int64_t i = 1; i < count; ++i) {
      std::int32_t const x = id[i];
      std::int64_t j = i;
      for (; j > 0 && id[j - 1] > x; --j) id[j] = id[j - 1];
      id[j] = x;
    }
  }
};

/// The ids that are given: `ids(t, j)` for row t, -1 for none. Replays recorded choices (weights and statistics are computed anew), or
/// carries out choices made elsewhere, such as a hash of the token (Roller et al., "Hash Layers", 2021). In the executor's memory.
/// An id out of range, or one that a row has twice, becomes -1.
struct replay {
  matrix_view<std::int32_t const> ids{};

  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return ids.cols(); }
  void check(std::int64_t) const { check_argument(ids.cols() >= 1, "route::assign", "slots of the replayed ids", ids.cols(), "1 or more"); }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t row, R const*, R const*, std::int64_t experts, std::int32_t* id) const {
    std::int32_t const* const from = ids.data() + row * ids.stride();
    for (std::int64_t j = g.rank(); j < ids.cols(); j += g.size()) {
      bool good = row < ids.rows() && from[j] >= 0 && from[j] < experts;
      for (std::int64_t i = 0; good && i < j; ++i) good = from[i] != from[j];
      id[j] = good ? from[j] : -1;
    }
    g.sync();
    return ids.cols();
  }
};

/// `replay`, but a row whose recorded slots are all -1 was not recorded: it goes to the selector `otherwise`.
template <selector Q>
struct replay_or {
  matrix_view<std::int32_t const> ids{};
  Q otherwise{};

  static constexpr bool order_only = Q::order_only;
  static constexpr bool reads_score = Q::reads_score;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t experts) const { return otherwise.max_slots(experts); }
  void check(std::int64_t experts) const {
    otherwise.check(experts);
    check_argument(ids.cols() == max_slots(experts), "route::assign", "slots of the replayed ids", ids.cols(), "those of the other selector");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t row, R const* key, R const* score, std::int64_t experts, std::int32_t* id) const {
    bool const recorded = row < ids.rows() && g.fold(detail::row_maximum<float>{}, ids.cols(), taken{ids.data() + row * ids.stride()}) > 0;
    return recorded ? replay{ids}(g, row, key, score, experts, id) : otherwise(g, row, key, score, experts, id);
  }

 private:
  struct taken {
    std::int32_t const* id;
    FANFOLD_HD float operator()(std::int64_t j) const { return id[j] >= 0 ? 1.0f : 0.0f; }
  };
};
template <class Q>
replay_or(matrix_view<std::int32_t const>, Q) -> replay_or<Q>;

/// One expert a row from a table indexed by the row's token: expert = table[token[row]] (hash layers). Tokens outside the table take none.
struct table {
  view<std::int32_t const> experts_of{};
  view<std::int32_t const> token{};

  static constexpr bool order_only = true;
  static constexpr bool reads_score = false;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t) const { return 1; }
  void check(std::int64_t) const {
    check_argument(experts_of.size() >= 1, "route::assign", "size of the table", experts_of.size(), "1 or more");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t row, R const*, R const*, std::int64_t experts, std::int32_t* id) const {
    std::int64_t const t = row < token.size() ? token.data()[row] : -1;
    std::int32_t const e = t >= 0 && t < experts_of.size() ? experts_of.data()[t] : -1;
    if (g.rank() == 0) id[0] = e >= 0 && e < experts ? e : -1;
    g.sync();
    return 1;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
