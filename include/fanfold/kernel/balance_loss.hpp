#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/kernel/warp.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/controllers.hpp"
#include "fanfold/route/routing_stats.hpp"

/// \file
/// Balance losses and controllers from statistics that lie in a device's memory, without a round trip to the host: a training step queues
/// assign, gradient, assign_vjp and the update of the bias. One block each; the host's bits.

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// f := counts over their divisor, then the gradient; then the value.
struct balance_loss_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  balance_loss loss;
  std::uint32_t* status;

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, routing_stats_view counts, routing_stats_view scores, view<double> f, view<double> g,
                             view<double> value) const {
    std::int64_t const n = g.size();
    std::int64_t const* const first = counts.integers.data() + stat_integers + n;
    std::int64_t mine = 0, first_choices = 0;
    for (std::int64_t e = b.thread(); e < n; e += b.threads()) mine += first[e];
    block_exclusive_sum(b, s.sums, mine, first_choices);
    double const divide_by = loss.divisor_of(counts.integers.data()[stat_tokens], counts.integers.data()[stat_choices], first_choices);
    std::int64_t const tokens = scores.integers.data()[stat_tokens];
    bool const none = divide_by == 0 || tokens == 0;
    std::int64_t const* const count = loss.count == counted::first_choices ? first : first - n;
    for (std::int64_t e = b.thread(); e < n; e += b.threads()) f.data()[e] = none ? 0.0 : static_cast<double>(count[e]) / divide_by;
    b.sync();
    double const scale = none ? 0.0 : loss.scale_of(n, tokens);
    for (std::int64_t e = b.thread(); e < n; e += b.threads()) {
      double const share = loss.group.data() == nullptr ? f.data()[e] : group_mean(b, f, e);
      g.data()[e] = none ? 0.0 : share * (scale * (loss.expert_weight.data() == nullptr ? 1.0 : loss.expert_weight.data()[e]));
    }
    b.sync();
    if (value.empty() || warp_of(b) != 0) return;
    double const sum = warp_lanes<B>(b).fold(row_sum<double>{}, n, product_of<double>{g.data(), scores.reals.data() + stat_reals});
    if (b.thread() == 0) value.data()[0] = sum;
  }

 private:
  template <block B>
  FANFOLD_HD double group_mean(B& b, view<double const> f, std::int64_t e) const {
    std::int32_t const* const group = loss.group.data();
    if (group[e] < 0 || group[e] >= f.size()) raise(b, status, data_fault::id_out_of_range);
    double sum = 0, members = 0;
    for (std::int64_t i = 0; i < f.size(); ++i) {
      if (group[i] != group[e]) continue;
      sum += f.data()[i];
      members += 1;
    }
    return sum / members;
  }
};

struct bias_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  float u;
  bias_step step;

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, routing_stats_view stats, view<float> bias) const {
    std::int64_t const n = bias.size();
    std::int64_t const* const count = stats.integers.data() + stat_integers;
    std::int64_t mine = 0, sum = 0;
    for (std::int64_t e = b.thread(); e < n; e += b.threads()) mine += count[e];
    block_exclusive_sum(b, s.sums, mine, sum);
    for (std::int64_t e = b.thread(); e < n && sum != 0; e += b.threads())
      bias.data()[e] = moved_bias(bias.data()[e], u, step, sum - n * count[e], n, sum);
  }
};

struct share_body {
  float u;

  template <block B>
  FANFOLD_HD void operator()(B& b, routing_stats_view stats, view<double const> wanted, view<float> bias) const {
    std::int64_t const n = bias.size();
    double const* const mass = stats.reals.data() + stat_reals + n;
    double sum = 0;
    for (std::int64_t e = 0; e < n; ++e) sum += mass[e];
    for (std::int64_t e = b.thread(); e < n && sum != 0; e += b.threads())
      bias.data()[e] = shared_bias(bias.data()[e], u, wanted.data()[e], mass[e], sum);
  }
};

/// to += from, elementwise.
struct merge_stats_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, routing_stats_view to, routing_stats_view from) const {
    for (std::int64_t i = grid_thread(b); i < to.integers.size(); i += grid_threads(b)) to.integers.data()[i] += from.integers.data()[i];
    for (std::int64_t i = grid_thread(b); i < to.reals.size(); i += grid_threads(b)) to.reals.data()[i] += from.reals.data()[i];
  }
};

}  // namespace detail

/// gradient := loss.gradient(counts, scores), E numbers to hand to assign_vjp, and, where given, value[0] := loss.value(counts, scores).
template <device_executor E>
void evaluate(E const& ex, balance_loss const& loss, routing_stats_view counts, routing_stats_view scores, view<double> gradient, view<double> value = {}) {
  static constexpr char function[] = "route::evaluate";
  std::int64_t const n = scores.experts();
  check_argument(counts.experts() == n, function, "experts of the counts", counts.experts(), "those of the scores");
  check_argument(gradient.size() == n, function, "size of the gradient", gradient.size(), "the number of experts");
  check_argument(loss.expert_weight.data() == nullptr || loss.expert_weight.size() == n, function, "size of expert_weight", loss.expert_weight.size(),
                 "the number of experts");
  check_argument(loss.group.data() == nullptr || loss.group.size() == n, function, "size of group", loss.group.size(), "the number of experts");
  check_argument(value.size() <= 1, function, "size of the value", value.size(), "0 or 1");
  workspace::frame frame(ex.scratch());
  using body = detail::balance_loss_body;
  ex.launch(body{loss, ex.status()}, 1, threads_for<body>(ex), counts, scores, frame.take<double>(n), gradient, value);
}

/// loss_free_balance on a bias in device memory.
template <device_executor E>
void update_bias(E const& ex, routing_stats_view stats, view<float> bias, float u = 1e-3f, bias_step step = bias_step::sign) {
  check_argument(stats.experts() == bias.size(), "route::update_bias", "number of counts", stats.experts(), "the number of experts");
  using body = detail::bias_body;
  ex.launch(body{u, step}, 1, threads_for<body>(ex), stats, bias);
}

/// target_share on a bias in device memory.
template <device_executor E>
void update_share(E const& ex, routing_stats_view stats, view<double const> wanted, view<float> bias, float u = 1e-3f) {
  check_argument(stats.experts() == bias.size(), "route::update_share", "number of sums", stats.experts(), "the number of experts");
  check_argument(wanted.size() == bias.size(), "route::update_share", "number of wanted shares", wanted.size(), "the number of experts");
  using body = detail::share_body;
  ex.launch(body{u}, 1, threads_for<body>(ex), stats, wanted, bias);
}

/// to := merge(to, from) in device memory: micro-batches, and what other ranks sent.
template <device_executor E>
void merge(E const& ex, routing_stats_view to, routing_stats_view from) {
  check_argument(to.experts() == from.experts(), "route::merge", "number of experts", from.experts(), "that of the other side");
  launch_threads(ex, detail::merge_stats_body{}, to.integers.size(), to, from);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
