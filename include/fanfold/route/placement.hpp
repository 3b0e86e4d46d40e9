#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/noise.hpp"

/// \file
/// Which choices survive a capacity, and where in their expert's buffer. A dispatch plan does the same while it bins; this form drops in the
/// assignment itself, knows every order of the field, and groups of rows.

namespace fanfold::inline FANFOLD_ABI::route {

// The orders in which choices of an expert come: a choice is kept while fewer than C came before it.

/// Row by row, slots in turn (dropless sorts, Megatron). Earlier rows never lose to later ones.
struct token_major_order {
  static constexpr bool causal = true;
  static constexpr bool renumbers = false;
};
/// All first choices in row order, then all second ones (GShard, Tutel, Flaxformer): a second choice may lose to later rows' first ones.
struct choice_major_order {
  static constexpr bool causal = false;
  static constexpr bool renumbers = false;
};
/// Choice by choice, rows by descending priority, ties by lower row (V-MoE's batch-prioritised routing); none given: the weights of slot 0.
struct batch_prioritised_order {
  view<float const> priority{};
  static constexpr bool causal = false;
  static constexpr bool renumbers = false;
};
/// By descending weight, ties by row, then slot. Slots of the survivors go row by row.
struct by_score_order {
  static constexpr bool causal = false;
  static constexpr bool renumbers = true;
};
/// Choice by choice, rows by ascending (random word, row) (DeepSpeed's random token selection). Slots of the survivors go row by row.
struct random_order {
  row_noise noise{};
  static constexpr bool causal = true;
  static constexpr bool renumbers = true;
};

/// Where choices went: `slot(t, j)`, -1 for none; for each group of rows and expert the choices before drops, those kept. Views left empty
/// are not wanted.
struct placement {
  matrix_view<std::int32_t> slot{};
  matrix_view<std::int64_t> count{};  ///< groups x E
  matrix_view<std::int64_t> kept{};   ///< groups x E
};

/// Priorities for a dispatch plan's priority order that visit rows in random order.
inline void random_priorities(row_noise const& noise, view<double> priority) {
  random_stream const s = noise.order_stream();
  for (std::int64_t t = 0; t < priority.size(); ++t) priority[t] = -static_cast<double>(s.word(static_cast<std::uint64_t>(noise.row0 + t)));
}

namespace detail {

/// The choices (row, slot) of a group in the order, as row * slots + slot.
template <class Order, class W, class Id>
std::vector<std::int64_t> ordered_choices(Order const& order, assignment<W, Id> const& a, std::int64_t first, std::int64_t rows) {
  std::int64_t const slots = a.slots();
  std::vector<std::int64_t> choice, spare, row(static_cast<std::size_t>(rows));
  for (std::int64_t i = 0; i < rows; ++i) row[static_cast<std::size_t>(i)] = first + i;
  auto const weight = [&](std::int64_t i) { return static_cast<double>(to_arithmetic(a.weight(i / slots, i % slots))); };
  if constexpr (std::is_same_v<Order, token_major_order> || std::is_same_v<Order, by_score_order>) {
    for (std::int64_t i = first * slots; i < (first + rows) * slots; ++i) choice.push_back(i);
    spare.resize(choice.size());
    if constexpr (std::is_same_v<Order, by_score_order>)
      merge_sort(choice.data(), spare.data(), rows * slots, [&](std::int64_t x, std::int64_t y) { return weight(x) > weight(y) || (weight(x) == weight(y) && x < y); });
    return choice;
  } else {
    spare.resize(row.size());
    if constexpr (std::is_same_v<Order, batch_prioritised_order>) {
      auto const key = [&](std::int64_t t) { return order.priority.data() == nullptr ? weight(t * slots) : static_cast<double>(order.priority[t]); };
      merge_sort(row.data(), spare.data(), rows, [&](std::int64_t x, std::int64_t y) { return key(x) > key(y) || (key(x) == key(y) && x < y); });
    } else if constexpr (std::is_same_v<Order, random_order>) {
      random_stream const s = order.noise.order_stream();
      auto const key = [&](std::int64_t t) { return s.word(static_cast<std::uint64_t>(order.noise.row0 + t)); };
      merge_sort(row.data(), spare.data(), rows, [&](std::int64_t x, std::int64_t y) { return key(x) < key(y) || (key(x) == key(y) && x < y); });
    }
    for (std::int64_t j = 0; j < slots; ++j)
      for (std::int64_t t : row) choice.push_back(t * slots + j);
    return choice;
  }
}

}  // namespace detail

/// What `run_loop` runs for `place`. `dropped` may hold one entry.
template <class Order>
struct place_loop {
  Order order{};
  std::int64_t group_size = 0;
  view<std::int64_t> dropped{};

