#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/rank_order.hpp"
#include "fanfold/fold/select.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/detail/count_choices.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/transposed.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Every expert picks its C tokens of largest softmax score, so that loads are exactly even and a token gets 0 to E experts (Zhou et al.,
/// "Mixture-of-Experts with Expert Choice Routing", 2022). Tokens of an expert are listed best first, ties by lower token. Padding rows and
/// rows without a logit above -infinity are not picked. Later tokens change what earlier ones get: not for autoregressive models.
struct expert_choice {
  /// Weights: the scores, or their softmax over the tokens that the expert picked (FSMoE).
  enum class weight_form : unsigned char { score, softmax_over_chosen };

  /// Experts a token on average; C = ceil(T c / E), or rounded half to even.
  double experts_per_token = 2;
  bool round = false;
  /// C itself; 0: from experts_per_token.
  std::int64_t capacity = 0;
  weight_form weight = weight_form::score;
  /// Most experts of a token; 0: no limit. With a limit, pairs are taken in descending score while expert and token have room.
  std::int64_t most_experts = 0;
  /// Rows that are routed together; 0: all.
  std::int64_t group_size = 0;

  static constexpr bool causal = false;

  /// Places of an expert in a group of `rows` rows.
  std::int64_t places_of_group(std::int64_t rows, std::int64_t experts) const {
    std::int64_t c = capacity;
    if (c == 0) {
      auto const factor = static_cast<std::int64_t>(experts_per_token * 10000.0 + 0.5);
      std::int64_t const a = rows * factor, b = experts * 10000, q = a / b, twice = 2 * (a % b);
      c = round ? q + (twice > b || (twice == b && q % 2 != 0) ? 1 : 0) : q + (a % b != 0);
    }
    return c < rows ? c : rows;
  }
  std::int64_t groups(std::int64_t rows) const { return group_size == 0 ? (rows > 0 ? 1 : 0) : (rows + group_size - 1) / group_size; }
  std::int64_t group_rows(std::int64_t rows) const { return group_size == 0 || group_size > rows ? rows : group_size; }
  /// Columns of the output.
  std::int64_t places(std::int64_t rows, std::int64_t experts) const {
    return groups(rows) * places_of_group(group_rows(rows), experts);
  }
  void check(std::int64_t experts, char const* function) const {
    check_argument(experts >= 1, function, "number of experts", experts, "1 or more");
    check_argument(experts_per_token > 0 && experts_per_token < 1e6, function, "experts_per_token", experts_per_token, "positive and finite");
    check_argument(capacity >= 0, function, "capacity", capacity, "0 or more");
    check_argument(most_experts >= 0, function, "most_experts", most_experts, "0 or more");
    check_argument(group_size >= 0, function, "group_size", group_size, "0 or more");
  }
};

/// What `run_loop` runs for expert choice: the choice, and its vjp.
struct expert_choice_loop {
  expert_choice router{};
  row_mask mask{};
};
struct expert_choice_vjp_loop {
  expert_choice router{};
};
/// sum[e] := the weights of expert e's places, for the statistics.
struct place_sums_loop {};

