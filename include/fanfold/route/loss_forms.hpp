#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/expert_kind.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_choice.hpp"

/// \file
/// Losses of single papers that are functions of routing statistics.

namespace fanfold::inline FANFOLD_ABI::route {

/// DeepSeekMoE's device loss (2401.06066), alpha sum_d f'_d P'_d: f' the mean of f over a device's experts, P' the sum of P.
inline balance_loss device_balance(std::int64_t k, view<std::int32_t const> device, double alpha) {
  return {alpha, counted::all_choices, count_divisor::rows_times_slots, loss_factor::experts, k, {}, device};
}

/// AdaMoE (2024): counts of null experts are replaced by their mean, so that balancing among them is off. `group` gives every true expert
/// a number of its own and all null ones the same: adamoe_groups.
inline balance_loss adamoe_balance(view<std::int32_t const> group, double alpha = 1e-2) {
  return {alpha, counted::all_choices, count_divisor::choices, loss_factor::experts, 1, {}, group};
}
inline std::vector<std::int32_t> adamoe_groups(view<expert_kind const> kinds) {
  std::vector<std::int32_t> group(static_cast<std::size_t>(kinds.size()));
  std::int32_t of_nulls = -1;
  for (std::size_t e = 0; e < group.size(); ++e) {
    bool const null = kinds[e] == expert_kind::null;
    if (null && of_nulls < 0) of_nulls = static_cast<std::int32_t>(e);
    group[e] = null ? of_nulls : static_cast<std::int32_t>(e);
  }
  return group;
}

/// DeepSeek-V2's communication loss (2405.04434): alpha sum_d f''_d P''_d, f''_d = D / (M T) times the tokens sent to device d at all (from
/// count_device_tokens), P''_d the sum of P over its experts.
struct communication_balance {
  double alpha = 0.02;
  std::int64_t most_devices = 3;
  view<std::int32_t const> device{};
  view<std::int64_t const> tokens_of_device{};

  double value(routing_stats const& s) const {
    auto const g = gradient(s);
    double sum = 0;
    for (std::int64_t e = 0; e < s.experts(); ++e) sum += g[static_cast<std::size_t>(e)] * s.score_sum()[e];
    return sum;
  }
  std::vector<double> gradient(routing_stats const& s) const {
    static constexpr char function[] = "route::communication_balance";
    check_argument(device.size() == s.experts(), function, "size of device", device.size(), "the number of experts");
    check_argument(most_devices >= 1, function, "most_devices", most_devices, "1 or more");
    std::vector<double> g(static_cast<std::size_t>(s.experts()));
    if (s.tokens() == 0) return g;
    auto const t = static_cast<double>(s.tokens());
    for (std::int64_t e = 0; e < s.experts(); ++e) {
      check_argument(device[e] >= 0 && device[e] < tokens_of_device.size(), function, "a device", device[e], "one that has a token count");
      double const f = static_cast<double>(tokens_of_device.size()) / (static_cast<double>(most_devices) * t) *
                       static_cast<double>(tokens_of_device[device[e]]);
      g[static_cast<std::size_t>(e)] = alpha * f / t;
    }
    return g;
  }
};

/// Tokens with at least one expert on each device.
template <class W, class Id>
std::vector<std::int64_t> count_device_tokens(assignment<W, Id> const& a, view<std::int32_t const> device, std::int64_t devices) {
  std::vector<std::int64_t> count(static_cast<std::size_t>(devices)), last(count.size(), -1);
  for (std::int64_t t = 0; t < a.rows(); ++t)
    for (std::int64_t j = 0; j < a.slots(); ++j) {
      auto const e = static_cast<std::int64_t>(a.id(t, j));
      if (e < 0) continue;
      check_argument(e < device.size() && device[e] >= 0 && device[e] < devices, "route::count_device_tokens", "an expert or device", e, "in range");
      auto const d = static_cast<std::size_t>(device[e]);
      count[d] += last[d] == t ? 0 : 1;
      last[d] = t;
    }
  return count;
}

/// ReMoE (Wang et al., 2024): lambda E / (k T^2) sum_e c_e sum_t y_te on ReLU scores. Its coefficient follows l1_controller.
struct l1_balance {
  double lambda = 1e-8;
  std::int64_t k = 1;

  double value(routing_stats const& s) const { return form().value(s); }
  double value(routing_stats const& counts, routing_stats const& scores) const { return form().value(counts, scores); }
  std::vector<double> gradient(routing_stats const& s) const { return form().gradient(s); }
  std::vector<double> gradient(routing_stats const& counts, routing_stats const& scores) const { return form().gradient(counts, scores); }

 private:
  balance_loss form() const { return {lambda, counted::all_choices, count_divisor::rows_times_slots, loss_factor::experts, k}; }
};

/// DynMoLE (2504.00661): alpha E sum_e m_e P_e with m_e the mean combine weight, which is differentiated too.
struct soft_balance {
  double alpha = 1e-3;

  double value(routing_stats const& s) const {
    double sum = 0;
    for (std::int64_t e = 0; e < s.experts(); ++e) sum += s.weight_sum()[e] * s.score_sum()[e];
    return sum * slope(s);
  }
  /// d value / d(score sum), for routing_stats_gradient.
  std::vector<double> gradient(routing_stats const& s) const { return scaled(s, s.weight_sum()); }
  /// d value / d(weight sum), for add_weight_gradient.
  std::vector<double> weight_gradient(routing_stats const& s) const { return scaled(s, s.score_sum()); }

 private:
  static double square(double x) { return x * x; }
  double slope(routing_stats const& s) const {
    return s.tokens() == 0 ? 0 : alpha * static_cast<double>(s.experts()) / square(static_cast<double>(s.tokens()));
  }
  std::vector<double> scaled(routing_stats const& s, view<double const> x) const {
    std::vector<double> g(static_cast<std::size_t>(s.experts()));
    for (std::int64_t e = 0; e < s.experts(); ++e) g[static_cast<std::size_t>(e)] = slope(s) * x[e];
    return g;
  }
};

/// c times the mean entropy of softmax(l), which sharpens rows where c > 0 (Huang et al., 2024: 1e-4).
struct entropy_loss {
  double c = 1e-4;

  double value(routing_stats const& s) const { return slope(s) * s.entropy_sum(); }
  routing_stats_gradient gradient(routing_stats const& s) const { return {.score_sum = {}, .lse_sq_sum = 0, .entropy_sum = slope(s)}; }

 private:
  double slope(routing_stats const& s) const { return s.tokens() == 0 ? 0 : c / static_cast<double>(s.tokens()); }
};

/// LoRA-Mixer's routing specialisation balance (2507.00029): a sum_e P_e f_e + sign lambda mean H, f = choices / all choices. As printed the
/// sign is -1, which flattens rows while the text wants them sharp: +1, the default here.
struct specialisation_balance {
  enum class entropy_sign : unsigned char { sharpen, as_printed };

  double a = 1e-2;
  double lambda = 1e-3;
  entropy_sign sign = entropy_sign::sharpen;

  double value(routing_stats const& s) const { return balance().value(s) + entropy().value(s); }
  /// d value / d(score sum); with it goes `entropy_gradient` into the same routing_stats_gradient.
  std::vector<double> gradient(routing_stats const& s) const { return balance().gradient(s); }
  double entropy_gradient(routing_stats const& s) const { return entropy().gradient(s).entropy_sum; }

 private:
  balance_loss balance() const { return {a, counted::all_choices, count_divisor::choices, loss_factor::one}; }
  entropy_loss entropy() const { return {sign == entropy_sign::sharpen ? lambda : -lambda}; }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
