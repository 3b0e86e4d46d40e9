#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/each.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/monoid/arithmetic.hpp"

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

/// A compaction in an executor's memory, for buffers of n places. Entries of `from` and `to` past the number of moves are unspecified.
struct compaction_view {
  view<std::int32_t> where{};  ///< [n] new position of every old one, -1 for the dead
  view<std::int32_t> from{};   ///< [n] moves, in the order in which they may be carried out
  view<std::int32_t> to{};     ///< [n]
  view<std::int64_t> count{};  ///< [2] survivors, moves
};

namespace detail {

template <class Flag>
struct alive_count {
  view<Flag const> alive{};
  view<std::int64_t> out{};
  FANFOLD_HD void operator()(std::int64_t i) const { out.data()[i] = static_cast<bool>(alive.data()[i]) ? 1 : 0; }
};

/// Survivors in order, `before[i]` of them before place i. The first hole is the dead place with as many survivors before it as places.
template <class Flag>
struct stable_places {
  view<Flag const> alive{};
  view<std::int64_t const> before{};
  compaction_view out{};
  view<std::int64_t> hole{};

  FANFOLD_HD bool lives(std::int64_t i) const { return static_cast<bool>(alive.data()[i]); }
  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const to = before.data()[i], n = alive.size();
    out.where.data()[i] = lives(i) ? static_cast<std::int32_t>(to) : -1;
    if (i == n - 1) out.count.data()[0] = to + (lives(i) ? 1 : 0);
    if (to == i && (!lives(i) || i == n - 1)) hole.data()[0] = lives(i) ? n : i;  // one place of all
  }
};
template <class Flag>
struct stable_list {
  stable_places<Flag> base{};
  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const to = base.before.data()[i], hole = base.hole.data()[0];
    if (i == 0) base.out.count.data()[1] = hole == base.alive.size() ? 0 : base.out.count.data()[0] - hole;
    if (!base.lives(i) || to == i) return;
    base.out.from.data()[to - hole] = static_cast<std::int32_t>(i);  // all survivors past the first hole move
    base.out.to.data()[to - hole] = static_cast<std::int32_t>(to);
  }
};

/// The i-th hole below the number of survivors takes the i-th survivor at or past it.
template <class Flag>
struct list_few_moves {
  view<Flag const> alive{};
  view<std::int64_t const> before{};
  compaction_view out{};

  FANFOLD_HD bool lives(std::int64_t i) const { return static_cast<bool>(alive.data()[i]); }
  FANFOLD_HD std::int64_t survivors() const { return before.data()[alive.size() - 1] + (lives(alive.size() - 1) ? 1 : 0); }
  FANFOLD_HD std::int64_t in_place() const { return survivors() == alive.size() ? survivors() : before.data()[survivors()]; }
  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int64_t const m = survivors(), stay = in_place();
    if (i == 0) out.count.data()[0] = m, out.count.data()[1] = m - stay;
    if (!lives(i) && i < m) out.to.data()[i - before.data()[i]] = static_cast<std::int32_t>(i);
    if (lives(i) && i >= m) out.from.data()[before.data()[i] - stay] = static_cast<std::int32_t>(i);
  }
};
template <class Flag>
struct few_moves_places {
  list_few_moves<Flag> base{};
  FANFOLD_HD void operator()(std::int64_t i) const {
    std::int32_t place = -1;
    if (base.lives(i)) place = i < base.survivors() ? static_cast<std::int32_t>(i) : base.out.to.data()[base.before.data()[i] - base.in_place()];
    base.out.where.data()[i] = place;
  }
};

struct no_survivors {
  view<std::int64_t> count{};
  FANFOLD_HD void operator()(std::int64_t i) const { count.data()[i] = 0; }
};

template <class Flag>
void check_compaction(char const* function, view<Flag const> alive, compaction_view const& out) {
  std::int64_t const n = alive.size();
  check_argument(n <= most_rows, function, "size of alive", n, "at most 2^31 - 1");
  check_argument(out.where.size() == n && out.from.size() == n && out.to.size() == n, function, "size of out.where", out.where.size(), "that of alive, as the other lists");
  check_argument(out.count.size() == 2, function, "size of out.count", out.count.size(), "2");
}

template <class E, class Flag>
view<std::int64_t const> survivors_before(E const& ex, workspace::frame& frame, view<Flag const> alive, workspace& ws) {
  auto const one = frame.template take<std::int64_t>(alive.size()), before = frame.template take<std::int64_t>(alive.size());
  for_each(ex, alive_count<Flag>{alive, one}, alive.size());
  scan(ex, plus<std::int64_t>{}, as_const(one), before, scan_kind::exclusive, ws);
  return before;
}

}  // namespace detail

/// The same as compact_stable(alive), into memory that the executor can write, on any executor.
template <executor E, viewable Alive, fanfold::detail::call_option... Options>
void compact_stable(E const& ex, Alive const& flags, compaction_view const& out, Options&&... options) {
  auto const alive = as_const(as_view(flags));
  using Flag = typename std::remove_cv_t<decltype(alive)>::value_type;
  detail::check_compaction("compact_stable", alive, out);
  if (alive.size() == 0) return for_each(ex, detail::no_survivors{out.count}, 2);
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace::frame frame(scratch.get());
  auto const before = detail::survivors_before(ex, frame, alive, scratch.get());
  detail::stable_places<Flag> const places{alive, before, out, frame.template take<std::int64_t>(1)};
  for_each(ex, places, alive.size());
  for_each(ex, detail::stable_list<Flag>{places}, alive.size());
}

/// The same as compact_min_moves(alive), into memory that the executor can write, on any executor.
template <executor E, viewable Alive, fanfold::detail::call_option... Options>
void compact_min_moves(E const& ex, Alive const& flags, compaction_view const& out, Options&&... options) {
  auto const alive = as_const(as_view(flags));
  using Flag = typename std::remove_cv_t<decltype(alive)>::value_type;
  detail::check_compaction("compact_min_moves", alive, out);
  if (alive.size() == 0) return for_each(ex, detail::no_survivors{out.count}, 2);
  fanfold::detail::call_workspace scratch(ex, options...);
  workspace::frame frame(scratch.get());
  detail::list_few_moves<Flag> const list{alive, detail::survivors_before(ex, frame, alive, scratch.get()), out};
  for_each(ex, list, alive.size());
  for_each(ex, detail::few_moves_places<Flag>{list}, alive.size());
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