  std::int64_t step(std::int64_t rows) const { return group_size == 0 || group_size > rows ? (rows == 0 ? 1 : rows) : group_size; }
  std::int64_t groups(std::int64_t rows) const { return (rows + step(rows) - 1) / step(rows); }
};

/// Host form of `place`: a task a group.
template <host_executor E, class Order, class W, class Id>
std::int64_t run_loop(E const& ex, place_loop<Order> const& loop, assignment<W, Id> a, view<std::int64_t const> capacity, placement const& out, workspace&) {
  std::int64_t const rows = a.rows(), slots = a.slots(), n = capacity.size(), step = loop.step(rows), groups = loop.groups(rows);
  std::int64_t const bad = validate_assignment(a, n);
  check_argument(bad < 0, "route::place", "row with an id out of range", bad, "absent");
  std::vector<std::int64_t> dropped(static_cast<std::size_t>(groups));
  for_each_task(ex, groups, [&](std::int64_t g) {
    std::int64_t const first = g * step, count = first + step < rows ? step : rows - first;
    std::vector<std::int64_t> seen(static_cast<std::size_t>(n)), next(seen.size());
    for (std::int64_t i : detail::ordered_choices(loop.order, a, first, count)) {
      std::int64_t const t = i / slots, j = i % slots;
      auto const e = static_cast<std::int64_t>(a.id(t, j));
      if (out.slot.data() != nullptr) out.slot(t, j) = -1;
      if (e < 0) continue;
      std::int64_t const location = seen[static_cast<std::size_t>(e)]++;
      if (capacity[e] < 0 || location < capacity[e]) {
        ++next[static_cast<std::size_t>(e)];
        if (out.slot.data() != nullptr) out.slot(t, j) = static_cast<std::int32_t>(location);
        continue;
      }
      a.id(t, j) = Id(-1);
      a.weight(t, j) = from_arithmetic<W>(0);
      ++dropped[static_cast<std::size_t>(g)];
    }
    for (std::int64_t e = 0; e < n; ++e) {
      if (out.count.data() != nullptr) out.count(g, e) = seen[static_cast<std::size_t>(e)];
      if (out.kept.data() != nullptr) out.kept(g, e) = next[static_cast<std::size_t>(e)];
      next[static_cast<std::size_t>(e)] = 0;
    }
    if constexpr (Order::renumbers)
      for (std::int64_t t = first; t < first + count && out.slot.data() != nullptr; ++t)
        for (std::int64_t j = 0; j < slots; ++j)
          if (a.id(t, j) >= 0) out.slot(t, j) = static_cast<std::int32_t>(next[static_cast<std::size_t>(a.id(t, j))]++);
  });
  std::int64_t sum = 0;
  for (std::int64_t d : dropped) sum += d;
  if (!loop.dropped.empty()) loop.dropped[0] = sum;
  return sum;
}

/// Applies capacities (one an expert) to an assignment, group by group of `group_size` rows (0: all): choices past them get id -1 and weight
/// 0, the others stay as they are, and `out` says where they go. Negative capacities mean no limit (null and copy experts, say). Host
/// executors return the number of dropped choices, for routing_stats; `dropped`, one entry or none, takes it on any executor. The same on all.
template <executor E, class Order, class W, class Id>
auto place(E const& ex, Order const& order, assignment<W, Id> a, view<std::int64_t const> capacity, placement const& out = {}, std::int64_t group_size = 0,
           view<std::int64_t> dropped = {}) {
  static constexpr char function[] = "route::place";
  std::int64_t const rows = a.rows(), slots = a.slots(), n = capacity.size();
  place_loop<Order> const loop{order, group_size, dropped};
  check_argument(group_size >= 0, function, "group_size", group_size, "0 or more");
  check_argument(out.slot.data() == nullptr || (out.slot.rows() == rows && out.slot.cols() == slots), function, "shape of the slots", out.slot.cols(), "that of the ids");
  for (auto const& m : {out.count, out.kept})
    check_argument(m.data() == nullptr || (m.rows() == loop.groups(rows) && m.cols() == n), function, "shape of the counts", m.rows(), "groups x experts");
  if constexpr (std::is_same_v<Order, batch_prioritised_order>)
    check_argument(order.priority.data() == nullptr || order.priority.size() == rows, function, "size of the priorities", order.priority.size(), "the number of rows");
  check_argument(dropped.size() <= 1, function, "size of dropped", dropped.size(), "0 or 1");
  fanfold::detail::call_workspace ws(ex);
  static_assert(fanfold::detail::has_backend<E, place_loop<Order>, assignment<W, Id>, view<std::int64_t const>, placement const&, workspace&>,
                "no backend of place for this executor: include <fanfold/kernel/placement.hpp> for device executors");
  return run_loop(ex, loop, a, capacity, out, ws.get());
}

/// DeepSeek-V2's device budget (2405.04434): on each device the choices of least weight are dropped, later (row, slot) first among equals,
/// until it holds at most `budget`. Rows with protect[t] != 0 keep theirs, even over budget. Returns the number of dropped choices.
template <class W, class Id>
std::int64_t drop_over_budget(assignment<W, Id> a, view<std::int32_t const> device, view<std::int64_t const> budget, view<std::uint8_t const> protect = {}) {
  static constexpr char function[] = "route::drop_over_budget";
  std::int64_t const bad = validate_assignment(a, device.size());
  check_argument(bad < 0, function, "row with an id out of range", bad, "absent");
  check_argument(protect.data() == nullptr || protect.size() == a.rows(), function, "size of protect", protect.size(), "the number of rows");
  for (std::int32_t d : device) check_argument(d >= 0 && d < budget.size(), function, "a device", d, "one that has a budget");
  std::vector<std::int64_t> left(static_cast<std::size_t>(budget.size()));
  auto const each = [&](auto const& f) {
    for (std::int64_t t = 0; t < a.rows(); ++t)
      for (std::int64_t j = 0; j < a.slots(); ++j)
        if (a.id(t, j) >= 0) f(t, j, static_cast<std::size_t>(device[a.id(t, j)]));
  };
  for (std::size_t d = 0; d < left.size(); ++d) left[d] = budget[d];
  each([&](std::int64_t t, std::int64_t, std::size_t d) { left[d] -= protect.data() != nullptr && protect[t] != 0 ? 1 : 0; });
  std::int64_t dropped = 0;
  for (std::int64_t i : detail::ordered_choices(by_score_order{}, a, 0, a.rows())) {
    std::int64_t const t = i / a.slots(), j = i % a.slots();
    if (a.id(t, j) < 0 || (protect.data() != nullptr && protect[t] != 0)) continue;
    if (left[static_cast<std::size_t>(device[a.id(t, j)])]-- > 0) continue;
    a.id(t, j) = Id(-1);
    a.weight(t, j) = from_arithmetic<W>(0);
    ++dropped;
  }
  return dropped;
}

/// Divides the weights of each row that lost choices by their sum; rows whose sum is 0 stay.
template <class W, class Id>
void renormalise_survivors(assignment<W, Id> a) {
  for (std::int64_t t = 0; t < a.rows(); ++t) {
    arithmetic_t<W> sum = 0;
    for (std::int64_t j = 0; j < a.slots(); ++j) sum += to_arithmetic(a.weight(t, j));
    for (std::int64_t j = 0; j < a.slots() && sum != 0; ++j) a.weight(t, j) = from_arithmetic<W>(to_arithmetic(a.weight(t, j)) / sum);
  }
}

/// MoE++'s capacities (2410.07348): C = tau gamma N / (tau N_ffn + N_zero) for FFN experts, gamma N / (...) for zero-computation ones, rounded
/// up; N = rows x slots. Factors are read in units of 10^-4, so that arithmetic is exact.
struct heterogeneous_capacity {
  double tau = 0.75;
  double gamma = 1.1;

  struct pair {
    std::int64_t ffn, zero;
  };
  pair of(std::int64_t choices, std::int64_t ffn_experts, std::int64_t zero_experts) const {
    static constexpr char function[] = "route::heterogeneous_capacity";
    check_argument(tau > 0 && tau < 1e4, function, "tau", tau, "positive and finite");
    check_argument(gamma > 0 && gamma < 1e4, function, "gamma", gamma, "positive and finite");
    check_argument(choices >= 0, function, "choices", choices, "0 or more");
    check_argument(ffn_experts >= 0 && zero_experts >= 0 && ffn_experts + zero_experts >= 1, function, "experts", ffn_experts + zero_experts, "1 or more");
    auto const t = static_cast<std::int64_t>(tau * 10000.0 + 0.5), g = static_cast<std::int64_t>(gamma * 10000.0 + 0.5);
    std::int64_t const below = t * ffn_experts + 10000 * zero_experts;
    auto const up = [](std::int64_t a, std::int64_t b) { return a / b + (a % b != 0); };
    return {up(t * g * choices, below * 10000), up(g * choices, below)};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
