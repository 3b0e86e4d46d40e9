#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/items.hpp"
#include "fanfold/kernel/ranked_order.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/kernel/warp.hpp"
#include "fanfold/route/placement.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Choices (row, slot), numbered row by row, and the bins (group, expert) that they fall into.
template <class Id>
struct binned_choices {
  matrix_view<Id const> id;
  std::int64_t step, experts;

  FANFOLD_HD std::int64_t expert(std::int64_t choice) const {
    return static_cast<std::int64_t>(id.data()[choice / id.cols() * id.stride() + choice % id.cols()]);
  }
  /// -1 for an empty slot; -2 for an id out of range, which `bin` reports.
  FANFOLD_HD std::int32_t bin(std::int64_t choice) const {
    std::int64_t const e = expert(choice);
    if (e < 0 || e >= experts) return e == -1 ? -1 : -2;
    return static_cast<std::int32_t>(choice / id.cols() / step * experts + e);
  }
};

/// Choices of a list one after the other; no list: all in turn.
template <class Bins>
struct listed_choices {
  struct run_type {
    Bins bins;
    std::int32_t const* list;
    FANFOLD_HD std::int64_t item(std::int64_t i) const { return list == nullptr ? i : list[i]; }
    FANFOLD_HD std::int32_t key(std::int64_t i) const { return bins.bin(item(i)); }
  };
  Bins bins;
  std::int32_t const* list;
  std::int64_t count;

  FANFOLD_HD std::int64_t runs() const { return 1; }
  FANFOLD_HD std::int64_t run_length() const { return count; }
  FANFOLD_HD run_type run(std::int64_t) const { return {bins, list}; }
};

/// Slot by slot, rows in the order of a list; no list: in turn.
template <class Bins>
struct slot_major_choices {
  struct run_type {
    Bins bins;
    std::int32_t const* list;
    std::int64_t slots, slot;
    FANFOLD_HD std::int64_t item(std::int64_t i) const { return (list == nullptr ? i : list[i]) * slots + slot; }
    FANFOLD_HD std::int32_t key(std::int64_t i) const { return bins.bin(item(i)); }
  };
  Bins bins;
  std::int32_t const* list;
  std::int64_t rows, slots;

  FANFOLD_HD std::int64_t runs() const { return slots; }
  FANFOLD_HD std::int64_t run_length() const { return rows; }
  FANFOLD_HD run_type run(std::int64_t j) const { return {bins, list, slots, j}; }
};

/// At most capacity[e] choices in each bin of expert e; no limit where it is negative.
struct capacity_limits {
  view<std::int64_t const> capacity;
  FANFOLD_HD std::int64_t rows(std::int64_t kept) const { return kept; }
  FANFOLD_HD std::int64_t limit(std::int64_t bin) const {
    std::int64_t const c = capacity.data()[bin % capacity.size()];
    return c < 0 || c > most_rows ? most_rows : c;
  }
};

template <class W>
struct weight_of_choice {
  matrix_view<W const> weight;
  FANFOLD_HD arithmetic_t<W> operator()(std::int64_t i) const {
    return to_arithmetic(weight.data()[i / weight.cols() * weight.stride() + i % weight.cols()]);
  }
};
template <class W>
struct first_weight_of_row {
  matrix_view<W const> weight;
  FANFOLD_HD arithmetic_t<W> operator()(std::int64_t t) const { return to_arithmetic(weight.data()[t * weight.stride()]); }
};
struct priority_of_row {
  float const* priority;
  FANFOLD_HD float operator()(std::int64_t t) const { return priority[t]; }
};
struct random_word_of_row {
  row_noise noise;
  FANFOLD_HD std::uint32_t operator()(std::int64_t t) const { return noise.order_stream().word(static_cast<std::uint64_t>(noise.row0 + t)); }
};

/// Takes out the choices that got no row, and says where the others go: their number in the bin.
struct apply_places_body {
  std::uint32_t* status;

