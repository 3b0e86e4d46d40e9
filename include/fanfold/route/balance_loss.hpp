#pragma once

#include <concepts>
#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// A loss that depends on a batch through sums over its rows: `value(counts, scores)` and `gradient(counts, scores)`, dL/d(score_sum[e])
/// for each expert with counts held constant. The two statistics may differ in scope: counts of the global batch, scores of this rank.
/// Hand the gradient to `assign_vjp` as `routing_stats_gradient{.score_sum = g}`.
template <class L>
concept stat_loss = requires(L const l, routing_stats const& s) {
  { l.value(s, s) } -> std::convertible_to<double>;
  { l.gradient(s, s) } -> std::same_as<std::vector<double>>;
};

/// Which choices count, what their number is divided by, and the factor before the sum.
enum class counted : unsigned char { all_choices, first_choices };
enum class count_divisor : unsigned char { choices, rows, rows_times_slots };
enum class loss_factor : unsigned char { experts, one, inverse_experts };

/// Load balancing: L = alpha N sum_e eta_e f_e P_e, where f_e is the fraction of choices that fell on e (held constant) and P_e the mean
/// share. It is alpha at perfect balance in the default form, alpha at least where f = P, and may be lower where they disagree.
/// Named forms below (Switch, GShard, Mixtral, Megatron, MoE++); the default is Megatron's with the actual number of choices.
struct balance_loss {
  double alpha = 1e-2;
  counted count = counted::all_choices;
  count_divisor divisor = count_divisor::choices;
  loss_factor factor = loss_factor::experts;
  /// Slots a row, for count_divisor::rows_times_slots.
  std::int64_t slots = 1;
  /// eta, one number an expert; empty: all 1 (MoE++ weighs its zero-computation experts by it).
  view<double const> expert_weight{};
  /// Group of each expert; where given, f_e is the mean over e's group (DeepSeekMoE's device loss, AdaMoE's null experts).
  view<std::int32_t const> group{};

  double value(routing_stats const& stats) const { return value(stats, stats); }
  double value(routing_stats const& counts, routing_stats const& scores) const {
    std::vector<double> const g = gradient(counts, scores);
    view<double const> const sum = scores.score_sum();
    return host_lane{}.fold(detail::row_sum<double>{}, sum.size(), detail::product_of<double>{g.data(), sum.data()});
  }

  std::vector<double> gradient(routing_stats const& stats) const { return gradient(stats, stats); }
  std::vector<double> gradient(routing_stats const& counts, routing_stats const& scores) const {
    std::int64_t const n = scores.experts();
    check_argument(counts.experts() == n, "route::balance_loss", "experts of the counts", counts.experts(), "those of the scores");
    check_argument(expert_weight.data() == nullptr || expert_weight.size() == n, "route::balance_loss", "size of expert_weight",
                   expert_weight.size(), "the number of experts");
    check_argument(group.data() == nullptr || group.size() == n, "route::balance_loss", "size of group", group.size(), "the number of experts");
    std::vector<double> g(static_cast<std::size_t>(n));
    std::int64_t first_choices = 0;
    for (std::int64_t c : counts.first_count()) first_choices += c;
    double const divide_by = divisor_of(counts.tokens(), counts.choices(), first_choices);
    if (divide_by == 0 || scores.tokens() == 0) return g;
    auto const& count_of = count == counted::first_choices ? counts.first_count() : counts.count();
    for (std::int64_t e = 0; e < n; ++e) g[static_cast<std::size_t>(e)] = static_cast<double>(count_of[e]) / divide_by;
    if (group.data() != nullptr) average_groups(g);
    double const scale = scale_of(n, scores.tokens());
    for (std::int64_t e = 0; e < n; ++e)
      g[static_cast<std::size_t>(e)] *= scale * (expert_weight.data() == nullptr ? 1.0 : expert_weight[e]);
    return g;
  }

  /// What counts are divided by, from the sums of a batch.
  FANFOLD_HD double divisor_of(std::int64_t rows, std::int64_t choices, std::int64_t first_choices) const {
    if (divisor == count_divisor::rows) return static_cast<double>(rows);
    if (divisor == count_divisor::rows_times_slots) return static_cast<double>(rows) * static_cast<double>(slots);
    return static_cast<double>(count == counted::all_choices ? choices : first_choices);
  }
  /// What stands before f_e P_e, over tokens.
  FANFOLD_HD double scale_of(std::int64_t experts, std::int64_t tokens) const {
    auto const n = static_cast<double>(experts);
    double const f = factor == loss_factor::experts ? n : factor == loss_factor::one ? 1.0 : 1.0 / n;
    return alpha * f / static_cast<double>(tokens);
  }

 private:
  void average_groups(std::vector<double>& f) const {
    std::int32_t last = 0;
    for (std::int32_t d : group) {
      check_argument(d >= 0 && d < group.size(), "route::balance_loss", "a group", d, "between 0 and the number of experts - 1");
      last = d > last ? d : last;
    }
    std::vector<double> sum(static_cast<std::size_t>(last) + 1), members(sum.size());
    for (std::size_t e = 0; e < f.size(); ++e) {
      auto const d = static_cast<std::size_t>(group[e]);
      sum[d] += f[e];
      members[d] += 1;
    }
    for (std::size_t e = 0; e < f.size(); ++e) {
      auto const d = static_cast<std::size_t>(group[e]);
      f[e] = sum[d] / members[d];
    }
  }
};

/// Switch Transformer (Fedus et al., 2021), also GShard's code family (Tutel, DeepSpeed): first choices / T, factor E.
inline balance_loss switch_balance(double alpha = 1e-2) {
  return {alpha, counted::first_choices, count_divisor::rows, loss_factor::experts};
}
/// GShard as written (Lepikhin et al., 2020): first choices / T, factor 1/E.
inline balance_loss gshard_balance(double alpha = 1e-2) {
  return {alpha, counted::first_choices, count_divisor::rows, loss_factor::inverse_experts};
}
/// Mixtral, Qwen, OLMoE in the HF form: all choices / T, factor E; k at perfect balance.
inline balance_loss mixtral_balance(double alpha = 1e-3) {
  return {alpha, counted::all_choices, count_divisor::rows, loss_factor::experts};
}
/// Megatron, DeepSeekMoE, DiT-MoE, MoGE: all choices / (T k), factor E.
inline balance_loss megatron_balance(std::int64_t k, double alpha = 1e-2) {
  return {alpha, counted::all_choices, count_divisor::rows_times_slots, loss_factor::experts, k};
}
/// MoE++ (Jin et al., 2024): all choices / T, factor 1, one weight an expert.
inline balance_loss moepp_balance(view<double const> expert_weight, double alpha = 1e-2) {
  return {alpha, counted::all_choices, count_divisor::rows, loss_factor::one, 1, expert_weight};
}

}  // namespace fanfold::inline FANFOLD_ABI::route