namespace detail {

/// Scores of a group, expert by expert; -infinity for rows that may not be picked.
template <class R, class L>
void transposed_scores(matrix_view<L const> logits, std::int64_t first, std::int64_t rows, row_mask const& mask, R* row, R* score) {
  std::int64_t const n = logits.cols();
  for (std::int64_t t = 0; t < rows; ++t) {
    load_logits(host_lane{}, logits.row(first + t).data(), row, n);
    bool const usable = mask.keeps(first + t) && softmax_row(host_lane{}, row, row, n).max > -math::infinity<R>();
    for (std::int64_t e = 0; e < n; ++e) score[e * rows + t] = usable ? row[e] : -math::infinity<R>();
  }
}

/// The places of one expert: the `places` best of its scores, best first.
template <class R>
void pick_tokens(R const* score, std::int64_t rows, std::int64_t places, std::int32_t* token, std::int32_t* spare, workspace& ws) {
  if (places == 0) return;
  select(largest{places}, view<R const>(score, rows), selection_view<R, std::int32_t>{.index = {token, places}}, ws);
  merge_sort(token, spare, places, descending_key<R>{score});
}

/// Pairs in descending score, ties by token, then expert, while both sides have room.
template <class R>
void pick_with_limit(R const* score, std::int64_t rows, std::int64_t experts, std::int64_t places, std::int64_t limit, std::int32_t* token,
                     workspace& ws) {
  workspace::frame frame(ws);
  std::int64_t const pairs = rows * experts;
  auto* const pair = frame.take<std::int64_t>(pairs).data();
  auto* const spare = frame.take<std::int64_t>(pairs).data();
  auto* const of_expert = frame.take<std::int64_t>(experts).data();
  auto* const of_token = frame.take<std::int64_t>(rows).data();
  for (std::int64_t i = 0; i < pairs; ++i) pair[i] = i;  // token major
  auto const key = [&](std::int64_t i) { return score[i % experts * rows + i / experts]; };
  merge_sort(pair, spare, pairs, [&](std::int64_t a, std::int64_t b) { return key(a) > key(b) || (key(a) == key(b) && a < b); });
  for (std::int64_t e = 0; e < experts; ++e) of_expert[e] = 0;
  for (std::int64_t t = 0; t < rows; ++t) of_token[t] = 0;
  for (std::int64_t i = 0; i < experts * places; ++i) token[i] = -1;
  for (std::int64_t i = 0; i < pairs; ++i) {
    std::int64_t const t = pair[i] / experts, e = pair[i] % experts;
    if (of_expert[e] == places || of_token[t] == limit) continue;
    token[e * places + of_expert[e]++] = static_cast<std::int32_t>(t);
    ++of_token[t];
  }
}

/// w := softmax of w over the taken places; those not taken hold -infinity. Nothing where none is.
template <class R>
void softmax_places(R* w, std::int32_t const* token, std::int64_t places) {
  for (std::int64_t i = 0; i < places; ++i)
    if (token[i] < 0) w[i] = -math::infinity<R>();
  softmax_row(host_lane{}, w, w, places);
}

template <class L, class W>
FANFOLD_NOINLINE void choose_group(expert_choice const& router, matrix_view<L const> logits, std::int64_t group, row_mask const& mask,
                                   expert_assignment<W> out, workspace& ws) {
  using R = arithmetic_t<L>;
  std::int64_t const n = logits.cols(), step = router.group_rows(logits.rows()), first = group * step;
  std::int64_t const rows = first + step < logits.rows() ? step : logits.rows() - first;
  std::int64_t const columns = router.places_of_group(step, n), places = router.places_of_group(rows, n);
  workspace::frame frame(ws);
  auto* const score = frame.take<R>(n * rows).data();
  auto* const number = frame.take<R>(n > places ? n : places).data();
  auto* const token = frame.take<std::int32_t>(n * places).data();
  auto* const spare = frame.take<std::int32_t>(places).data();
  transposed_scores(logits, first, rows, mask, number, score);
  if (router.most_experts > 0)
    pick_with_limit(score, rows, n, places, router.most_experts, token, ws);
  else
    for (std::int64_t e = 0; e < n; ++e) pick_tokens(score + e * rows, rows, places, token + e * places, spare, ws);
  for (std::int64_t e = 0; e < n; ++e) {
    std::int32_t* const mine = token + e * places;
    for (std::int64_t i = 0; i < places; ++i) {
      bool const taken = mine[i] >= 0 && score[e * rows + mine[i]] > -math::infinity<R>();
      number[i] = taken ? score[e * rows + mine[i]] : R(0);
      if (!taken) mine[i] = -1;
    }
    if (router.weight == expert_choice::weight_form::softmax_over_chosen) softmax_places(number, mine, places);
    for (std::int64_t i = 0; i < columns; ++i) {
      bool const taken = i < places && mine[i] >= 0;
      out.token(e, group * columns + i) = taken ? static_cast<std::int32_t>(first + mine[i]) : -1;
      out.weight(e, group * columns + i) = from_arithmetic<W>(taken ? static_cast<arithmetic_t<W>>(number[i]) : arithmetic_t<W>(0));
    }
  }
}

/// Weight of a place.
template <class W>
struct place_weight {
  W const* weight;
  FANFOLD_HD double operator()(std::int64_t i) const { return static_cast<double>(to_arithmetic(weight[i])); }
};

/// dweight times weight of a place.
template <class R, class G, class W>
struct place_product {
  G const* dweight;
  W const* weight;
  FANFOLD_HD R operator()(std::int64_t i) const { return static_cast<R>(to_arithmetic(dweight[i])) * static_cast<R>(to_arithmetic(weight[i])); }
};

/// dlogit := the vjp of softmax for dy; 0 for degenerate rows, rows with a +infinity and entries that are not finite. `scratch`: 2 n.
template <row_group G, class L, class R, class D>
FANFOLD_HD void softmax_row_gradient(G const& g, L const* logit, R* dy, R* scratch, D* dlogit, std::int64_t n) {
  R *const l = scratch, *const score = scratch + n;
  load_logits(g, logit, l, n);
  auto const s = softmax_row(g, l, score, n);
  softmax_row_vjp(g, score, dy, dy, n);
  for (std::int64_t e = g.rank(); e < n; e += g.size())
    dlogit[e] = from_arithmetic<D>(math::isfinite(s.max) && math::isfinite(l[e]) ? static_cast<arithmetic_t<D>>(dy[e]) : arithmetic_t<D>(0));
  g.sync();
}

template <class X, class W>
void check_expert_choice(expert_choice const& router, X const& logits, expert_assignment<W> const& out, char const* function) {
  router.check(logits.cols(), function);
  std::int64_t const places = router.places(logits.rows(), logits.cols());
  check_argument(out.token.rows() == logits.cols() && out.weight.rows() == logits.cols(), function, "rows of the places", out.token.rows(),
                 "the number of experts");
  check_argument(out.token.cols() == places && out.weight.cols() == places, function, "places of an expert", out.token.cols(),
                 "router.places(rows, experts)");
}

}  // namespace detail

