#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/fold/order.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

struct mark_positions {
  view<std::int32_t const> length{};
  std::int64_t longest = 1;
  view<std::int32_t> id{};
  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const b = i / longest;
    id.data()[i] = i - b * longest < length.data()[b] ? 0 : -1;
  }
};

struct sum_lengths {
  view<std::int32_t const> length{};
  view<std::int64_t> first{};
  FANFOLD_HD void operator()(std::int64_t) const {
    std::int64_t sum = 0;
    first.data()[0] = 0;
    for (std::int64_t b = 0; b < length.size(); ++b) first.data()[b + 1] = sum += length.data()[b];
  }
};

}  // namespace detail

/// Removal of padding from sequences: a batch of B sequences padded to `longest` positions becomes a plan of one expert, whose rows are the
/// real positions in order, and `first` (B + 1), where each sequence begins. `gather` packs rows, `fold_combine` unpacks them (padding
/// becomes 0). `plan` has B * longest tokens, one slot, one expert. (EnergonAI, Du et al., 2022.)
/// \throws argument_error for sizes that do not match and, on the host, a length outside [0, longest].
template <executor E, viewable Lengths, viewable First, fanfold::detail::call_option... Options>
void pack_varlen(E const& ex, Lengths const& lengths, std::int64_t longest, plan_view const& plan, First&& first, Options&&... options) {
  static constexpr char function[] = "pack_varlen";
  view<std::int32_t const> const length = as_const(as_view(lengths));
  view<std::int64_t> const starts = as_view(first);
  std::int64_t const positions = length.size() * longest;
  check_argument(longest >= 0, function, "longest", longest, "0 or more");
  check_argument(starts.size() == length.size() + 1, function, "size of first", starts.size(), "sequences + 1");
  check_argument(plan.tokens == positions && plan.slots == 1 && plan.experts() == 1, function, "tokens of the plan", plan.tokens, "sequences * longest, one slot, one expert");
  if constexpr (host_executor<E>)
    for (std::int32_t n : length) check_argument(n >= 0 && n <= longest, function, "a length", n, "in [0, longest]");
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace::frame frame(scratch.get());
  auto const id = frame.template take<std::int32_t>(positions);
  for_each(ex, detail::mark_positions{length, longest, id}, positions);
  for_each(ex, detail::sum_lengths{length, starts}, 1);
  make_plan(ex, packed{}, route::assignment<float const, std::int32_t const>{{id.data(), positions, 1}, {}}, plan, scratch.get());
}

/// How the survivors of a buffer come to its front.
struct compaction {
  struct move {
    std::int32_t from, to;
  };
  std::int64_t alive = 0;
  std::vector<move> moves;          ///< to be carried out in this order
  std::vector<std::int32_t> where;  ///< new position of every old one, -1 for the dead
};

/// Survivors keep their order. Host memory.
template <viewable Alive>
compaction compact_stable(Alive const& flags) {
  auto const alive = as_const(as_view(flags));
  compaction out;
  for (std::int64_t i = 0; i < alive.size(); ++i) {
    bool const lives = static_cast<bool>(alive[i]);
    auto const from = static_cast<std::int32_t>(i), to = static_cast<std::int32_t>(out.alive);
    out.where.push_back(lives ? to : -1);
    if (lives && from != to) out.moves.push_back({from, to});
    out.alive += lives;
  }
  return out;
}

/// As few moves as there can be: with m survivors, the i-th hole below m takes the i-th survivor at or past m (Flover, Yao et al., 2023).
template <viewable Alive>
compaction compact_min_moves(Alive const& flags) {
  auto const alive = as_const(as_view(flags));
  compaction out;
  for (std::int64_t i = 0; i < alive.size(); ++i) out.alive += static_cast<bool>(alive[i]);
  std::int64_t hole = 0;
  for (std::int64_t i = 0; i < alive.size(); ++i) {
    auto const from = static_cast<std::int32_t>(i);
    bool const lives = static_cast<bool>(alive[i]);
    out.where.push_back(lives ? from : -1);
    if (!lives || i < out.alive) continue;
    while (static_cast<bool>(alive[hole])) ++hole;
    out.moves.push_back({from, static_cast<std::int32_t>(hole)});
    out.where[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(hole++);
  }
  return out;
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
