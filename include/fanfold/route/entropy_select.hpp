#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/route/row_entropy.hpp"
#include "fanfold/route/select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Every expert where the entropy of the scores is above `threshold`; else those whose cumulated score, best first, stays within p, and at
/// least `keep_k` (DynMoLE, Li et al., "Boosting Mixture of LoRA Experts Fine-Tuning with a Hybrid Routing Mechanism", 2025). A threshold
/// of 1 or more leaves the entropy out.
struct entropy_hybrid {
  double threshold = 0.9;
  double p = 0.75;
  std::int64_t keep_k = 2;
  row_entropy entropy{};

  static constexpr bool order_only = true;
  static constexpr bool reads_score = true;

  FANFOLD_HD constexpr std::int64_t max_slots(std::int64_t experts) const { return experts; }
  void check(std::int64_t experts) const {
    check_argument(p == p, "route::assign", "p", p, "a number");
    check_argument(threshold == threshold, "route::assign", "threshold", threshold, "a number");
    check_argument(keep_k >= 0 && keep_k <= experts, "route::assign", "keep_k", keep_k, "between 0 and the number of experts");
    entropy.check("route::assign");
  }
  template <row_group G, class R>
  FANFOLD_HD std::int64_t operator()(G const& g, std::int64_t, R const* key, R const* score, std::int64_t experts, std::int32_t* id) const {
    detail::select_top(g, key, 0, experts, id, experts);
    bool const none = key[id[0]] == -math::infinity<R>();
    bool const all = p >= 1 || (threshold < 1 && entropy.of(g, score, experts) > static_cast<R>(threshold));
    std::int64_t count = 0;
    if (all && !none) {
      count = experts;
    } else if (!none) {
      R sum = R(0);
      for (; count < experts; ++count) {
        sum += score[id[count]];
        if (sum > static_cast<R>(p)) break;
      }
    }
    g.sync();
    return count < keep_k ? keep_k : count;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