/// Host form of expert choice: a task a group.
template <host_executor E, class L, class W>
void run_loop(E const& ex, expert_choice_loop const& loop, matrix_view<L const> logits, expert_assignment<W> out, workspace&) {
  for_each_task(ex, loop.router.groups(logits.rows()), [&](std::int64_t group) {
    workspace ws;
    detail::choose_group(loop.router, logits, group, loop.mask, out, ws);
  });
}

/// Host form of the vjp of expert choice.
template <host_executor E, class L, class W, class G, class D>
void run_loop(E const& ex, expert_choice_vjp_loop const& loop, matrix_view<L const> logits, expert_assignment<W> forward,
              matrix_view<G const> dweight, matrix_view<D> dlogits, workspace& ws) {
  using R = arithmetic_t<L>;
  expert_choice const& router = loop.router;
  workspace::frame frame(ws);
  std::int64_t const n = logits.cols(), rows = logits.rows();
  R* const q = frame.take<R>(rows * n).data();
  for (std::int64_t i = 0; i < rows * n; ++i) q[i] = R(0);
  bool const over_chosen = router.weight == expert_choice::weight_form::softmax_over_chosen;
  std::int64_t const columns = rows == 0 ? 0 : router.places_of_group(router.group_rows(rows), n);
  for (std::int64_t e = 0; e < n; ++e)
    for (std::int64_t first = 0; first < forward.token.cols(); first += columns) {
      detail::place_product<R, G, W> const product{dweight.row(e).data() + first, forward.weight.row(e).data() + first};
      R const mean = over_chosen ? host_lane{}.fold(detail::row_sum<R>{}, columns, product) : R(0);
      for (std::int64_t i = first; i < first + columns; ++i) {
        std::int32_t const t = forward.token(e, i);
        check_argument(t >= -1 && t < rows, "route::assign_vjp", "a token", t, "-1 or a row of the logits");
        R const dw = static_cast<R>(to_arithmetic(dweight(e, i)));
        if (t >= 0) q[t * n + e] = over_chosen ? static_cast<R>(to_arithmetic(forward.weight(e, i))) * (dw - mean) : dw;
      }
    }
  detail::for_each_row<R>(ex, rows, 2 * n, ws, [&](std::int64_t t, R* scratch) {
    detail::softmax_row_gradient(host_lane{}, logits.row(t).data(), q + t * n, scratch, dlogits.row(t).data(), n);
  });
}

