#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Mean and number of neighbouring items.
struct centroid {
  double mean = 0.0;
  double weight = 0.0;
  bool operator==(centroid const&) const = default;
};

/// Centroids in ascending order, and the extremes.
struct t_digest_state {
  std::vector<centroid> centroids;
  double weight = 0.0;
  double least = math::infinity<double>();
  double greatest = -math::infinity<double>();
  std::uint64_t nans = 0;
  bool operator==(t_digest_state const&) const = default;

  /// By linear interpolation between the middles of centroids; NaN of no items.
  double quantile(double q) const {
    check_argument(q >= 0.0 && q <= 1.0, "t_digest::quantile", "q", q, "from 0 to 1");
    if (centroids.empty()) return math::quiet_nan<double>();
    double const wanted = q * weight;
    double before = 0.0, at = 0.0, value = least;
    for (centroid const& c : centroids) {
      double const middle = before + c.weight / 2.0;
      if (wanted < middle) return between(wanted, at, value, middle, c.mean);
      at = middle;
      value = c.mean;
      before += c.weight;
    }
    return between(wanted, at, value, weight, greatest);
  }

 private:
  static double between(double x, double x0, double y0, double x1, double y1) {
    return x1 <= x0 || y0 == y1 ? y1 : y0 + (y1 - y0) * ((x - x0) / (x1 - x0));
  }
};

/// Quantiles by clustering (Dunning, Ertl 2019; merging form with the size bound max(1, 4 n q (1 - q) / delta)) (host only).
///
/// **Approximate only**: no worst-case guarantee, and the state depends on the order of merges; use dd_sketch where a guarantee is needed.
/// Infinities are ordinary items; NaN is counted aside.
struct t_digest {
  using input = double;
  using state = t_digest_state;
  using output = t_digest_state;
  static constexpr law laws = law::associative | law::commutative;

  double delta = 100.0;

  state identity() const {
    check_argument(delta >= 1.0, "t_digest", "delta", delta, "1 or more");
    return {};
  }
  state lift(input const& x) const {
    state s = identity();
    if (x != x) {
      s.nans = 1;
      return s;
    }
    s.centroids.push_back({x, 1.0});
    s.weight = 1.0;
    s.least = s.greatest = x;
    return s;
  }
  state combine(state const& a, state const& b) const {
    state s;
    s.weight = a.weight + b.weight;
    s.least = b.least < a.least ? b.least : a.least;
    s.greatest = b.greatest > a.greatest ? b.greatest : a.greatest;
    s.nans = a.nans + b.nans;
    double before = 0.0;
    std::size_t i = 0, j = 0;
    while (i < a.centroids.size() || j < b.centroids.size()) {
      bool const take_b = i == a.centroids.size() || (j < b.centroids.size() && b.centroids[j].mean < a.centroids[i].mean);
      centroid const c = take_b ? b.centroids[j++] : a.centroids[i++];
      if (!s.centroids.empty() && fits(s, before, s.centroids.back(), c)) {
        centroid& last = s.centroids.back();
        double const both = last.weight + c.weight;
        last.mean = last.mean == c.mean ? c.mean : last.mean + (c.mean - last.mean) * (c.weight / both);
        last.weight = both;
      } else {
        if (!s.centroids.empty()) before += s.centroids.back().weight;
        s.centroids.push_back(c);
      }
    }
    return s;
  }
  output lower(state const& s) const { return s; }

 private:
  // infinities stay on their own
  bool fits(state const& s, double before, centroid const& last, centroid const& c) const {
    if (!is_finite(last.mean) || !is_finite(c.mean)) return last.mean == c.mean;
    double const both = last.weight + c.weight;
    double const q = (before + both / 2.0) / s.weight;
    return both <= 4.0 * s.weight * q * (1.0 - q) / delta;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
