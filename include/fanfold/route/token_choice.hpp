#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/adjust.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/score.hpp"
#include "fanfold/route/select.hpp"
#include "fanfold/route/weight.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// NaN logits: `lowest` treats them as -infinity, so that a partly bad row still routes among its good experts; `error` reports the row.
enum class nan_policy : unsigned char { lowest, error };

/// What a row takes that has no logit above -infinity: no expert at all (ids -1), or the ids that selection on equal keys gives, with
/// weights 0, as the frameworks do. Either way it counts as degenerate.
enum class degenerate : unsigned char { no_experts, lowest_ids };

/// Gradients with respect to the statistics, for the vjp: dL/d(score sum of each expert), dL/d(sum of lse^2), dL/d(sum of entropies).
struct routing_stats_gradient {
  view<double const> score_sum{};
  double lse_sq_sum = 0;
  double entropy_sum = 0;
};

/// A router that looks at one row at a time: `token_choice` and whatever offers the same members.
template <class T>
concept row_router = requires(T const r, std::int64_t experts) {
  { r.slots(experts) } -> std::convertible_to<std::int64_t>;
  r.check(experts);
  { r.nan } -> std::convertible_to<nan_policy>;
  { T::scratch_rows } -> std::convertible_to<int>;
};

/// Token choice: each row picks its experts. adjust -> score -> select -> weight, each a policy:
///   router{.select = {.k = 2}}   of   token_choice<softmax_score, top_k, sum_norm>
/// Ids of a row are distinct and in range whatever the input. softmax_score with sum_norm is evaluated as softmax over the chosen logits,
/// which is the same number without underflow. Keys are the logits where the score map is monotone and the selector needs the order only.
template <score_map Score = softmax_score, selector Select = top_k, weight_map Weight = sum_norm, key_adjust Adjust = no_adjust>
struct token_choice {
  Score score{};
  Select select{};
  Weight weight{};
  Adjust adjust{};
  nan_policy nan = nan_policy::lowest;
  degenerate on_degenerate = degenerate::no_experts;

  static_assert(!Weight::normalises || Score::nonnegative, "a normalising weight map needs a score map whose scores are not negative");

  /// Whether routing a row needs no other row: what autoregressive models ask for (see causal.hpp).
  static constexpr bool causal = true;
  static constexpr bool softmax_chosen = std::is_same_v<Score, softmax_score> && requires(Weight const w) { w.over_logits(); };
  static constexpr bool weighs_logits = softmax_chosen || Weight::reads_logits;
  static constexpr bool keys_are_logits = Select::order_only && Score::monotone && !Adjust::changes_keys;
  static constexpr bool needs_score = !weighs_logits || Select::reads_score || !keys_are_logits;
  /// Scores of the chosen experts are enough, computed one by one.
  static constexpr bool scores_chosen_only = detail::elementwise<Score> && !weighs_logits && keys_are_logits && !Select::reads_score;
  /// Rows of E numbers that a row needs: logits, shares (also gradients), and what the policies call for.
  static constexpr int scratch_rows = 2 + (Adjust::changes_logits ? 1 : 0) + 1 + (keys_are_logits ? 0 : 1);

  std::int64_t slots(std::int64_t experts) const { return select.max_slots(experts); }

  /// \throws argument_error where a policy does not fit E experts.
  void check(std::int64_t experts) const {
    select.check(experts);
    adjust.check(experts);
    if constexpr (requires { weight.check(experts); }) weight.check(experts);
    auto const scales = weight.scale.expert.size();
    check_argument(weight.scale.expert.data() == nullptr || scales == experts, "route::assign", "size of weight.scale.expert", scales,
                   "the number of experts");
  }

  /// Deals out `scratch_rows * E` numbers after `logit`.
  template <class R>
  FANFOLD_HD static row_arrays<R> arrays(R* scratch, std::int64_t experts) {
    row_arrays<R> a;
    a.experts = experts;
    a.logit = scratch;
    a.share = scratch + experts;
    a.score = scratch + 2 * experts;
    R* next = scratch + 3 * experts;
    a.adjusted = Adjust::changes_logits ? next : a.logit;
    if (Adjust::changes_logits) next += experts;
    a.key = keys_are_logits ? a.adjusted : next;
    return a;
  }

