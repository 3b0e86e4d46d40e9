#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/rank/borda.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/neighbour_fold.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

namespace detail {

/// What column `edge` adds to preference (a, b) = column index a m + b.
template <class T>
struct pair_preference {
  T const* score;
  double const* weight;
  std::uint8_t const* lower_is_better;
  std::int64_t stride, systems;

  FANFOLD_HD constexpr double operator()(std::int64_t, std::int64_t, std::int64_t edge, std::int64_t pair) const {
    T const a = score[edge * stride + pair / systems], b = score[edge * stride + pair % systems];
    if (pair / systems == pair % systems || a != a || b != b) return 0;
    bool const turned = lower_is_better != nullptr && lower_is_better[edge] != 0;
    double const share = a == b ? 0.5 : (a < b) == turned ? 1.0 : 0.0;
    return weight == nullptr ? share : weight[edge] * share;
  }
};

}  // namespace detail

/// W(a, b) = sum over columns of weight [a above b], 1/2 each way for a tie, nothing where one of the two is missing. A sum of matrices, so
/// preferences of shards add up; with whole weights they are exact in any order. `w` is [m, m], diagonal 0.
/// \throws argument_error as `borda_count`.
template <host_executor E, matrix_viewable X, matrix_viewable Out, fanfold::detail::call_option... Options>
void pair_preferences(E const& ex, ranking_rule const& rule, X const& scores, view<double const> weight, Out&& w, Options&&... options) {
  auto const x = as_const(as_matrix_view(scores));
  auto const out = as_matrix_view(w);
  std::int64_t const t = x.rows(), m = x.cols();
  detail::check_scores("pair_preferences", x, rule, weight);
  check_argument(out.rows() == m && out.cols() == m && out.stride() == m, "pair_preferences", "shape of w", "another",
                 "m x m without gaps");
  fanfold::detail::call_workspace call(ex, options...);
  workspace::frame frame(call.get());
  view<std::int64_t> const all = frame.take<std::int64_t>(2);
  all[0] = 0, all[1] = t;
  using score = typename decltype(x)::value_type;
  detail::pair_preference<score> const each{x.data(), weight.empty() ? nullptr : weight.data(),
                                            rule.lower_is_better.empty() ? nullptr : rule.lower_is_better.data(), x.stride(), m};
  fanfold::detail::run_segmented("pair_preferences", ex, plus<double>{}, as_const(all), view<std::int32_t const>(), t, edge_function{each},
                                 matrix_view<double>(out.data(), 1, m * m), call.get());
}

/// How an order is looked for: exactly, or by local search above a size.
struct kemeny_options {
  std::int64_t exact_up_to = 16;  ///< systems; the table of the exact method has 2^m entries
};

/// An order that disagrees little with the preferences.
struct kemeny_result {
  std::vector<std::int32_t> order{};  ///< best first
  double cost = 0;                    ///< preferences against the order
  double lower_bound = 0;             ///< no order costs less: the cost itself where exact
  bool exact = false;                 ///< found by dynamic programming, or the cost meets the bound
  bool unique = false;                ///< known to be the only optimum
  double gap() const { return cost - lower_bound; }
};

/// Preferences against an order (best first): sum of W(b, a) over a above b.
inline double kemeny_cost(matrix_view<double const> w, view<std::int32_t const> order) {
  double cost = 0;
  for (std::int64_t i = 0; i < order.size(); ++i)
    for (std::int64_t j = i + 1; j < order.size(); ++j) cost += w(order[j], order[i]);
  return cost;
}

