#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_choice.hpp"

/// \file
/// What the host and the device form of the row map share.

namespace fanfold::inline FANFOLD_ABI::route {

/// Rows that take part: nonzero = real, 0 = padding. Empty: all of them. A padding row gets ids -1 and weights 0 and counts nowhere.
struct row_mask {
  view<std::uint8_t const> real{};

  FANFOLD_HD bool keeps(std::int64_t row) const { return real.data() == nullptr || real.data()[row] != 0; }
};

/// E5: one pass over rows of scores, forward. `run_loop` writes the assignment and, where `stats` has arrays, the statistics.
template <row_router Router>
struct row_map_loop {
  Router router;
  row_mask mask{};
  routing_stats_view stats{};
};

/// E5, backward: gradients of logits from gradients of weights and of statistics, for recorded ids.
template <row_router Router>
struct row_map_vjp_loop {
  Router router;
  row_mask mask{};
  routing_stats_gradient stats{};
};

namespace detail {

template <row_group G, class L, class R>
FANFOLD_HD void load_logits(G const& g, L const* source, R* logit, std::int64_t n) {
  for (std::int64_t e = g.rank(); e < n; e += g.size()) {
    R const l = to_arithmetic(source[e]);
    logit[e] = (math::isnan(l) ? -math::infinity<R>() : l) + R(0);  // -0 becomes +0
  }
  g.sync();
}

template <row_group G, class R, class Id, class W>
FANFOLD_HD void store_row(G const& g, row_arrays<R> const& a, Id* id, W* weight) {
  for (std::int64_t j = g.rank(); j < a.slots; j += g.size()) {
    id[j] = static_cast<Id>(a.id[j]);
    weight[j] = from_arithmetic<W>(static_cast<arithmetic_t<W>>(a.weight[j]));
  }
}

template <row_group G, class Id, class W>
FANFOLD_HD void store_empty_row(G const& g, std::int64_t slots, Id* id, W* weight) {
  for (std::int64_t j = g.rank(); j < slots; j += g.size()) {
    id[j] = Id(-1);
    weight[j] = from_arithmetic<W>(0);
  }
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::route
