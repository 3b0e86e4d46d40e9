#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/ieee.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Central sums of a set of items: how many (or how heavy), their mean, and `sum (x - mean)^k` for k = 2..P.
template <int P, class Count = std::uint64_t>
struct moments_state {
  Count count;
  double mean;
  double sums[std::size_t{P}];  // sums[k - 2] = M_k; the last one is unused, so that P = 1 has an array

  FANFOLD_HD constexpr double sum_of_power(int k) const { return sums[k - 2]; }

  template <class Same>
  constexpr bool matches(moments_state const& other, Same const& same) const {
    bool equal = same(count, other.count) && same(mean, other.mean);
    for (int k = 2; k <= P; ++k) equal = equal && same(sums[k - 2], other.sums[k - 2]);
    return equal;
  }
};

/// What moments<P> answers. Of no items the mean is NaN (unless `moments::empty_mean` says otherwise) and so is every ratio.
template <int P, class Count = std::uint64_t>
struct moments_result : moments_state<P, Count> {
  using base = moments_state<P, Count>;

  /// Population variance M2 / n; 0 for one item.
  FANFOLD_HD constexpr double variance() const
    requires(P >= 2)
  {
    return base::sums[0] / weight();
  }
  /// M2 / (n - 1); NaN for one item.
  FANFOLD_HD constexpr double sample_variance() const
    requires(P >= 2)
  {
    return weight() <= 1.0 ? math::quiet_nan<double>() : base::sums[0] / (weight() - 1.0);
  }
  FANFOLD_HD double standard_deviation() const
    requires(P >= 2)
  {
    return math::sqrt(variance());
  }
  /// sqrt(n) M3 / M2^1.5; NaN where M2 = 0.
  FANFOLD_HD double skewness() const
    requires(P >= 3)
  {
    double const m2 = base::sums[0];
    return m2 == 0.0 ? math::quiet_nan<double>() : math::sqrt(weight()) * base::sums[1] / (m2 * math::sqrt(m2));
  }
  /// n M4 / M2^2 - 3; NaN where M2 = 0.
  FANFOLD_HD constexpr double excess_kurtosis() const
    requires(P >= 4)
  {
    double const m2 = base::sums[0];
    return m2 == 0.0 ? math::quiet_nan<double>() : weight() * base::sums[2] / (m2 * m2) - 3.0;
  }

  template <class Same>
  constexpr bool matches(moments_result const& other, Same const& same) const {
    return base::matches(other, same);
  }

 private:
  FANFOLD_HD constexpr double weight() const { return static_cast<double>(base::count); }
};

namespace detail {

/// The sums of two sides, pairwise merged. `na` and `nb` are the sides' counts, neither 0; the grouping of the products makes the merge
/// commutative bit for bit. A mean of zero is +0 (hence `+ 0.0` where it could become -0), because -0 + 0 and -0 - 0 differ.
template <int P>
FANFOLD_HD constexpr void merge_moments(double na, double mean_a, double const* a, double nb, double mean_b, double const* b, double& mean,
                                        double* out) {
  double const n = na + nb;
  double const p = na * nb;
  double const d = mean_b - mean_a;
  double const h = d / n;
  mean = na > nb ? mean_a + h * nb : na < nb ? mean_b - h * na : (na * mean_a + nb * mean_b) / n + 0.0;
  if constexpr (P >= 4)
    out[2] = (((a[2] + b[2]) + ((((d * h) * h) * h) * p) * ((na * na + nb * nb) - p)) + (6.0 * (h * h)) * ((na * na) * b[0] + (nb * nb) * a[0])) +
             (4.0 * h) * (na * b[1] - nb * a[1]);
  if constexpr (P >= 3) out[1] = ((a[1] + b[1]) + (((d * h) * h) * p) * (na - nb)) + (3.0 * h) * (na * b[0] - nb * a[0]);
  if constexpr (P >= 2) out[0] = (a[0] + b[0]) + (d * h) * p;
}

/// Whether infinite items leave an infinity or a NaN depends on the order of merges, that they leave no finite mean does not: NaN for all.
template <int P>
FANFOLD_HD constexpr void mark_non_finite(double state_mean, double& mean, double* sums) {
  if (state_mean - state_mean == 0.0) return;
  mean = math::quiet_nan<double>();
  for (int k = 2; k <= P; ++k) sums[k - 2] = math::quiet_nan<double>();
}

template <int P, class State>
FANFOLD_HD constexpr State combine_moments(State const& a, State const& b) {
  if (b.count == 0) return a.count == 0 ? State{} : a;
  if (a.count == 0) return b;
  State s{};
  s.count = a.count + b.count;
  merge_moments<P>(static_cast<double>(a.count), a.mean, a.sums, static_cast<double>(b.count), b.mean, b.sums, s.mean, s.sums);
  return s;
}

}  // namespace detail