  template <block B, class Bins, class W, class Id>
  FANFOLD_HD void operator()(B& b, Bins bins, assignment<W, Id> a, bin_view placed, matrix_view<std::int32_t> slot) const {
    std::int64_t const slots = a.slots();
    for (std::int64_t i = grid_thread(b); i < a.rows() * slots; i += grid_threads(b)) {
      std::int64_t const t = i / slots, j = i % slots;
      std::int32_t const bin = bins.bin(i), row = placed.row_of.data()[i];
      W& weight = a.weight.data()[t * a.weight.stride() + j];
      if (bin == -1 && to_arithmetic(weight) != 0) raise(b, status, data_fault::other);
      if (slot.data() != nullptr) slot.data()[t * slot.stride() + j] = bin < 0 || row < 0 ? -1 : row - static_cast<std::int32_t>(placed.offsets.data()[bin]);
      if (bin >= 0 && row >= 0) continue;
      a.id.data()[t * a.id.stride() + j] = Id(-1);
      weight = from_arithmetic<W>(0);
    }
  }
};

/// slot := the number in its bin of each choice that is left.
struct renumber_body {
  template <block B, class Bins>
  FANFOLD_HD void operator()(B& b, Bins bins, bin_view placed, matrix_view<std::int32_t> slot) const {
    for (std::int64_t i = grid_thread(b); i < slot.rows() * slot.cols(); i += grid_threads(b)) {
      std::int32_t const bin = bins.bin(i);
      slot.data()[i / slot.cols() * slot.stride() + i % slot.cols()] =
          bin < 0 ? -1 : placed.row_of.data()[i] - static_cast<std::int32_t>(placed.offsets.data()[bin]);
    }
  }
};

/// One block: counts of the bins as matrices, and how many choices were dropped.
struct place_counts_body {
  struct shared {
    checked_array<std::int64_t, 32> sums;
  };

  template <block B>
  FANFOLD_HD void operator()(B& b, shared& s, bin_view placed, placement out, view<std::int64_t> dropped, std::int64_t experts) const {
    std::int64_t mine = 0, total = 0;
    for (std::int64_t i = b.thread(); i < placed.counts.size(); i += b.threads()) {
      std::int64_t const count = placed.counts.data()[i], kept = placed.kept.data()[i], g = i / experts, e = i % experts;
      if (out.count.data() != nullptr) out.count.data()[g * out.count.stride() + e] = count;
      if (out.kept.data() != nullptr) out.kept.data()[g * out.kept.stride() + e] = kept;
      mine += count - kept;
    }
    block_exclusive_sum(b, s.sums, mine, total);
    if (b.thread() == 0 && !dropped.empty()) dropped.data()[0] = total;
  }
};

inline bin_view take_bins(workspace::frame& frame, std::int64_t bins, std::int64_t choices) {
  return {frame.take<std::int64_t>(bins + 1), frame.take<std::int32_t>(bins), frame.take<std::int32_t>(bins), frame.take<std::int32_t>(choices),
          frame.take<std::int32_t>(choices)};
}

/// f(key order) for the choices of `bins` in the order, with the sorted list that it needs alive.
template <device_executor E, class Order, class Bins, class W, class Id, class F>
void in_place_order(E const& ex, Order const& order, Bins const& bins, assignment<W, Id> a, workspace& ws, F const& f) {
  std::int64_t const rows = a.rows(), slots = a.slots();
  auto const weight = as_const(a.weight);
  workspace::frame frame(ws);
  if constexpr (std::is_same_v<Order, token_major_order>) {
    f(listed_choices<Bins>{bins, nullptr, rows * slots});
  } else if constexpr (std::is_same_v<Order, choice_major_order>) {
    f(slot_major_choices<Bins>{bins, nullptr, rows, slots});
  } else if constexpr (std::is_same_v<Order, by_score_order>) {
    auto const list = frame.take<std::int32_t>(rows * slots);
    fanfold::detail::order_by_words<fanfold::detail::rank_of<arithmetic_t<W>>>(ex, fanfold::detail::descending_word<weight_of_choice<W>>{{weight}}, list, ws);
    f(listed_choices<Bins>{bins, list.data(), rows * slots});
  } else {
    auto const list = frame.take<std::int32_t>(rows);
    if constexpr (std::is_same_v<Order, random_order>)
      fanfold::detail::order_by_words<std::uint32_t>(ex, random_word_of_row{order.noise}, list, ws);
    else if (order.priority.data() != nullptr)
      fanfold::detail::order_by_words<std::uint32_t>(ex, fanfold::detail::descending_word<priority_of_row>{{order.priority.data()}}, list, ws);
    else
      fanfold::detail::order_by_words<fanfold::detail::rank_of<arithmetic_t<W>>>(ex, fanfold::detail::descending_word<first_weight_of_row<W>>{{weight}}, list, ws);
    f(slot_major_choices<Bins>{bins, list.data(), rows, slots});
  }
}

}  // namespace detail

