#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/ragged_select.hpp"
#include "fanfold/route/routing_stats.hpp"
#include "fanfold/route/token_choice.hpp"
#include "fanfold/route/weight.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

inline void check_statistics(routing_stats_view const& stats, std::int64_t experts, char const* function) {
  check_argument(stats.integers.data() == nullptr || (stats.integers.size() == routing_stats_view::integer_size(experts) &&
                                                      stats.reals.size() == routing_stats_view::real_size(experts)),
                 function, "experts of the statistics", stats.experts(), "the number of experts");
}

/// Statistics of choices made elsewhere, where they are wanted: those of the row router that replays them, on any executor.
template <class Score, executor E, class L>
void count_choices(E const& ex, matrix_view<L const> logits, matrix_view<std::int32_t const> id, row_mask const& mask, routing_stats_view const& stats,
                   workspace& ws) {
  if (stats.integers.data() == nullptr) return;
  std::int64_t const rows = id.rows(), slots = id.cols();
  workspace::frame frame(ws);
  assignment<float> const again{{frame.take<std::int32_t>(rows * slots).data(), rows, slots}, {frame.take<float>(rows * slots).data(), rows, slots}};
  token_choice<Score, replay, raw_weight> router{};
  router.select.ids = id;
  router.on_degenerate = degenerate::lowest_ids;
  assign(ex, router, logits, again, stats, mask, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