template <host_executor E, class W>
void run_loop(E const&, place_sums_loop, matrix_view<W const> weight, view<double> sum) {
  for (std::int64_t e = 0; e < sum.size(); ++e)
    sum[e] = host_lane{}.fold(detail::row_sum<double>{}, weight.cols(), detail::place_weight<W>{weight.row(e).data()});
}

/// Routes by expert choice into E x `router.places(T, E)` places:
///   assign(ex, router, logits, out[, stats.view()][, row_mask{...}][, workspace])
/// Ids, weights and statistics do not depend on the executor. In the statistics the first choice of a token is the expert of lowest number
/// that picked it, and weight_sum is a stream fold over an expert's places.
template <executor E, matrix_viewable X, class W, detail::route_option... Options>
void assign(E const& ex, expert_choice const& router, X const& x, expert_assignment<W> out, Options&&... options) {
  static constexpr char function[] = "route::assign";
  auto const logits = as_const(as_matrix_view(x));
  auto const mask = detail::find_option<row_mask>(options...);
  detail::check_expert_choice(router, logits, out, function);
  detail::check_mask(mask, logits.rows(), function);
  auto const stats = detail::find_option<routing_stats_view>(options...);
  detail::check_statistics(stats, logits.cols(), function);
  fanfold::detail::call_workspace ws(ex, options...);
  static_assert(fanfold::detail::has_backend<E, expert_choice_loop, decltype(logits), expert_assignment<W>, workspace&>,
                "no backend of expert_choice for this executor: include <fanfold/kernel/expert_choice.hpp> for device executors");
  run_loop(ex, expert_choice_loop{router, mask}, logits, out, ws.get());
  if (stats.integers.data() == nullptr) return;
  std::int64_t const rows = logits.rows(), n = logits.cols();
  workspace::frame frame(ws.get());
  assignment<W> const by_token{{frame.take<std::int32_t>(rows * n).data(), rows, n}, {frame.take<W>(rows * n).data(), rows, n}};
  transpose(ex, out, by_token);
  detail::count_choices<softmax_score>(ex, logits, as_const(by_token.id), mask, stats, ws.get());
  run_loop(ex, place_sums_loop{}, as_const(out.weight), stats.reals.subview(detail::stat_reals + n, n));
}

/// The vjp: dlogits from the gradients of the weights (E x places); chosen tokens are constants.
template <executor E, matrix_viewable X, class W, matrix_viewable Y, matrix_viewable Z, detail::route_option... Options>
void assign_vjp(E const& ex, expert_choice const& router, X const& x, expert_assignment<W> const& forward, Y const& y, Z&& z,
                Options&&... options) {
  static constexpr char function[] = "route::assign_vjp";
  auto const logits = as_const(as_matrix_view(x));
  auto const dweight = as_const(as_matrix_view(y));
  auto const dlogits = as_matrix_view(z);
  detail::check_expert_choice(router, logits, forward, function);
  check_argument(dweight.rows() == forward.token.rows() && dweight.cols() == forward.token.cols(), function, "shape of dweight", dweight.cols(),
                 "the shape of the places");
  check_argument(dlogits.rows() == logits.rows() && dlogits.cols() == logits.cols(), function, "shape of dlogits", dlogits.cols(),
                 "the shape of the logits");
  fanfold::detail::call_workspace ws(ex, options...);
  run_loop(ex, expert_choice_vjp_loop{router}, logits, forward, dweight, dlogits, ws.get());
}

}  // namespace fanfold::inline FANFOLD_ABI::route