/// Device form of `place`: the choices or rows sorted where the order asks for it, `bin` with the capacities as limits, and for the orders that
/// renumber `bin` again. Ids out of range are reported and taken out.
template <device_executor E, class Order, class W, class Id>
void run_loop(E const& ex, place_loop<Order> const& loop, assignment<W, Id> a, view<std::int64_t const> capacity, placement const& out, workspace& ws) {
  std::int64_t const rows = a.rows(), slots = a.slots(), n = capacity.size(), bins = loop.groups(rows) * n, choices = rows * slots;
  bool const fits = (slots == 0 || rows <= 0x7fffffff / slots) && bins <= 0x7fffffff;
  check_argument(fits, "route::place", "rows times slots", choices, "below 2^31 on a device");
  using bins_type = detail::binned_choices<Id>;
  bins_type const of{as_const(a.id), loop.step(rows), n};
  workspace::frame frame(ws);
  bin_view const placed = detail::take_bins(frame, bins, choices);
  using limits = detail::capacity_limits;
  detail::in_place_order(ex, loop.order, of, a, ws, [&](auto const& order) {
    run_loop(ex, bin_loop<limits, std::remove_cvref_t<decltype(order)>>{limits{capacity}, order}, placed, ws);
  });
  using counts_body = detail::place_counts_body;
  ex.launch(counts_body{}, 1, threads_for<counts_body>(ex), placed, out, loop.dropped, n);
  launch_threads(ex, detail::apply_places_body{ex.status()}, choices, of, a, placed, Order::renumbers ? matrix_view<std::int32_t>{} : out.slot);
  if (!Order::renumbers || out.slot.data() == nullptr) return;
  using list = detail::listed_choices<bins_type>;
  run_loop(ex, bin_loop<dense_rows, list>{{}, list{of, nullptr, choices}}, placed, ws);
  launch_threads(ex, detail::renumber_body{}, choices, of, placed, out.slot);
}

namespace detail {

/// Choices by device; those of protected rows in none.
template <class Id>
struct device_bins {
  binned_choices<Id> choices;
  view<std::int32_t const> device;
  view<std::uint8_t const> protect;
  std::int64_t devices;