/// Gradient of mean and variances with respect to an item: `d_mean / n + 2 d_variance (x - mean) / n + 2 d_sample (x - mean) / (n - 1)`.
struct moments_gradient {
  double mean = 0.0;
  double variance = 0.0;
  double sample_variance = 0.0;
};
struct moments_pullback {
  double mean = 0.0;
  double constant = 0.0;
  double slope = 0.0;
  template <class X>
  FANFOLD_HD constexpr double operator()(X const& x) const {
    return constant + slope * (static_cast<double>(to_arithmetic(x)) - mean);
  }
};

/// Count, mean and central sums up to power P (1 to 4) in one pass, in double.
///
/// `lift(x) = (1, x - shift)` (a zero is +0); `shift` is added back to the mean by lower and should lie among the data where their offset is large
/// compared with their spread. Merge: Chan, Golub, LeVeque 1979; Pebay 2008. Commutative bit for bit; associative up to rounding. Items that
/// are not all finite, or differ by more than the largest number, make everything but the count NaN.
template <int P = 2, class T = double>
struct moments {
  static_assert(P >= 1 && P <= 4);
  using input = T;
  using state = moments_state<P>;
  using output = moments_result<P>;
  static constexpr law laws = law::associative | law::commutative;

  double shift = 0.0;
  double empty_mean = math::quiet_nan<double>();

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    s.count = 1;
    s.mean = (static_cast<double>(to_arithmetic(x)) - shift) + 0.0;
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const { return detail::combine_moments<P>(a, b); }
  FANFOLD_HD constexpr output lower(state const& s) const {
    output result{s};
    result.mean = s.count == 0 ? empty_mean : s.mean + shift;
    if (s.count != 0) detail::mark_non_finite<P>(s.mean, result.mean, result.sums);
    return result;
  }
  /// A state taken with the shift `from` as one with the shift `to`: needed before states of different shifts are combined.
  FANFOLD_HD constexpr state rebase(state s, double from, double to) const {
    if (s.count != 0) s.mean += from - to;
    return s;
  }
  FANFOLD_HD constexpr moments_pullback fold_vjp(state const& final, moments_gradient const& g) const {
    double const n = static_cast<double>(final.count);
    if (final.count == 0) return {};
    double const sample = final.count > 1 ? 2.0 * g.sample_variance / (n - 1.0) : 0.0;
    return {final.mean + shift, g.mean / n, 2.0 * g.variance / n + sample};
  }

  /// Lanes hold equally many items, so that count and products of counts are scalars, and only h costs a division.
  template <int L>
  struct lane_block {
    double count;
    double mean[std::size_t{L}];
    double m2[std::size_t{P >= 2 ? L : 1}];
    double m3[std::size_t{P >= 3 ? L : 1}];
    double m4[std::size_t{P >= 4 ? L : 1}];

    FANFOLD_HD void start(moments const& m, input const* x) {
      double const offset = m.shift;  // a copy, which no store can change
      count = 1.0;
      for (int l = 0; l < L; ++l) {
        mean[l] = (static_cast<double>(to_arithmetic(x[l])) - offset) + 0.0;
        if constexpr (P >= 2) m2[l] = 0.0;
        if constexpr (P >= 3) m3[l] = 0.0;
        if constexpr (P >= 4) m4[l] = 0.0;
      }
    }
    FANFOLD_HD void absorb(moments const& m, input const* FANFOLD_RESTRICT x) {
      if (count == 1.0)
        step<true>(m, x);
      else
        step<false>(m, x);
    }
    FANFOLD_HD state lane(moments const&, int l) const {
      state s{};
      s.count = static_cast<std::uint64_t>(count);
      s.mean = mean[l];
      if constexpr (P >= 2) s.sums[0] = m2[l];
      if constexpr (P >= 3) s.sums[1] = m3[l];
      if constexpr (P >= 4) s.sums[2] = m4[l];
      return s;
    }

