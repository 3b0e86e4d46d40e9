#pragma once

#include "fanfold/core/config.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_choice.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// L = c (1/T) sum_t lse(l_t)^2, which keeps logits small (Zoph et al., "ST-MoE", 2022). Padding rows leave sum and T; rows without a
/// finite lse add 0 and stay in T.
struct z_loss {
  double c = 1e-3;

  double value(routing_stats const& stats) const { return slope(stats) * stats.lse_sq_sum(); }
  /// For `assign_vjp`: d L / d(sum of lse^2).
  routing_stats_gradient gradient(routing_stats const& stats) const { return {.score_sum = {}, .lse_sq_sum = slope(stats)}; }

 private:
  double slope(routing_stats const& stats) const { return stats.tokens() == 0 ? 0 : c / static_cast<double>(stats.tokens()); }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
