#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/plan_view.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

struct dense_plan_entry {
  plan_view plan{};

  FANFOLD_HD void operator()(std::int64_t i) const {
    if (i == 0) {
      plan.offsets.data()[0] = 0;
      plan.offsets.data()[1] = plan.tokens;
      plan.counts.data()[0] = plan.kept.data()[0] = static_cast<std::int32_t>(plan.tokens);
    }
    if (i == plan.tokens) return;
    plan.row_of.data()[i] = plan.src_of.data()[i] = static_cast<std::int32_t>(i);
  }
};

}  // namespace detail

/// The plan of a network that every token passes: one expert, one slot, row t is token t. In a workspace, so in the executor's memory.
template <executor E>
plan_view dense_plan(E const& ex, workspace::frame& frame, std::int64_t tokens) {
  plan_view const plan = take_plan(frame, packed{}, tokens, 1, 1);
  for_each(ex, detail::dense_plan_entry{plan}, tokens < 1 ? 1 : tokens);
  return plan;
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