   private:
    template <bool Second>
    FANFOLD_HD void step(moments const& m, input const* FANFOLD_RESTRICT x) {
      double const offset = m.shift;
      double const na = count;
      double const n = na + 1.0;
      for (int l = 0; l < L; ++l) {
        double const item = (static_cast<double>(to_arithmetic(x[l])) - offset) + 0.0;
        double const d = item - mean[l];
        double const h = d / n;
        // the merge of detail::merge_moments with nb = 1 and sums of 0 on that side, which are never -0 on this one
        if constexpr (P >= 4)
          m4[l] = ((m4[l] + ((((d * h) * h) * h) * na) * ((na * na + 1.0) - na)) + (6.0 * (h * h)) * m2[l]) + (4.0 * h) * (0.0 - m3[l]);
        if constexpr (P >= 3) m3[l] = (m3[l] + (((d * h) * h) * na) * (na - 1.0)) + (3.0 * h) * (0.0 - m2[l]);
        if constexpr (P >= 2) m2[l] = m2[l] + (d * h) * na;
        mean[l] = Second ? (mean[l] + item) / n + 0.0 : mean[l] + h;
      }
      count = n;
    }
  };
};

/// State of weighted moments: the sum of weights stands for the count, and their squares are summed.
template <int P>
struct weighted_moments_state : moments_state<P, double> {
  double squared_weights;

  template <class Same>
  constexpr bool matches(weighted_moments_state const& other, Same const& same) const {
    return moments_state<P, double>::matches(other, same) && same(squared_weights, other.squared_weights);
  }
};

/// `count` is the sum W of the weights.
template <int P>
struct weighted_moments_result : moments_result<P, double> {
  double squared_weights;

  /// M2 / (W - W2 / W): unbiased for reliability weights. `sample_variance()`, M2 / (W - 1), is the one for frequency weights.
  FANFOLD_HD constexpr double reliability_variance() const
    requires(P >= 2)
  {
    return this->sums[0] / (this->count - squared_weights / this->count);
  }
  template <class Same>
  constexpr bool matches(weighted_moments_result const& other, Same const& same) const {
    return moments_state<P, double>::matches(other, same) && same(squared_weights, other.squared_weights);
  }
};

/// Gradients with respect to the value and to the weight of an item.
struct weighted_pullback {
  double mean = 0.0;
  double per_weight = 0.0;  // d_mean / W
  FANFOLD_HD constexpr weighted<double> operator()(weighted<double> const& x) const {
    return {per_weight * x.weight, per_weight * (x.value - mean)};
  }
};

/// moments<P> of items with weights >= 0; an item of weight 0 is absent.
template <int P = 2, class T = double>
struct weighted_moments {
  static_assert(P >= 1 && P <= 4);
  using input = weighted<T>;
  using state = weighted_moments_state<P>;
  using output = weighted_moments_result<P>;
  static constexpr law laws = law::associative | law::commutative;

  double shift = 0.0;
  double empty_mean = math::quiet_nan<double>();

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& x) const {
    state s{};
    double const w = static_cast<double>(to_arithmetic(x.weight));
    if (w == 0.0) return s;
    s.count = w;
    s.mean = (static_cast<double>(to_arithmetic(x.value)) - shift) + 0.0;
    s.squared_weights = w * w;
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    state s = detail::combine_moments<P>(a, b);
    s.squared_weights = a.squared_weights + b.squared_weights;
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    output result{};
    result.count = s.count;
    result.mean = s.count == 0.0 ? empty_mean : s.mean + shift;
    for (int k = 2; k <= P; ++k) result.sums[k - 2] = s.sums[k - 2];
    if (s.count != 0.0) detail::mark_non_finite<P>(s.mean, result.mean, result.sums);
    result.squared_weights = s.squared_weights;
    return result;
  }
  /// Of the weighted mean: `dx_i = g w_i / W`, `dw_i = g (x_i - mean) / W`.
  FANFOLD_HD constexpr weighted_pullback fold_vjp(state const& final, double g) const {
    return {final.mean + shift, final.count == 0.0 ? 0.0 : g / final.count};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