  FANFOLD_HD bool is_protected(std::int64_t choice) const { return protect.data() != nullptr && protect.data()[choice / choices.id.cols()] != 0; }
  /// -2 for an id or a device out of range.
  FANFOLD_HD std::int32_t device_of(std::int64_t choice) const {
    std::int32_t const e = choices.bin(choice);
    if (e < 0) return e;
    std::int32_t const d = device.data()[e];
    return d >= 0 && d < devices ? d : -2;
  }
  FANFOLD_HD std::int32_t bin(std::int64_t choice) const {
    std::int32_t const d = device_of(choice);
    return d >= 0 && is_protected(choice) ? -1 : d;
  }
};

/// left[d] -= the protected choices on device d.
struct count_protected_body {
  template <block B, class Id>
  FANFOLD_HD void operator()(B& b, device_bins<Id> of, std::int64_t choices, view<std::int32_t> held) const {
    for (std::int64_t i = grid_thread(b); i < choices; i += grid_threads(b))
      if (of.device_of(i) >= 0 && of.is_protected(i)) b.atomic_add(reinterpret_cast<std::uint32_t*>(held.data() + of.device_of(i)), 1u);
  }
};

struct budget_limits {
  view<std::int64_t const> budget;
  view<std::int32_t const> held;
  FANFOLD_HD std::int64_t rows(std::int64_t kept) const { return kept; }
  FANFOLD_HD std::int64_t limit(std::int64_t d) const {
    std::int64_t const left = budget.data()[d] - held.data()[d];
    return left < 0 ? 0 : left > most_rows ? most_rows : left;
  }
};

struct drop_unplaced_body {
  template <block B, class W, class Id>
  FANFOLD_HD void operator()(B& b, device_bins<Id> of, assignment<W, Id> a, view<std::int32_t const> row_of) const {
    std::int64_t const slots = a.slots();
    for (std::int64_t i = grid_thread(b); i < a.rows() * slots; i += grid_threads(b)) {
      std::int32_t const bin = of.bin(i);
      if (bin == -1 || (bin >= 0 && row_of.data()[i] >= 0)) continue;
      a.id.data()[i / slots * a.id.stride() + i % slots] = Id(-1);
      a.weight.data()[i / slots * a.weight.stride() + i % slots] = from_arithmetic<W>(0);
    }
  }
};

struct renormalise_body {
  template <block B, class W>
  FANFOLD_HD void operator()(B& b, matrix_view<W> weight) const {
    for (std::int64_t t = grid_thread(b); t < weight.rows(); t += grid_threads(b)) {
      W* const w = weight.data() + t * weight.stride();
      arithmetic_t<W> sum = 0;
      for (std::int64_t j = 0; j < weight.cols(); ++j) sum += to_arithmetic(w[j]);
      for (std::int64_t j = 0; j < weight.cols() && sum != 0; ++j) w[j] = from_arithmetic<W>(to_arithmetic(w[j]) / sum);
    }
  }
};

}  // namespace detail

/// drop_over_budget on a device; `dropped`, one entry or none, takes the number of dropped choices. All views are in its memory.
template <device_executor E, class W, class Id>
void drop_over_budget(E const& ex, assignment<W, Id> a, view<std::int32_t const> device, view<std::int64_t const> budget,
                      view<std::uint8_t const> protect = {}, view<std::int64_t> dropped = {}) {
  std::int64_t const devices = budget.size(), choices = a.rows() * a.slots();
  check_argument(protect.data() == nullptr || protect.size() == a.rows(), "route::drop_over_budget", "size of protect", protect.size(), "the number of rows");
  check_argument(choices <= 0x7fffffff, "route::drop_over_budget", "rows times slots", choices, "below 2^31 on a device");
  workspace& ws = ex.scratch();
  workspace::frame frame(ws);
  using bins_type = detail::device_bins<Id>;
  bins_type const of{{as_const(a.id), a.rows() + 1, device.size()}, device, protect, devices};
  bin_view const placed = detail::take_bins(frame, devices, choices);
  auto const held = frame.take<std::int32_t>(devices);
  fill(ex, held, 0);
  if (protect.data() != nullptr) launch_threads(ex, detail::count_protected_body{}, choices, of, choices, held);
  using limits = detail::budget_limits;
  detail::in_place_order(ex, by_score_order{}, of, a, ws, [&](auto const& order) {
    run_loop(ex, bin_loop<limits, std::remove_cvref_t<decltype(order)>>{limits{budget, as_const(held)}, order}, placed, ws);
  });
  using counts_body = detail::place_counts_body;
  ex.launch(counts_body{}, 1, threads_for<counts_body>(ex), placed, placement{}, dropped, devices);
  launch_threads(ex, detail::drop_unplaced_body{}, choices, of, a, as_const(placed.row_of));
}

/// renormalise_survivors on a device.
template <device_executor E, class W, class Id>
void renormalise_survivors(E const& ex, assignment<W, Id> a) {
  launch_threads(ex, detail::renormalise_body{}, a.rows(), a.weight);
}

}  // namespace fanfold::inline FANFOLD_ABI::route
