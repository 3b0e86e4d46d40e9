#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/aggregate/rank/detail/order.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// How votes count: each `weight[u]` times (empty: once), or with the `trim` smallest and largest positions of every id left out.
struct rank_vote_rule {
  view<std::uint32_t const> weight{};
  std::int64_t trim = 0;
};

namespace detail {

struct weighted_position {
  std::int32_t const* position;
  std::uint32_t const* weight;
  std::int64_t ids;

  FANFOLD_HD constexpr std::uint64_t operator()(std::int64_t, std::int64_t, std::int64_t vote, std::int64_t id) const {
    auto const p = static_cast<std::uint64_t>(position[vote * ids + id]);
    return weight == nullptr ? p : weight[vote] * p;
  }
};

/// The sum of the ranks that stay: whole numbers, exact in double.
struct trimmed_sum {
  std::int64_t trim = 0;
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    return sum_of_ranks(v, trim, v.size() - trim);
  }
};

/// Positions of the ids in every vote.
template <class E>
void invert_votes(E const& ex, matrix_view<std::int32_t const> votes, view<std::int32_t> position) {
  std::int64_t const n = votes.cols();
  for_each_task(ex, votes.rows(), [&](std::int64_t u) {
    view<std::int32_t> const mine = position.subview(u * n, n);
    for (std::int64_t i = 0; i < n; ++i) mine[i] = -1;
    for (std::int64_t i = 0; i < n; ++i) {
      std::int32_t const id = votes(u, i);
      if (id < 0 || id >= n || mine[id] >= 0)
        fanfold::detail::throw_argument_error("rank_vote", ("id at place " + std::to_string(i) + " of vote " + std::to_string(u)).c_str(),
                                              std::to_string(id), "part of a permutation of 0..n-1");
      mine[id] = static_cast<std::int32_t>(i);
    }
  });
}

}  // namespace detail

/// sum[id] = sum over votes of weight * position of id: vote u is a row of `votes` [clients, n], a permutation of the ids from least to
/// most important. Whole numbers, so an exact commutative monoid: sums of shards add up, the order of clients does not matter, and one vote
/// moves a sum by at most n - 1. FRL: Federated Rank Learning, 2021 (arXiv 2110.04350). \throws argument_error for a vote that is no
/// permutation, no votes at all, weights of another number than the votes, weights and trimming together, 2 trim >= votes.
template <host_executor E, matrix_viewable Votes, viewable Sum, fanfold::detail::call_option... Options>
void rank_sums(E const& ex, rank_vote_rule const& rule, Votes const& votes, Sum&& sum, Options&&... options) {
  auto const r = as_const(as_matrix_view(votes));
  view<std::uint64_t> const out = as_view(sum);
  std::int64_t const clients = r.rows(), n = r.cols();
  check_argument(clients >= 1, "rank_vote", "number of votes", clients, "1 or more");
  check_argument(out.size() == n, "rank_vote", "sum.size()", out.size(), "the number of ids");
  check_argument(rule.weight.empty() || rule.weight.size() == clients, "rank_vote", "weight.size()", rule.weight.size(),
                 "the number of votes, or 0");
  check_argument(rule.trim >= 0 && 2 * rule.trim < clients, "rank_vote", "trim", rule.trim, "0 or more and below half the votes");
  check_argument(rule.trim == 0 || rule.weight.empty(), "rank_vote", "trim", rule.trim, "0 where votes have weights");
  fanfold::detail::call_workspace call(ex, options...);
  workspace& ws = call.get();
  workspace::frame frame(ws);
  auto const position = frame.take<std::int32_t>(clients * n);
  detail::invert_votes(ex, r, position);
  if (rule.trim > 0) {
    auto const ranks = frame.take<double>(clients * n), kept = frame.take<double>(n);
    for (std::int64_t i = 0; i < ranks.size(); ++i) ranks[i] = static_cast<double>(position[i]);
    coordinate_fold(ex, detail::trimmed_sum{rule.trim}, matrix_view<double const>(ranks.data(), clients, n), kept, ws);
    for (std::int64_t i = 0; i < n; ++i) out[i] = static_cast<std::uint64_t>(kept[i]);
    return;
  }
  auto const all = frame.take<std::int64_t>(2);
  all[0] = 0, all[1] = clients;
  detail::weighted_position const each{position.data(), rule.weight.empty() ? nullptr : rule.weight.data(), n};
  fanfold::detail::run_segmented("rank_vote", ex, plus<std::uint64_t>{}, as_const(all), view<std::int32_t const>(), clients,
                                 edge_function{each}, matrix_view<std::uint64_t>(out.data(), 1, n), ws);
}

/// The winner order: ids by ascending sum, ties by id, so again from least to most important.
inline std::vector<std::int32_t> order_of_sums(view<std::uint64_t const> sum) {
  return detail::ascending_ids(sum.size(), [&](std::int32_t id) { return sum[id]; });
}

/// Sums and winner order of the votes, on the calling thread.
template <matrix_viewable Votes>
std::vector<std::int32_t> rank_vote(Votes const& votes, rank_vote_rule const& rule = {}) {
  std::vector<std::uint64_t> sum(static_cast<std::size_t>(votes.cols()));
  rank_sums(serial, rule, votes, sum);
  return order_of_sums(sum);
}

/// mask[id] = 1 for the ceil(k n) most important ids of an order (from least to most important), else 0. k n is rounded up only where it is
/// not whole but for the rounding of k: ceil(k n (1 - 2^-50)). By rank alone, never by the size of a weight. \throws argument_error for k
/// outside [0, 1] and sizes that differ.
template <viewable Order, viewable Mask>
void supermask(Order const& order, double k, Mask&& mask) {
  auto const r = as_const(as_view(order));
  auto const out = as_view(mask);
  check_argument(k >= 0 && k <= 1, "supermask", "k", k, "in [0, 1]");
  check_argument(out.size() == r.size(), "supermask", "mask.size()", out.size(), "the number of ids");
  std::int64_t const n = r.size();
  auto const ones = static_cast<std::int64_t>(math::ceil(k * static_cast<double>(n) * (1 - 0x1p-50)));
  using value = typename decltype(out)::value_type;
  for (std::int64_t i = 0; i < n; ++i) {
    check_argument(r[i] >= 0 && r[i] < n, "supermask", "id", r[i], "in 0..n-1");
    out[r[i]] = static_cast<value>(i >= n - ones);
  }
}

/// Scores of the next round: the values `score` had, sorted, go to the ids in their new order.
template <class T, viewable Order>
void reassign_scores(Order const& order, view<T> score) {
  auto const r = as_const(as_view(order));
  check_argument(r.size() == score.size(), "reassign_scores", "order.size()", r.size(), "the number of scores");
  auto const by_value = detail::ascending_ids(score.size(), [&](std::int32_t i) { return score[i]; });
  std::vector<T> sorted(static_cast<std::size_t>(score.size()));
  for (std::size_t i = 0; i < sorted.size(); ++i) sorted[i] = score[by_value[i]];
  for (std::size_t i = 0; i < sorted.size(); ++i) score[r[static_cast<std::int64_t>(i)]] = sorted[i];
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
