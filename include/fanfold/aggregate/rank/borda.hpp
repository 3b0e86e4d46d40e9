#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/rank/detail/order.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// What tied systems get: the mean of the ranks they share, or those ranks in the order of the systems.
enum class tied_ranks { average, ordinal };
/// What a missing score (NaN) does: `error`; or `neutral`: the systems that were measured are ranked among themselves, stretched to the
/// whole range, and a missing one gets the middle and no preferences.
enum class missing_scores { error, neutral };

/// How columns of scores become ranks.
struct ranking_rule {
  tied_ranks ties = tied_ranks::average;
  missing_scores missing = missing_scores::error;
  /// One a column, nonzero where less is better; empty: more is better everywhere.
  view<std::uint8_t const> lower_is_better{};
};

namespace detail {

template <class T>
void check_scores(char const* function, matrix_view<T const> scores, ranking_rule const& rule, view<double const> weight) {
  check_argument(scores.empty() || scores.data() != nullptr, function, "scores", "null", "not null");
  check_argument(rule.lower_is_better.empty() || rule.lower_is_better.size() == scores.rows(), function, "lower_is_better.size()",
                 rule.lower_is_better.size(), "the number of columns of scores, or 0");
  check_argument(weight.empty() || weight.size() == scores.rows(), function, "weight.size()", weight.size(),
                 "the number of columns of scores, or 0");
  for (std::int64_t c = 0; c < weight.size(); ++c)
    check_argument(weight[c] >= 0 && weight[c] - weight[c] == 0, function, "a weight", weight[c], "finite and 0 or more");
  if (rule.missing == missing_scores::neutral) return;
  for (std::int64_t c = 0; c < scores.rows(); ++c)
    for (std::int64_t s = 0; s < scores.cols(); ++s) {
      double const x = static_cast<double>(scores(c, s));
      check_argument(x == x, function, "a score", x, "not NaN (or choose missing_scores::neutral)");
    }
}

/// Ranks of one column, 0 = worst.
template <class T>
void rank_column(view<T const> score, ranking_rule const& rule, bool lower_is_better, view<double> rank) {
  std::int64_t const m = score.size();
  std::vector<std::int32_t> ids;
  for (std::int64_t s = 0; s < m; ++s)
    if (score[s] == score[s]) ids.push_back(static_cast<std::int32_t>(s));
  stable_sort_ids(ids, [&](std::int32_t a, std::int32_t b) { return lower_is_better ? score[b] < score[a] : score[a] < score[b]; });
  auto const present = static_cast<std::int64_t>(ids.size());
  double const middle = 0.5 * static_cast<double>(m - 1);
  double const stretch = present > 1 ? static_cast<double>(m - 1) / static_cast<double>(present - 1) : 0;
  for (std::int64_t s = 0; s < m; ++s) rank[s] = middle;
  if (present == 1) return;
  for (std::int64_t first = 0; first < present;) {
    std::int64_t last = first + 1;
    while (last < present && score[ids[static_cast<std::size_t>(last)]] == score[ids[static_cast<std::size_t>(first)]]) ++last;
    for (std::int64_t i = first; i < last; ++i) {
      double const r = rule.ties == tied_ranks::average ? 0.5 * static_cast<double>(first + last - 1) : static_cast<double>(i);
      rank[ids[static_cast<std::size_t>(i)]] = present == m ? r : r * stretch;
    }
    first = last;
  }
}

template <class E, class T>
void rank_columns(E const& ex, matrix_view<T const> scores, ranking_rule const& rule, matrix_view<double> rank) {
  for_each_task(ex, scores.rows(), [&](std::int64_t c) {
    rank_column(scores.row(c), rule, !rule.lower_is_better.empty() && rule.lower_is_better[c] != 0, rank.row(c));
  });
}

}  // namespace detail

