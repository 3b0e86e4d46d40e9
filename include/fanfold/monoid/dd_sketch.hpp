#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Counts of a logarithmic bin.
struct log_bin {
  std::int32_t index = 0;
  std::uint64_t count = 0;
  bool operator==(log_bin const&) const = default;
};

/// Bins of a DDSketch, ascending, and what is not a number with a logarithm.
struct dd_sketch_state {
  double alpha = 0.0;
  int max_bins = 0;
  std::vector<log_bin> positive;
  std::vector<log_bin> negative;  // by magnitude
  std::uint64_t zeros = 0;
  std::uint64_t nans = 0;
  std::uint64_t positive_infinities = 0;
  std::uint64_t negative_infinities = 0;
  bool operator==(dd_sketch_state const&) const = default;

  /// Numbers counted, infinities among them, NaN not.
  std::uint64_t count() const {
    std::uint64_t n = zeros + positive_infinities + negative_infinities;
    for (log_bin const& b : positive) n += b.count;
    for (log_bin const& b : negative) n += b.count;
    return n;
  }
  /// The item of rank floor(q (n - 1)) in ascending order, within a factor of 1 +- alpha unless its bin was clamped; NaN of no items.
  double quantile(double q) const {
    check_argument(q >= 0.0 && q <= 1.0, "dd_sketch::quantile", "q", q, "from 0 to 1");
    std::uint64_t const n = count();
    if (n == 0) return math::quiet_nan<double>();
    auto rank = static_cast<std::uint64_t>(q * static_cast<double>(n - 1));
    auto const within = [&](std::uint64_t c) {
      if (rank < c) return true;
      rank -= c;
      return false;
    };
    if (within(negative_infinities)) return -math::infinity<double>();
    for (std::size_t i = negative.size(); i-- > 0;)
      if (within(negative[i].count)) return -value(negative[i].index);
    if (within(zeros)) return 0.0;
    for (log_bin const& b : positive)
      if (within(b.count)) return value(b.index);
    return math::infinity<double>();
  }

  double log_gamma() const { return math::log((1.0 + alpha) / (1.0 - alpha)); }
  /// `2 g^i / (g + 1)`.
  double value(std::int32_t index) const {
    double const g = (1.0 + alpha) / (1.0 - alpha);
    return 2.0 * math::exp(static_cast<double>(index) * log_gamma()) / (g + 1.0);
  }
};

/// Quantiles of relative error alpha (Masson, Rim, Lee 2019) (host only): items are counted in bins `ceil(log_g |x|)`,
/// `g = (1 + alpha) / (1 - alpha)`; in each sign's store bins below `greatest - max_bins + 1` are clamped into that one. Exactly mergeable:
/// the default aggregator for quantiles. Operands of different parameters: argument_error.
struct dd_sketch {
  using input = double;
  using state = dd_sketch_state;
  using output = dd_sketch_state;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;

  double alpha = 0.01;
  int max_bins = 2048;

  state identity() const {
    check_argument(alpha > 0.0 && alpha < 1.0, "dd_sketch", "alpha", alpha, "between 0 and 1");
    check_argument(max_bins >= 1, "dd_sketch", "max_bins", max_bins, "1 or more");
    state s;
    s.alpha = alpha;
    s.max_bins = max_bins;
    return s;
  }
  state lift(input const& x) const {
    state s = identity();
    absorb(s, x);
    return s;
  }
  void absorb(state& s, input const& x) const {
    if (x != x)
      ++s.nans;
    else if (x == 0.0)
      ++s.zeros;
    else if (math::isinf(x))
      ++(x > 0.0 ? s.positive_infinities : s.negative_infinities);
    else
      count(x > 0.0 ? s.positive : s.negative, bin_of(s, x), s.max_bins);
  }
  state combine(state const& a, state const& b) const {
    check_argument(a.alpha == b.alpha && a.max_bins == b.max_bins, "dd_sketch", "an operand", "of other parameters", "of the same alpha and max_bins");
    state s = a;
    s.positive = merge(a.positive, b.positive, a.max_bins);
    s.negative = merge(a.negative, b.negative, a.max_bins);
    s.zeros += b.zeros;
    s.nans += b.nans;
    s.positive_infinities += b.positive_infinities;
    s.negative_infinities += b.negative_infinities;
    return s;
  }
  output lower(state const& s) const { return s; }

  static std::int32_t bin_of(state const& s, double x) { return static_cast<std::int32_t>(std::ceil(math::log(math::abs(x)) / s.log_gamma())); }

 private:
  using store = std::vector<log_bin>;

  static void count(store& bins, std::int32_t index, int max_bins) {
    std::size_t i = bins.size();
    while (i > 0 && bins[i - 1].index >= index) --i;
    if (i < bins.size() && bins[i].index == index)
      ++bins[i].count;
    else
      bins.insert(bins.begin() + static_cast<std::ptrdiff_t>(i), {index, 1});
    clamp(bins, max_bins);
  }
  static store merge(store const& a, store const& b, int max_bins) {
    store s;
    s.reserve(a.size() + b.size());
    std::size_t i = 0, j = 0;
    while (i < a.size() || j < b.size()) {
      if (j == b.size() || (i < a.size() && a[i].index < b[j].index))
        s.push_back(a[i++]);
      else if (i == a.size() || b[j].index < a[i].index)
        s.push_back(b[j++]);
      else {
        s.push_back({a[i].index, a[i].count + b[j].count});
        ++i, ++j;
      }
    }
    clamp(s, max_bins);
    return s;
  }
  static void clamp(store& bins, int max_bins) {
    if (bins.empty()) return;
    std::int32_t const least = bins.back().index - max_bins + 1;
    if (bins.front().index >= least) return;
    std::uint64_t sum = 0;
    std::size_t n = 0;
    for (; n < bins.size() && bins[n].index <= least; ++n) sum += bins[n].count;
    bins.erase(bins.begin(), bins.begin() + static_cast<std::ptrdiff_t>(n - 1));
    bins.front() = {least, sum};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