namespace detail {

inline kemeny_result kemeny_exact(matrix_view<double const> w) {
  auto const m = static_cast<int>(w.rows());
  std::size_t const sets = std::size_t{1} << m;
  std::vector<double> best(sets, 0.0);
  // cost of b on top of S \ b: everyone else in S who is preferred to b
  auto const with_top = [&](std::size_t s, int b) {
    double cost = best[s ^ (std::size_t{1} << b)];
    for (int a = 0; a < m; ++a)
      if ((s >> a & 1) != 0 && a != b) cost += w(a, b);
    return cost;
  };
  for (std::size_t s = 1; s < sets; ++s) {
    bool first = true;
    for (int b = 0; b < m; ++b) {
      if ((s >> b & 1) == 0) continue;
      double const cost = with_top(s, b);
      best[s] = first || cost < best[s] ? cost : best[s];
      first = false;
    }
  }
  kemeny_result result{.cost = best[sets - 1], .lower_bound = best[sets - 1], .exact = true, .unique = true};
  for (std::size_t s = sets - 1; s != 0;) {
    int chosen = -1;
    for (int b = 0; b < m; ++b) {
      if ((s >> b & 1) == 0 || with_top(s, b) != best[s]) continue;
      if (chosen >= 0) result.unique = false;
      chosen = chosen < 0 ? b : chosen;
    }
    result.order.push_back(static_cast<std::int32_t>(chosen));
    s ^= std::size_t{1} << chosen;
  }
  return result;
}

/// Moves single systems to their best places until none gains.
inline void kemeny_insertions(matrix_view<double const> w, std::vector<std::int32_t>& order) {
  auto const m = static_cast<std::int64_t>(order.size());
  for (bool better = true; better;) {
    better = false;
    for (std::int64_t from = 0; from < m; ++from) {
      std::int32_t const a = order[static_cast<std::size_t>(from)];
      double gain = 0, most = 0;
      std::int64_t to = from;
      for (int step : {-1, 1}) {
        gain = 0;
        for (std::int64_t i = from + step; i >= 0 && i < m; i += step) {
          std::int32_t const b = order[static_cast<std::size_t>(i)];
          gain += step < 0 ? w(a, b) - w(b, a) : w(b, a) - w(a, b);
          if (gain > most) most = gain, to = i;
        }
      }
      if (to == from) continue;
      for (std::int64_t i = from; i != to; i += to > from ? 1 : -1)
        order[static_cast<std::size_t>(i)] = order[static_cast<std::size_t>(i + (to > from ? 1 : -1))];
      order[static_cast<std::size_t>(to)] = a;
      better = true;
    }
  }
}

}  // namespace detail

/// The order with the least preferences against it (Kemeny 1959). Up to `exact_up_to` systems (at most 24) exact, by dynamic programming
/// over subsets in O(2^m m^2): of several optima the lexicographically smallest, best system first. Above: from Borda's order by best
/// insertions, with the certified lower bound sum over pairs of min(W(a, b), W(b, a)). \throws argument_error unless `w` is square, finite
/// and not negative.
inline kemeny_result kemeny_order(matrix_view<double const> w, kemeny_options options = {}) {
  std::int64_t const m = w.rows();
  check_argument(w.cols() == m, "kemeny_order", "w.cols()", w.cols(), "w.rows()");
  check_argument(options.exact_up_to >= 0 && options.exact_up_to <= 24, "kemeny_order", "exact_up_to", options.exact_up_to, "in 0..24");
  for (std::int64_t a = 0; a < m; ++a)
    for (std::int64_t b = 0; b < m; ++b)
      check_argument(w(a, b) >= 0 && w(a, b) - w(a, b) == 0, "kemeny_order", "a preference", w(a, b), "finite and 0 or more");
  if (m <= options.exact_up_to) return detail::kemeny_exact(w);
  std::vector<double> sum(static_cast<std::size_t>(m), 0.0);
  kemeny_result result{};
  for (std::int64_t a = 0; a < m; ++a)
    for (std::int64_t b = 0; b < m; ++b) {
      sum[static_cast<std::size_t>(a)] += w(a, b);
      if (a < b) result.lower_bound += w(a, b) < w(b, a) ? w(a, b) : w(b, a);
    }
  result.order = best_first(sum);
  detail::kemeny_insertions(w, result.order);
  result.cost = kemeny_cost(w, result.order);
  result.exact = result.cost == result.lower_bound;
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
