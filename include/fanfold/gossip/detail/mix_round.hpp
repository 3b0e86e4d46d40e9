#pragma once

#include <concepts>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/staged.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/measure.hpp"
#include "fanfold/gossip/segment.hpp"
#include "fanfold/gossip/variance_correction.hpp"

/// \file
/// One round from who averages what: up to three calls of map_fold, one of measure, and the loop that turns variances into affine steps.

namespace fanfold::inline FANFOLD_ABI::gossip {

/// Who averages what: list i holds the rows with weight not 0 that node i combines, ascending; `self` is the place of its own row, or -1.
template <class A>
struct round_lists {
  view<std::int64_t const> offsets{};
  view<std::int32_t const> rows{};
  view<double const> weight{};
  view<A const> rounded{};
  view<std::int64_t const> self{};
};

/// The loop that turns measured variances into affine steps, one item a node and segment.
template <class A, class Target>
struct correction_loop {
  variance_corrected<Target> policy;
  round_lists<A> lists;
  view<segment const> segments;
  view<std::int64_t const> slot;  // of a segment among the corrected ones, or -1
  std::int64_t corrected = 0;
  std::int64_t nodes = 0;
  tensor_moments const* models = nullptr;  // of row r, slot c at models[r * row_step + c * slot_step]
  std::int64_t row_step = 0, slot_step = 0;
  std::int32_t const* own = nullptr;               // row of each node's own model
  tensor_moments const* averages = nullptr;        // of node i, slot c at averages[i * average_step + c * average_slot]
  std::int64_t average_step = 0, average_slot = 0;
  affine_step<A>* step = nullptr;                  // of node i, slot c at step[i * corrected + c]
  correction_record* record = nullptr;             // of node i, segment s, if wanted

