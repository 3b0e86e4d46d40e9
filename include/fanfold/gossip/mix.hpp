#pragma once

#include <cmath>
#include <concepts>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/staged.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/measure.hpp"
#include "fanfold/gossip/mixing.hpp"
#include "fanfold/gossip/segment.hpp"
#include "fanfold/gossip/variance_correction.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// One node's view of a round: its own model and what it received, in ascending order of the senders' ids; `self_rank` of them come before its own id.
template <class T>
struct inbox {
  view<T const> self{};
  double self_weight = 1;
  std::int64_t self_rank = 0;
  rows_view<T const> received{};
  view<double const> weight{};
};

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
  }
}

template <class T>
void check_round(view<segment const> segments, rows_view<T const> models, rows_view<T> next, view<correction_record> record) {
  char const* const f = "gossip::mix";
  check_argument(next.cols() == models.cols(), f, "length of the outputs", next.cols(), "the length of the models");
  fanfold::detail::check_segments(f, segments, models.cols());
  check_argument(record.empty() || record.size() == next.rows() * segments.size(), f, "number of records", record.size(), "nodes times segments");
  if (next.rows() * models.rows() > 4096) return;
  for (std::int64_t i = 0; i < next.rows(); ++i)
    for (std::int64_t j = 0; j < models.rows(); ++j)
      check_argument(!overlaps(next.row(i), models.row(j)), f, "output", i, "in memory of its own, apart from the models");
}