/// Ranks of the systems in every column of scores (a row of `scores` [t, m]): 0 = worst, m - 1 = best.
/// \throws argument_error for shapes that do not match and, unless missing scores are neutral, for NaN.
template <host_executor E, matrix_viewable X, matrix_viewable Out>
void column_ranks(E const& ex, ranking_rule const& rule, X const& scores, Out&& rank) {
  auto const x = as_const(as_matrix_view(scores));
  auto const out = as_matrix_view(rank);
  detail::check_scores("column_ranks", x, rule, {});
  check_argument(out.rows() == x.rows() && out.cols() == x.cols(), "column_ranks", "shape of the ranks", "another", "that of the scores");
  detail::rank_columns(ex, x, rule, out);
}

/// Consensus of columns of scores by Borda's count: `sum[s] = sum over columns of weight * rank of s` (without weights: 1 each).
/// `groups` (offsets; may be empty) makes it two-level: Borda inside each group of neighbouring columns, ranks of those sums, and Borda
/// over the groups; weights then count within the groups. No columns at all: all sums 0.
/// \throws argument_error as `column_ranks`, and for weights that are negative or not finite, groups that do not cover the columns.
/// \par Determinism  the row tree of `segmented_fold`. With ties averaged, ranks are multiples of 1/2, and sums of them, with whole
/// weights, are exact: any order of columns gives the same bits. Borda (1781); two levels: Colombo et al., What are the best systems?, 2022
/// (arXiv 2202.03799).
template <host_executor E, matrix_viewable X, viewable Sum, fanfold::detail::call_option... Options>
void borda_count(E const& ex, ranking_rule const& rule, X const& scores, view<double const> weight, view<std::int64_t const> groups,
                 Sum&& sum, Options&&... options) {
  auto const x = as_const(as_matrix_view(scores));
  auto const out = as_view(sum);
  std::int64_t const t = x.rows(), m = x.cols();
  detail::check_scores("borda_count", x, rule, weight);
  check_argument(out.size() == m, "borda_count", "sum.size()", out.size(), "the number of systems");
  check_argument(groups.empty() || (groups[0] == 0 && groups[groups.size() - 1] == t), "borda_count", "groups", "others",
                 "offsets from 0 to the number of columns");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  matrix_view<double> const rank(frame.take<double>(t * m).data(), t, m);
  detail::rank_columns(ex, x, rule, rank);
  for (std::int64_t c = 0; c < weight.size(); ++c)
    for (std::int64_t s = 0; s < m; ++s) rank(c, s) = weight[c] * rank(c, s);
  view<std::int64_t> const all = frame.take<std::int64_t>(2);
  matrix_view<double> const total(out.data(), 1, m);
  all[0] = 0, all[1] = t;
  if (groups.empty()) return segmented_fold(ex, plus<double>{}, rank, all, total, ws);
  std::int64_t const count = groups.size() - 1;
  matrix_view<double> const inner(frame.take<double>(count * m).data(), count, m), outer(frame.take<double>(count * m).data(), count, m);
  segmented_fold(ex, plus<double>{}, rank, groups, inner, ws);
  detail::rank_columns(ex, as_const(inner), ranking_rule{.ties = rule.ties}, outer);
  all[1] = count;
  segmented_fold(ex, plus<double>{}, outer, all, total, ws);
}

/// The same with equal weights and one level, on the calling thread: the sums.
template <matrix_viewable X>
std::vector<double> borda_count(X const& scores, ranking_rule const& rule = {}) {
  std::vector<double> sum(static_cast<std::size_t>(scores.cols()));
  borda_count(serial, rule, scores, {}, {}, sum);
  return sum;
}

/// Systems from best to worst by their sums (or any scores where more is better), ties by index; NaN comes last.
template <viewable X>
std::vector<std::int32_t> best_first(X const& score) {
  auto const x = as_const(as_view(score));
  std::vector<std::int32_t> ids(static_cast<std::size_t>(x.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<std::int32_t>(i);
  detail::stable_sort_ids(ids, [&](std::int32_t a, std::int32_t b) { return x[b] < x[a] || (x[a] == x[a] && x[b] != x[b]); });
  return ids;
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
