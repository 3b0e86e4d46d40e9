#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/gossip/detail/mix_round.hpp"
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

namespace detail {

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