  /// Routes the row in `a.logit` into `a.id` and `a.weight`; with `statistics` also its share into `a.share`, and what is returned.
  template <row_group G, class R>
  FANFOLD_HD row_summary<R> forward(G const& g, row_arrays<R> const& a, bool statistics) const {
    row_summary<R> result;
    result.degenerate = detail::row_max(g, a.logit, a.experts) == -math::infinity<R>();
    if (result.degenerate && on_degenerate == degenerate::no_experts) {
      detail::clear_slots(g, a.id, 0, a.slots);
    } else {
      choose(g, a);
    }
    weigh(g, a, result.degenerate);
    result.no_work = without_work(g, a);
    if (statistics) summarise(g, a, result);
    return result;
  }

  /// Weights of the chosen ids, scaled; all 0 where `none`.
  template <row_group G, class R>
  FANFOLD_HD void weigh(G const& g, row_arrays<R> const& a, bool none) const {
    if (!none) {
      if constexpr (softmax_chosen)
        weight.over_logits().forward(g, a.adjusted, a.id, a.weight, a.slots);
      else
        weight.forward(g, weighs_logits ? a.adjusted : a.score, a.id, a.weight, a.slots);
    }
    for (std::int64_t j = g.rank(); j < a.slots; j += g.size())
      a.weight[j] = none || a.id[j] < 0 ? R(0) : a.weight[j] * weight.scale.template of<R>(a.id[j]);
    g.sync();
  }

  /// Whether the row chose null experts only.
  template <row_group G, class R>
  FANFOLD_HD bool without_work(G const& g, row_arrays<R> const& a) const {
    if constexpr (requires { weight.kinds; })
      return !weight.kinds.any_taken(g, a.id, a.slots);
    else
      return false;
  }

  /// The row's share into `a.share`, lse and entropy into `result`.
  template <row_group G, class R>
  FANFOLD_HD void summarise(G const& g, row_arrays<R> const& a, row_summary<R>& result) const {
    auto const s = detail::softmax_row(g, a.logit, a.share, a.experts);
    bool const finite = math::isfinite(s.max);
    if (finite) {
      result.lse = s.max + math::log(s.sum);
      result.entropy = detail::softmax_entropy(g, a.logit, a.share, s, a.experts);
    }
    if constexpr (!Score::share_is_softmax) {
      g.sync();
      score.share(g, a.logit, a.share, a.experts);
    }
  }