  FANFOLD_HD void operator()(std::int64_t item) const {
    std::int64_t const node = item / segments.size(), s = item % segments.size(), c = slot[s];
    correction_record r{};
    if (c >= 0) {
      std::int64_t const first = lists.offsets[node];
      contributions from{lists.offsets[node + 1] - first, lists.self[node], {}, lists.weight.data() + first, lists.rows.data() + first, nullptr, row_step};
      if constexpr (Target::reads_models) {
        from.moments = models + c * slot_step;
        from.own = from.moments[own[node] * row_step];
      }
      r = detail::correction_of(policy, averages[node * average_step + c * average_slot], from, segments[s], s);
      step[node * corrected + c] = detail::step_of<A>(r);
    }
    if (record != nullptr) record[item] = r;
  }
};

template <host_executor E, class A, class Target>
void run_loop(E const& ex, correction_loop<A, Target> const& loop) {
  workspace none;
  fanfold::detail::for_each_small_task(ex, loop.nodes, 0, none, [&](std::int64_t node, void*) {
    for (std::int64_t s = 0; s < loop.segments.size(); ++s) loop(node * loop.segments.size() + s);
  });
}

namespace detail {

inline view<double> flat(tensor_moments* m, std::int64_t count) { return {reinterpret_cast<double*>(m), 2 * count}; }

/// Segments sorted by what happens to them; elements in no segment are mixed.
struct round_ranges {
  view<element_range> corrected, mixed, kept;
};
inline round_ranges sort_ranges(view<segment const> segments, std::int64_t elements, bool correct, view<element_range> storage, view<std::int64_t> slot) {
  std::int64_t const s = segments.size();
  round_ranges r{storage.subview(0, 0), storage.subview(s, 0), storage.subview(3 * s + 1, 0)};
  auto const add = [](view<element_range>& list, std::int64_t offset, std::int64_t count) {
    list = {list.data(), list.size() + 1};
    list[list.size() - 1] = {offset, count};
  };
  std::int64_t end = 0;
  for (std::int64_t i = 0; i < s; ++i) {
    segment const& g = segments[i];
    if (g.offset > end) add(r.mixed, end, g.offset - end);
    end = g.offset + g.count;
    bool const corrected = correct && (g.flags & seg_mix) && (g.flags & seg_correct);
    slot[i] = corrected ? r.corrected.size() : -1;
    add(corrected ? r.corrected : g.flags & seg_mix ? r.mixed : r.kept, g.offset, g.count);
  }
  if (end < elements) add(r.mixed, end, elements - end);
  return r;
}

template <class P>
inline constexpr bool corrects = !std::same_as<P, no_correction>;

template <executor E, class P, class T>
void mix_round(E const& ex, P const& policy, round_lists<arithmetic_t<T>> const& lists, rows_view<T const> models, view<std::int32_t const> own,
               view<segment const> segments, rows_view<T> next, view<correction_record> record, workspace& ws) {
  using A = arithmetic_t<T>;
  using fanfold::detail::bound_policy_t;
  std::int64_t const nodes = next.rows(), d = next.cols(), s = segments.size();
  workspace::frame frame(ws);
  auto const storage = [&] {
    if constexpr (host_executor<E>)
      return frame.template take<element_range>(4 * s + 1);
    else
      return std::vector<element_range>(static_cast<std::size_t>(4 * s + 1));
  }();
  staged<std::int64_t> slot(ex, frame, s), single(ex, frame, nodes + 1);
  round_ranges const ranges = sort_ranges(segments, d, corrects<P>, view<element_range>(const_cast<element_range*>(storage.data()), 4 * s + 1), slot.host());
  row_lists<T const> const sources{models, lists.offsets, lists.rows};
  weighted_sum<A> const average{lists.rounded};

  if (!ranges.mixed.empty()) map_fold(ex, average, sources, next, ranges.mixed, ws);
  for (std::int64_t i = 0; i <= nodes; ++i) single.host()[i] = i;
  auto const one_each = single.publish(ex);
  if (!ranges.kept.empty()) map_fold(ex, copied<A>{}, row_lists<T const>{models, one_each, own}, next, ranges.kept, ws);
  std::int64_t const c = ranges.corrected.size();

  if constexpr (corrects<P>) {
    constexpr bool reads = decltype(policy.target)::reads_models;
    staged<segment> table(ex, frame, s);
    for (std::int64_t i = 0; i < s; ++i) table.host()[i] = segments[i];
    auto const steps = frame.template take<affine_step<A>>(nodes * c);
    correction_loop<A, std::remove_cvref_t<decltype(policy.target)>> loop{policy, lists, table.publish(ex), slot.publish(ex), c, nodes};
    loop.own = own.data();
    loop.step = steps.data();
    loop.record = record.data();

    // A single node whose rows are exactly what it combines: all moments in the pass that averages.
    bool const fused = reads && nodes == 1 && models.rows() == lists.rows.size();
    std::int64_t const measured_rows = fused ? models.rows() + 1 : 1;
    auto const averages = frame.template take<tensor_moments>(nodes * c * measured_rows);
    matrix_view<double> const average_table(flat(averages.data(), 0).data(), nodes * c, 2 * measured_rows);
    if (fused) {
      loop.models = averages.data();
      loop.row_step = 1;
      loop.slot_step = measured_rows;
      loop.averages = averages.data() + models.rows();
      loop.average_slot = measured_rows;
      map_fold(ex, average, models, next, ranges.corrected, measured<shifted_moments>{.out = average_table}, ws);
    } else {
      auto const model_moments = frame.template take<tensor_moments>(reads ? models.rows() * c : 0);
      if (reads) measure(ex, shifted_moments{}, models, ranges.corrected, matrix_view<double>(flat(model_moments.data(), 0).data(), models.rows() * c, 2), ws);
      loop.models = model_moments.data();
      loop.row_step = c;
      loop.slot_step = 1;
      loop.averages = averages.data();
      loop.average_step = c;
      loop.average_slot = 1;
      map_fold(ex, average, sources, next, ranges.corrected, measured<shifted_moments>{.inputs = false, .out = average_table}, ws);
    }
    run_loop(ex, loop);
    if (c == 0) return;
    if constexpr (std::is_same_v<T, A>) {
      staged<std::int32_t> row(ex, frame, nodes);
      for (std::int64_t i = 0; i < nodes; ++i) row.host()[i] = static_cast<std::int32_t>(i);
      map_fold(ex, rescaled<A>{steps, c}, row_lists<T const>{next, one_each, row.publish(ex)}, next, ranges.corrected, ws);
    } else {  // the unrounded average is made once more
      map_fold(ex, rescaled_sum<A>{lists.rounded, steps, c}, sources, next, ranges.corrected, ws);
    }
  } else if (!record.empty()) {
    if constexpr (host_executor<E>)
      for (correction_record& r : record) r = {};
    else
      fill(ex, record, correction_record{});
  }
}

/// The lists of a round in staged memory.
template <class A>
struct staged_lists {
  template <executor E>
  staged_lists(E const& ex, workspace::frame& frame, std::int64_t nodes, std::int64_t entries)
      : offsets(ex, frame, nodes + 1), self(ex, frame, nodes), own(ex, frame, nodes), rows(ex, frame, entries), weight(ex, frame, entries), rounded(ex, frame, entries) {}

  void begin() { offsets.host()[0] = 0; }
  void add(std::int32_t row, double w) {
    if (w == 0) return;  // no term, so dense and sparse matrices agree
    rows.host()[count] = row;
    weight.host()[count] = w;
    rounded.host()[count++] = static_cast<A>(w);
  }
  template <executor E>
  round_lists<A> publish(E const& ex) {
    return {offsets.publish(ex), view(rows.publish(ex).data(), count), view(weight.publish(ex).data(), count), view(rounded.publish(ex).data(), count),
            self.publish(ex)};
  }

  staged<std::int64_t> offsets, self;
  staged<std::int32_t> own, rows;
  staged<double> weight;
  staged<A> rounded;
  std::int64_t count = 0;
};

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::gossip
