#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/route/noise.hpp"
#include "fanfold/route/token_choice.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// GShard (Lepikhin et al., 2020): the two best experts with weights g1, g2 = softmax over their logits; the second stays with probability
/// min(1, 2 g2): where 2 g2 > u, u uniform on (0, 1). A rejected second choice has id -1, counts nowhere, and g1 stays as it is.
/// `sampling = false` (inference) keeps every second choice. `draw`, where given, holds u of each row.
struct gshard_router {
  row_noise noise{};
  bool sampling = true;
  view<float const> draw{};
  nan_policy nan = nan_policy::lowest;
  degenerate on_degenerate = degenerate::no_experts;

  using base = token_choice<softmax_score, top_k, sum_norm>;
  static constexpr bool causal = true;
  static constexpr int scratch_rows = base::scratch_rows;

  std::int64_t slots(std::int64_t) const { return 2; }
  void check(std::int64_t) const {}
  template <class R>
  FANFOLD_HD static row_arrays<R> arrays(R* scratch, std::int64_t experts) {
    return base::arrays(scratch, experts);
  }

  template <row_group G, class R>
  FANFOLD_HD row_summary<R> forward(G const& g, row_arrays<R> const& a, bool statistics) const {
    base const two = both();
    row_summary<R> result;
    result.degenerate = detail::row_max(g, a.logit, a.experts) == -math::infinity<R>();
    if (result.degenerate && on_degenerate == degenerate::no_experts)
      detail::clear_slots(g, a.id, 0, 2);
    else
      choose(g, a);
    two.weigh(g, a, result.degenerate);
    bool const keep = result.degenerate || !sampling || R(2) * a.weight[1] > uniform<R>(a.row);
    g.sync();
    if (!keep && g.rank() == 0) {
      a.id[1] = -1;
      a.weight[1] = R(0);
    }
    g.sync();
    if (statistics) two.summarise(g, a, result);
    return result;
  }

  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, row_arrays<R> const& a, R const* dweight, routing_stats_gradient const& ds, R* dl) const {
    bool const rejected = a.id[0] >= 0 && a.id[1] < 0 && a.experts > 1;
    std::int32_t const first = a.id[0];
    detail::candidate<R> const second = g.fold(detail::first_candidate<R>{}, a.experts, other<R>{a.logit, first});
    g.sync();
    if (rejected && g.rank() == 0) a.id[1] = second.id;
    g.sync();
    if (!rejected || dweight == nullptr) return both().backward(g, a, dweight, ds, dl);
    // the weight of a rejected choice is constant 0: its gradient must not enter
    if (g.rank() == 0) {
      a.slot_gradient[0] = dweight[0];
      a.slot_gradient[1] = R(0);
    }
    g.sync();
    both().backward(g, a, a.slot_gradient, ds, dl);
  }

 private:
  template <class R>
  struct other {
    R const* logit;
    std::int32_t without;
    FANFOLD_HD detail::candidate<R> operator()(std::int64_t e) const {
      return e == without ? detail::candidate<R>::none() : detail::candidate<R>{logit[e], static_cast<std::int32_t>(e)};
    }
  };

  FANFOLD_HD base both() const { return base{{}, {2}, {}, {}, nan, on_degenerate}; }
  template <class R>
  FANFOLD_HD R uniform(std::int64_t row) const {
    if (draw.data() != nullptr) return static_cast<R>(draw.data()[row]);
    random_stream const s{noise.key, streams::router_sample, 0};
    return static_cast<R>(s.u01(static_cast<std::uint64_t>(noise.row0 + row)));
  }
  template <class G, class R>
  FANFOLD_HD void choose(G const& g, row_arrays<R> const& a) const {
    std::int64_t const k = a.experts < 2 ? a.experts : 2;
    detail::select_top(g, a.logit, 0, a.experts, a.id, k);
    detail::clear_slots(g, a.id, k, 2);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