  /// dl := J^T of what `forward` gives, for the ids in `a.id`: weights by `dweight` (K numbers, may be null), statistics by `ds`.
  /// `dl` and `dx` hold E numbers; `a.weight` is scratch.
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, row_arrays<R> const& a, R const* dweight, routing_stats_gradient const& ds, R* dl) const {
    std::int64_t const n = a.experts;
    R const max = detail::row_max(g, a.logit, n);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = R(0);
    g.sync();
    if (!(max < math::infinity<R>()) || max == -math::infinity<R>()) return;
    if (dweight != nullptr) weight_backward(g, a, dweight, dl);
    if constexpr (softmax_chosen && std::is_same_v<G, host_lane>)  // a warp has lanes enough, and too few registers for both ways
      if (ds.score_sum.data() == nullptr && ds.lse_sq_sum == 0 && ds.entropy_sum == 0) {  // only the chosen entries hold anything
        for (std::int64_t j = 0; j < a.slots; ++j)
          if (a.id[j] >= 0 && !math::isfinite(a.logit[a.id[j]])) dl[a.id[j]] = R(0);
        return;
      }
    if (ds.score_sum.data() != nullptr) share_backward(g, a, ds.score_sum.data(), dl);
    if (ds.lse_sq_sum != 0 || ds.entropy_sum != 0) softmax_backward(g, a, ds, dl);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = math::isfinite(a.logit[e]) ? dl[e] : R(0);
    g.sync();
  }

 private:
  template <class G, class R>
  FANFOLD_HD void adjust_logits(G const& g, row_arrays<R> const& a) const {
    if constexpr (Adjust::changes_logits) {
      for (std::int64_t e = g.rank(); e < a.experts; e += g.size()) {
        R const l = a.logit[e];
        R const x = l == -math::infinity<R>() ? l : adjust.logit(a.row, e, a.experts, l);
        a.adjusted[e] = math::isnan(x) ? -math::infinity<R>() : x;
      }
      g.sync();
    }
  }

  template <class G, class R>
  FANFOLD_HD void choose(G const& g, row_arrays<R> const& a) const {
    std::int64_t const n = a.experts;
    adjust_logits(g, a);
    if constexpr (needs_score && !scores_chosen_only) score.forward(g, a.adjusted, a.score, n);
    if constexpr (!keys_are_logits) {
      for (std::int64_t e = g.rank(); e < n; e += g.size()) {
        R const l = a.adjusted[e];
        R const x = l == -math::infinity<R>() ? l : adjust.key(a.row, e, n, a.score[e]);
        a.key[e] = math::isnan(x) ? -math::infinity<R>() : x;
      }
      g.sync();
    }
    std::int64_t const chosen = select(g, a.row, a.key, a.score, n, a.id);
    detail::clear_slots(g, a.id, chosen, a.slots);
    if constexpr (scores_chosen_only) {
      for (std::int64_t j = g.rank(); j < a.slots; j += g.size())
        if (a.id[j] >= 0) a.score[a.id[j]] = score.at(a.adjusted[a.id[j]]);
      g.sync();
    }
  }

  template <class G, class R>
  FANFOLD_HD void weight_backward(G const& g, row_arrays<R> const& a, R const* dweight, R* dl) const {
    adjust_logits(g, a);
    for (std::int64_t j = g.rank(); j < a.slots; j += g.size())
      a.slot_gradient[j] = a.id[j] < 0 ? R(0) : dweight[j] * weight.scale.template of<R>(a.id[j]);
    g.sync();
    if constexpr (softmax_chosen) {
      weight.over_logits().backward(g, a.adjusted, a.id, a.weight, a.slot_gradient, dl, a.slots);
    } else if constexpr (weighs_logits) {
      weight.backward(g, a.adjusted, a.id, a.weight, a.slot_gradient, dl, a.slots);
    } else {
      score.forward(g, a.adjusted, a.score, a.experts);
      weight.backward(g, a.score, a.id, a.weight, a.slot_gradient, dl, a.slots);
      score.backward(g, a.adjusted, a.score, dl, dl, a.experts);
    }
  }

  template <class G, class R>
  FANFOLD_HD void share_backward(G const& g, row_arrays<R> const& a, double const* dsum, R* dl) const {
    std::int64_t const n = a.experts;
    R* const dp = a.score;
    score.share(g, a.logit, a.share, n);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dp[e] = static_cast<R>(dsum[e]);
    g.sync();
    score.share_backward(g, a.logit, a.share, dp, dp, n);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = dl[e] + dp[e];
    g.sync();
  }

  // d(lse^2) = 2 lse y, d(entropy) = -y (log y + entropy).
  template <class G, class R>
  FANFOLD_HD void softmax_backward(G const& g, row_arrays<R> const& a, routing_stats_gradient const& ds, R* dl) const {
    std::int64_t const n = a.experts;
    auto const s = detail::softmax_row(g, a.logit, a.share, n);
    R const log_sum = math::log(s.sum);
    R const entropy = detail::softmax_entropy(g, a.logit, a.share, s, n);
    R const slope = R(2) * (s.max + log_sum) * static_cast<R>(ds.lse_sq_sum);
    R const entropy_slope = static_cast<R>(ds.entropy_sum);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) {
      R const y = a.share[e];
      R const log_y = a.logit[e] - s.max - log_sum;
      dl[e] = dl[e] + (y == R(0) ? R(0) : slope * y - entropy_slope * (y * (log_y + entropy)));
    }
    g.sync();
  }
};

template <class S = softmax_score, class Q = top_k, class N = sum_norm, class A = no_adjust>
token_choice(S, Q = {}, N = {}, A = {}, nan_policy = {}, degenerate = {}) -> token_choice<S, Q, N, A>;

}  // namespace fanfold::inline FANFOLD_ABI::route
