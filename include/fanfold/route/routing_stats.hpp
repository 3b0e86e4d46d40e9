#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

/// Positions of the statistics in their two arrays.
enum stat_integer : int { stat_tokens, stat_choices, stat_empty_rows, stat_degenerate_rows, stat_dropped, stat_integers };
enum stat_real : int { stat_lse_sq_sum, stat_entropy_sum, stat_reals };

}  // namespace detail

/// Statistics of one router layer in memory that an executor can write: `integers` (5 + 2 E: tokens, choices, empty_rows,
/// degenerate_rows, dropped, count[E], first_count[E]) and `reals` (2 + 2 E: lse_sq_sum, entropy_sum, score_sum[E], weight_sum[E]).
/// They form a commutative monoid: elementwise addition, identity all zero; batches, devices and ranks combine by it.
///   tokens: rows that the mask keeps; choices: slots with an id, before drops; empty_rows: rows without one but null experts; degenerate_rows: rows
///   without a logit above -infinity; count, first_count: choices of each expert in all and in slot 0; score_sum: sum over rows of the
///   score map's share (see score_map; a degenerate row adds 0); weight_sum: sum of an expert's combine weights; lse_sq_sum, entropy_sum:
///   sums of lse^2 and of the entropy (natural logarithm) of softmax(l) over rows with a finite lse.
/// Real sums are folds over rows in the canonical order (runs of 32, then adjacent pairs), in double.
struct routing_stats_view {
  view<std::int64_t> integers{};
  view<double> reals{};

  FANFOLD_HD static constexpr std::int64_t integer_size(std::int64_t experts) { return detail::stat_integers + 2 * experts; }
  FANFOLD_HD static constexpr std::int64_t real_size(std::int64_t experts) { return detail::stat_reals + 2 * experts; }

  FANFOLD_HD constexpr std::int64_t experts() const {
    return reals.size() < detail::stat_reals ? 0 : (reals.size() - detail::stat_reals) / 2;
  }
};

/// The statistics as a value on the host. `s.view()` hands it to `assign`.
class routing_stats {
 public:
  routing_stats() = default;
  explicit routing_stats(std::int64_t experts)
      : integers_(static_cast<std::size_t>(routing_stats_view::integer_size(experts))),
        reals_(static_cast<std::size_t>(routing_stats_view::real_size(experts))),
        experts_(experts) {}

  std::int64_t experts() const { return experts_; }
  std::int64_t tokens() const { return integer(detail::stat_tokens); }
  std::int64_t choices() const { return integer(detail::stat_choices); }
  std::int64_t empty_rows() const { return integer(detail::stat_empty_rows); }
  std::int64_t degenerate_rows() const { return integer(detail::stat_degenerate_rows); }
  /// Choices that found no room; counted by whoever applies a capacity policy.
  std::int64_t dropped() const { return integer(detail::stat_dropped); }
  double lse_sq_sum() const { return real(detail::stat_lse_sq_sum); }
  double entropy_sum() const { return real(detail::stat_entropy_sum); }
  fanfold::view<std::int64_t const> count() const { return as_const(integers()).subview(detail::stat_integers, experts_); }
  fanfold::view<std::int64_t const> first_count() const { return as_const(integers()).subview(detail::stat_integers + experts_, experts_); }
  fanfold::view<double const> score_sum() const { return as_const(reals()).subview(detail::stat_reals, experts_); }
  fanfold::view<double const> weight_sum() const { return as_const(reals()).subview(detail::stat_reals + experts_, experts_); }

  routing_stats_view view() { return {integers(), reals()}; }

  /// Elementwise sum; statistics without experts are the identity.
  routing_stats& merge(routing_stats const& other) {
    if (other.experts_ == 0) return *this;
    if (experts_ == 0) return *this = other;
    check_argument(experts_ == other.experts_, "route::routing_stats::merge", "number of experts", other.experts_, "that of the other side");
    for (std::size_t i = 0; i < integers_.size(); ++i) integers_[i] += other.integers_[i];
    for (std::size_t i = 0; i < reals_.size(); ++i) reals_[i] += other.reals_[i];
    return *this;
  }
  friend routing_stats merge(routing_stats a, routing_stats const& b) { return a.merge(b); }

 private:
  std::int64_t integer(int i) const { return integers_.empty() ? 0 : integers_[static_cast<std::size_t>(i)]; }
  double real(int i) const { return reals_.empty() ? 0 : reals_[static_cast<std::size_t>(i)]; }
  fanfold::view<std::int64_t> integers() const {
    return {const_cast<std::int64_t*>(integers_.data()), static_cast<std::int64_t>(integers_.size())};
  }
  fanfold::view<double> reals() const { return {const_cast<double*>(reals_.data()), static_cast<std::int64_t>(reals_.size())}; }

  std::vector<std::int64_t> integers_;
  std::vector<double> reals_;
  std::int64_t experts_ = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI::route

namespace fanfold::inline FANFOLD_ABI {

/// A copy of statistics on the host.
template <host_executor E>
route::routing_stats fetch(E const&, route::routing_stats_view const& stats) {
  route::routing_stats result(stats.experts());
  auto const copy = result.view();
  for (std::int64_t i = 0; i < copy.integers.size(); ++i) copy.integers[i] = stats.integers[i];
  for (std::int64_t i = 0; i < copy.reals.size(); ++i) copy.reals[i] = stats.reals[i];
  return result;
}

}  // namespace fanfold::inline FANFOLD_ABI