template <class W>
void check_matrix(mixing_matrix<W> const& m) {
  char const* const f = "gossip::mix";
  auto const n = static_cast<std::size_t>(m.n);
  check_argument(m.n >= 0 && m.row_ptr.size() == n + 1 && m.self.size() == n && m.col.size() == m.w.size() && m.row_ptr[0] == 0 &&
                     m.row_ptr[n] == static_cast<std::int64_t>(m.col.size()),
                 f, "shape of the mixing matrix", m.n, "consistent");
  for (std::size_t i = 0; i < n; ++i) {
    check_argument(m.row_ptr[i] <= m.row_ptr[i + 1] && m.row_ptr[i + 1] <= m.row_ptr[n], f, "a row of the mixing matrix", i, "ascending");
    check_argument(std::isfinite(m.self[i]), f, "a self weight", m.self[i], "finite");
    bool alone = true;
    for (auto e = static_cast<std::size_t>(m.row_ptr[i]); e < static_cast<std::size_t>(m.row_ptr[i + 1]); ++e) {
      bool const ordered = e == static_cast<std::size_t>(m.row_ptr[i]) || m.col[e] > m.col[e - 1];
      check_argument(ordered && m.col[e] >= 0 && m.col[e] < m.n && m.col[e] != static_cast<std::int32_t>(i), f, "a column of the mixing matrix", m.col[e],
                     "ascending, in [0, n) and not the row itself");
      check_argument(std::isfinite(m.w[e]), f, "a weight", m.w[e], "finite");
      alone = alone && m.w[e] == 0;
    }
    check_argument(!alone || m.self[i] == 1 || m.kind == stochasticity::column, f, "self weight of a node that hears nobody", m.self[i], "1");
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

template <class A, class W>
void fill_lists(staged_lists<A>& lists, mixing_matrix<W> const& m) {
  lists.begin();
  for (std::int32_t i = 0; i < m.n; ++i) {
    auto const at = static_cast<std::size_t>(i);
    auto const add_self = [&] {
      lists.self.host()[i] = m.self[at] == 0 ? -1 : lists.count - lists.offsets.host()[i];
      lists.add(i, static_cast<double>(m.self[at]));
    };
    bool own = false;
    for (auto e = static_cast<std::size_t>(m.row_ptr[at]); e < static_cast<std::size_t>(m.row_ptr[at + 1]); ++e) {
      if (!own && m.col[e] > i) add_self(), own = true;
      lists.add(m.col[e], static_cast<double>(m.w[e]));
    }
    if (!own) add_self();
    lists.own.host()[i] = i;
    lists.offsets.host()[i + 1] = lists.count;
  }
}

template <class T, class W, executor E, class P, class... Options>
void mix_stacked(E const& ex, P const& policy, mixing_matrix<W> const& m, rows_view<T const> models, view<segment const> segments, rows_view<T> next,
                 view<correction_record> record, Options&... options) {
  check_matrix(m);
  check_argument(models.rows() == m.n, "gossip::mix", "number of models", models.rows(), "the size of the mixing matrix");
  check_argument(next.rows() == m.n, "gossip::mix", "number of outputs", next.rows(), "the size of the mixing matrix");
  check_round(segments, models, next, record);
  check_policy<host_executor<E>>(policy, segments);
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  using A = arithmetic_t<T>;
  staged_lists<A> lists(ex, frame, m.n, static_cast<std::int64_t>(m.col.size()) + m.n);
  fill_lists(lists, m);
  mix_round(ex, policy, lists.publish(ex), models, lists.own.publish(ex), segments, next, record, ws.get());
}

template <class>
inline constexpr bool is_variance_corrected = false;
template <class Target>
inline constexpr bool is_variance_corrected<variance_corrected<Target>> = true;
template <class P>
concept mix_policy = std::same_as<P, no_correction> || is_variance_corrected<P>;

}  // namespace detail

/// One synchronous gossip round on stacked models: next_i = correction(sum_j W_ij x_j), segment by segment, from the old values.
///
/// `models` and `next` hold one row a node. The policy is `no_correction{}` or `variance_corrected{...}`. Elements in no segment are mixed without
/// correction. `record`, if given, takes one correction_record a node and segment.
/// \throws argument_error for shapes that do not fit, segments out of order, weights that are not finite, a node that hears nobody and has a self
/// weight other than 1 (unless W is column-stochastic), outputs that overlap models. A non-finite input makes its element non-finite (its whole segment with
/// correction) and nothing else.
/// \par Determinism Terms ascend by node id in the ordered tree; weights are rounded once to the arithmetic type; the bits do not depend on executor or threads.
template <executor E, detail::mix_policy P, class W, rows_viewable X, viewable Segments, rows_viewable Y, fanfold::detail::call_option... Options>
void mix(E const& ex, P const& policy, mixing_matrix<W> const& m, X const& models, Segments const& segments, Y const& next, Options&&... options) {
  detail::mix_stacked(ex, policy, m, as_const(as_rows_view(models)), view<segment const>(as_view(segments)), as_rows_view(next), view<correction_record>{}, options...);
}
template <executor E, detail::mix_policy P, class W, rows_viewable X, viewable Segments, rows_viewable Y, fanfold::detail::call_option... Options>
void mix(E const& ex, P const& policy, mixing_matrix<W> const& m, X const& models, Segments const& segments, Y const& next, view<correction_record> record,
         Options&&... options) {
  detail::mix_stacked(ex, policy, m, as_const(as_rows_view(models)), view<segment const>(as_view(segments)), as_rows_view(next), record, options...);
}
/// The whole model as one segment, averaged only.
template <executor E, class W, rows_viewable X, rows_viewable Y, fanfold::detail::call_option... Options>
void mix(E const& ex, mixing_matrix<W> const& m, X const& models, Y const& next, Options&&... options) {
  detail::mix_stacked(ex, no_correction{}, m, as_const(as_rows_view(models)), view<segment const>{}, as_rows_view(next), view<correction_record>{}, options...);
}

namespace detail {

template <class T, executor E, class P, class... Options>
void mix_local(E const& ex, P const& policy, inbox<T> const& in, view<segment const> segments, view<T> out, view<correction_record> record, Options&... options) {
  using A = arithmetic_t<T>;
  char const* const f = "gossip::mix";
  std::int64_t const m = in.received.rows(), d = in.self.size();
  check_argument(in.weight.size() == m, f, "number of weights", in.weight.size(), "the number of received models");
  check_argument(m == 0 || in.received.cols() == d, f, "length of the received models", in.received.cols(), "the length of the own one");
  check_argument(in.self_rank >= 0 && in.self_rank <= m, f, "self_rank", in.self_rank, "in [0, number of received models]");
  check_argument(std::isfinite(in.self_weight), f, "self_weight", in.self_weight, "finite");
  bool alone = true;
  for (double w : in.weight) {
    check_argument(std::isfinite(w), f, "a weight", w, "finite");
    alone = alone && w == 0;
  }
  check_argument(!alone || in.self_weight == 1, f, "self weight of a node that hears nobody", in.self_weight, "1");

  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  staged_lists<A> lists(ex, frame, 1, m + 1);
  std::vector<T const*> device_table(host_executor<E> ? 0 : static_cast<std::size_t>(m + 1));
  T const** table = device_table.data();
  if constexpr (host_executor<E>) table = frame.template take<T const*>(m + 1).data();
  std::int64_t rows = 0;
  lists.begin();
  auto const add = [&](T const* model, double w) {
    if (w == 0) return;
    lists.add(static_cast<std::int32_t>(rows), w);
    table[rows++] = model;
  };
  lists.self.host()[0] = -1;
  for (std::int64_t k = 0; k <= m; ++k) {
    if (k == in.self_rank) {
      if (in.self_weight != 0) lists.self.host()[0] = rows;
      lists.own.host()[0] = static_cast<std::int32_t>(rows);
      add(in.self.data(), in.self_weight);
    }
    if (k < m) add(in.received.row_data(k), in.weight[k]);
  }
  lists.offsets.host()[1] = lists.count;
  if (in.self_weight == 0) {  // measured or kept, though not averaged
    lists.own.host()[0] = static_cast<std::int32_t>(rows);
    table[rows++] = in.self.data();
  }
  rows_view<T const> const models(table, rows, d);
  T* const outs[1] = {out.data()};
  rows_view<T> const next(outs, 1, out.size());
  check_round(segments, models, next, record);
  check_policy<host_executor<E>>(policy, segments);
  mix_round(ex, policy, lists.publish(ex), models, lists.own.publish(ex), segments, next, record, ws.get());
}

}  // namespace detail

/// The same round for one node of a real system, from its inbox into `out`: bit for bit what the stacked form gives that node.
template <executor E, detail::mix_policy P, class T, viewable Segments, viewable Y, fanfold::detail::call_option... Options>
void mix(E const& ex, P const& policy, inbox<T> const& in, Segments const& segments, Y&& out, Options&&... options) {
  detail::mix_local(ex, policy, in, view<segment const>(as_view(segments)), view<T>(as_view(out)), view<correction_record>{}, options...);
}
template <executor E, detail::mix_policy P, class T, viewable Segments, viewable Y, fanfold::detail::call_option... Options>
void mix(E const& ex, P const& policy, inbox<T> const& in, Segments const& segments, Y&& out, view<correction_record> record, Options&&... options) {
  detail::mix_local(ex, policy, in, view<segment const>(as_view(segments)), view<T>(as_view(out)), record, options...);
}

namespace detail {

template <class W>
mixing_matrix<W> const& round_matrix(mixing_matrix<W> const& m, std::uint64_t) {
  return m;
}
template <class S>
  requires requires(S const& s, std::uint64_t r) { s.matrix(r); }
mixing_matrix<> round_matrix(S const& s, std::uint64_t round) {
  return s.matrix(round);
}

}  // namespace detail

/// `steps` rounds in a row from `models` into `next`, by one matrix or by a schedule's rounds first_round, first_round + 1, ...; none: a copy. The workspace holds
/// one more copy of all models.
template <executor E, detail::mix_policy P, class Source, rows_viewable X, viewable Segments, rows_viewable Y, fanfold::detail::call_option... Options>
void mix_steps(E const& ex, P const& policy, Source const& source, std::int64_t steps, std::uint64_t first_round, X const& models, Segments const& segments,
               Y const& next, Options&&... options) {
  auto const from = as_const(as_rows_view(models));
  auto const to = as_rows_view(next);
  using T = std::remove_cvref_t<decltype(*to.row_data(0))>;
  check_argument(steps >= 0, "gossip::mix_steps", "steps", steps, "0 or more");
  check_argument(to.rows() == from.rows() && to.cols() == from.cols(), "gossip::mix_steps", "shape of the outputs", to.rows(), "the shape of the models");
  fanfold::detail::call_workspace ws(ex, options...);
  workspace::frame frame(ws.get());
  if (steps == 0) {
    element_range const all[1] = {{0, to.cols()}};
    for (std::int64_t i = 0; i < to.rows(); ++i) {
      T const* const row[1] = {from.row_data(i)};
      map_fold(ex, copied<arithmetic_t<T>>{}, rows_view<T const>(row, 1, to.cols()), matrix_view<T>(to.row_data(i), 1, to.cols()), all, ws.get());
    }
    return;
  }
  matrix_view<T> const spare(frame.take<T>(steps > 1 ? to.rows() * to.cols() : 0).data(), to.rows(), to.cols());
  for (std::int64_t q = 0; q < steps; ++q) {
    bool const last_like = (steps - 1 - q) % 2 == 0;
    rows_view<T> const target = last_like ? to : rows_view<T>(spare);
    rows_view<T const> const origin = q == 0 ? from : rows_view<T const>(last_like ? rows_view<T>(spare) : to);
    mix(ex, policy, detail::round_matrix(source, first_round + static_cast<std::uint64_t>(q)), origin, segments, target, ws.get());
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
