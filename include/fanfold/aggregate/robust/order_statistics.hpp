#pragma once

#include <cstdint>

#include "fanfold/aggregate/robust/geometry.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/fold/coordinate_rule.hpp"
#include "fanfold/fold/lane_vector.hpp"
#include "fanfold/fold/rank_window.hpp"

namespace fanfold::inline FANFOLD_ABI::aggregate {

/// Which median of an even number of values. NumPy, ByzFL and Flower take the midpoint, torch.median the lower, the native kernels of the
/// krum package the upper.
enum class median_kind { midpoint, lower, upper };

/// The middle value of each coordinate; of n = 2k values the midpoint (a + b) / 2, or one of the two. Survives any f < n/2.
/// With whole-number weights, repeat a row's pointer that often: `median_kind::lower` is then the lower weighted median.
/// Yin et al., Byzantine-Robust Distributed Learning, 2018 (arXiv 1803.01498).
struct coordinate_median {
  median_kind kind = median_kind::midpoint;

  template <class Column>
  FANFOLD_HD typename Column::value_type operator()(Column const& v) const {
    using V = typename Column::value_type;
    std::int64_t const n = v.size();
    if (kind == median_kind::lower) return v[(n - 1) / 2];
    if (kind == median_kind::upper || n % 2 == 1) return v[n / 2];
    return (v[n / 2 - 1] + v[n / 2]) / V(2);
  }
  template <class Column>
  rank_window window(Column const& v) const {
    std::int64_t const n = v.size();
    if (kind == median_kind::lower) return {(n - 1) / 2, 1};
    if (kind == median_kind::upper || n % 2 == 1) return {n / 2, 1};
    return {n / 2 - 1, 2};
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
  /// Proven: |out - mean_S|^2 <= kappa * (mean over S of |x_i - mean_S|^2) for every S of n - f rows.
  static double kappa(std::int64_t n, std::int64_t f) {
    double const r = static_cast<double>(f) / static_cast<double>(n - 2 * f);
    return 4 * (1 + r) * (1 + r);
  }
};

/// Without the f smallest and the f largest values of each coordinate, the mean of the rest. Needs n >= 2f + 1.
/// Yin et al. 2018 (arXiv 1803.01498). `trimmed_mean{.f = trimmed_count(0.1, n)}` trims a fraction, as Flower and SciPy do.
struct trimmed_mean {
  std::int64_t f = 0;

  void check(std::int64_t n) const { detail::check_majority("trimmed_mean", n, f); }
  template <class Column>
  FANFOLD_HD typename Column::value_type operator()(Column const& v) const {
    using V = typename Column::value_type;
    using A = typename fanfold::detail::lanes_of<V>::scalar;
    return sum_of_ranks(v, f, v.size() - f) / V(static_cast<A>(v.size() - 2 * f));
  }
  template <class Column>
  rank_window window(Column const& v) const {
    return {f, v.size() - 2 * f};
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
  static double kappa(std::int64_t n, std::int64_t f) {
    double const r = static_cast<double>(f) / static_cast<double>(n - 2 * f);
    return 6 * r * (1 + r);
  }
};

/// floor(fraction * n), safe against fractions just below their decimal value.
constexpr std::int64_t trimmed_count(double fraction, std::int64_t n) {
  return static_cast<std::int64_t>(fraction * static_cast<double>(n) + 1e-9);
}

namespace detail {

/// The mean of the n - dropped values closest to the median.
struct around_median {
  std::int64_t dropped = 0;

  template <class Column>
  FANFOLD_HD typename Column::value_type operator()(Column const& v) const {
    using V = typename Column::value_type;
    using A = typename fanfold::detail::lanes_of<V>::scalar;
    std::int64_t const kept = v.size() - dropped;
    V const median = coordinate_median{}(v);
    // the chosen values are a window of the sorted ones; the condition holds up to its start and nowhere behind it
    V start(A(0));
    for (std::int64_t t = 0; t < dropped; ++t) start = start + choose(v[t + kept] - median < median - v[t], V(A(1)), V(A(0)));
    return sum_of_window(v, start, kept, dropped) / V(static_cast<A>(kept));
  }
  template <class Column>
  rank_window window(Column const& v) const {
    std::int64_t const kept = v.size() - dropped;
    auto const median = coordinate_median{}(v);
    std::int64_t start = 0;
    for (std::int64_t t = 0; t < dropped; ++t) start += v[t + kept] - median < median - v[t];
    return {start, kept};
  }
};

}  // namespace detail

/// The mean of the n - f values closest to the (midpoint) median of each coordinate; of two at equal distance the lower value counts.
/// Needs n >= 2f + 1. Xie et al., Generalized Byzantine-tolerant SGD, 2018 (arXiv 1802.10116).
struct mean_around_median {
  std::int64_t f = 0;

  void check(std::int64_t n) const { detail::check_majority("mean_around_median", n, f); }
  template <class Column>
  FANFOLD_HD typename Column::value_type operator()(Column const& v) const {
    return detail::around_median{f}(v);
  }
  template <class Column>
  rank_window window(Column const& v) const {
    return detail::around_median{f}.window(v);
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }
};

/// The same, but of rows at equal distance those with the smaller indices count, on whichever side of the median; of values on one side whose
/// distances differ by less than rounding, the nearer ones. Needs n >= 2f + 1. Reads the rows a second time and depends on their order: take it to match
/// references that sort (distance, row) pairs.
struct mean_around_median_by_index {
  std::int64_t f = 0;

  void check(std::int64_t n) const { detail::check_majority("mean_around_median_by_index", n, f); }
  template <class Column, class Rows>
  FANFOLD_HD typename Column::value_type operator()(Column const& v, Rows const& rows) const {
    using V = typename Column::value_type;
    using A = typename fanfold::detail::lanes_of<V>::scalar;
    return sum_of_window(v, start(v, rows), v.size() - f, f) / V(static_cast<A>(v.size() - f));
  }
  template <class Column, class Rows>
  rank_window window(Column const& v, Rows const& rows) const {
    return {static_cast<std::int64_t>(start(v, rows)), v.size() - f, true};
  }
  static std::int64_t most_faulty(std::int64_t n) { return (n - 1) / 2; }

 private:
  /// The rank where the window of chosen values starts.
  template <class Column, class Rows>
  FANFOLD_HD typename Column::value_type start(Column const& v, Rows const& rows) const {
    using V = typename Column::value_type;
    using A = typename fanfold::detail::lanes_of<V>::scalar;
    V const none(A(0)), one(A(1)), median = coordinate_median{}(v);
    std::int64_t const kept = v.size() - f;
    V first = none, last = none, tied = none;  // the windows that ties allow, and the distance of the tied
    for (std::int64_t t = 0; t < f; ++t) {
      V const above = v[t + kept] - median, below = median - v[t];
      first = first + choose(above < below, one, none);
      last = last + choose(above <= below, one, none);
      tied = choose(above == below, below, tied);
    }
    V left(static_cast<A>(kept)), start = none;  // how many of the tied count; how many rows lie below the window
    for (std::int64_t i = 0; i < v.size(); ++i) {
      V const x = rows[i], distance = choose(x < median, median - x, x - median);
      left = left - choose(distance < tied, one, none);
      start = start + choose((x < median) & (distance >= tied), one, none);
    }
    for (std::int64_t i = 0; i < v.size(); ++i) {
      V const x = rows[i];
      auto const chosen = (choose(x < median, median - x, x - median) == tied) & (left > none);
      left = left - choose(chosen, one, none);
      start = start - choose(chosen & (x < median), one, none);
    }
    return choose(first < last, start, first);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::aggregate
