#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/element_policy.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/gossip/segment.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// Averages alone.
struct no_correction {};

/// Mean and variance of a tensor's entries.
struct tensor_moments {
  double mean = 0;
  double variance = 0;
};

/// What a node averaged in one segment: k-th contributor (weight not 0, ascending id, the node itself at its own place), its weight and variance.
struct contributions {
  std::int64_t count = 0;
  std::int64_t self = -1;  // place of the node itself, -1 if its own weight is 0
  tensor_moments own{};
  double const* weights = nullptr;
  std::int32_t const* rows = nullptr;
  tensor_moments const* moments = nullptr;  // of row r at moments[r * stride]
  std::int64_t stride = 1;

  FANFOLD_HD constexpr double weight(std::int64_t k) const { return weights[k]; }
  FANFOLD_HD constexpr double variance(std::int64_t k) const { return moments[rows[k] * stride].variance; }
};

namespace detail {

/// Ordered tree over term(k), k in [0, n), k != skip; 0 without terms. Levels are found by constants, so that a device keeps them in registers.
template <class Term>
FANFOLD_HD double row_sum(Term const& term, std::int64_t n, std::int64_t skip = -1) {
  constexpr int levels = 27;
  double level[std::size_t{levels}] = {};
  std::uint32_t runs = 0;
  for (std::int64_t k = 0; k < n;) {
    double run = 0;
    std::int64_t in_run = 0;
    for (; k < n && in_run < run_items; ++k) {
      if (k == skip) continue;
      run = in_run == 0 ? term(k) : run + term(k);
      ++in_run;
    }
    if (in_run == 0) break;
    bool carry = true;
    for (int l = 0; l < levels; ++l) {
      if (!carry) continue;
      carry = (runs >> l & 1) != 0;
      if (carry)
        run = level[l] + run;
      else
        level[l] = run;
    }
    ++runs;
  }
  double sum = 0;
  bool first = true;
  for (int l = 0; l < levels; ++l) {
    if ((runs >> l & 1) == 0) continue;
    sum = first ? level[l] : level[l] + sum;
    first = false;
  }
  return sum;
}

struct weighted_variance {
  contributions const& c;
  FANFOLD_HD double operator()(std::int64_t k) const { return c.weight(k) * c.variance(k); }
};
struct plain_variance {
  contributions const& c;
  FANFOLD_HD double operator()(std::int64_t k) const { return c.variance(k); }
};

/// Mean over the received models; the own variance if there are none.
FANFOLD_HD inline double mean_received(contributions const& c) {
  std::int64_t const others = c.count - (c.self >= 0 ? 1 : 0);
  return others == 0 ? c.own.variance : row_sum(plain_variance{c}, c.count, c.self) / static_cast<double>(others);
}

}  // namespace detail

/// The variance that a tensor shall have after averaging: `target(contributions, segment, index of the segment)`; `reads_models` says whether it needs
/// the models' variances.
template <class T>
concept variance_target = requires(T const t, contributions const& c, segment const& s, std::int64_t i) {
  { T::reads_models } -> std::convertible_to<bool>;
  { t(c, s, i) } -> std::same_as<double>;
};

/// sum_j w_j v_j over everything averaged.
struct contributors {
  static constexpr bool reads_models = true;
  FANFOLD_HD double operator()(contributions const& c, segment const&, std::int64_t) const { return detail::row_sum(detail::weighted_variance{c}, c.count); }
};
/// Plain mean of the received models' variances, without the own one.
struct received {
  static constexpr bool reads_models = true;
  FANFOLD_HD double operator()(contributions const& c, segment const&, std::int64_t) const { return detail::mean_received(c); }
};
/// The node's own variance before mixing.
struct own_variance {
  static constexpr bool reads_models = true;
  FANFOLD_HD double operator()(contributions const& c, segment const&, std::int64_t) const { return c.own.variance; }
};
/// b v_own + (1 - b) mean of the received, b the own weight.
struct blend {
  static constexpr bool reads_models = true;
  FANFOLD_HD double operator()(contributions const& c, segment const&, std::int64_t) const {
    double const b = c.self >= 0 ? c.weight(c.self) : 0;
    if (c.count == (c.self >= 0 ? 1 : 0)) return c.own.variance;
    return b * c.own.variance + (1 - b) * detail::mean_received(c);
  }
};
/// A recorded value a segment, such as the variance at initialisation; in the executor's memory.
struct fixed_variance {
  static constexpr bool reads_models = false;
  view<double const> value{};
  FANFOLD_HD double operator()(contributions const&, segment const&, std::int64_t i) const { return value[i]; }
};
/// gain^2 * 2 / (fan_in + fan_out) (Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010).
struct xavier {
  static constexpr bool reads_models = false;
  double gain = 1;
  FANFOLD_HD double operator()(contributions const&, segment const& s, std::int64_t) const {
    return gain * gain * 2 / (static_cast<double>(s.fan_in) + static_cast<double>(s.fan_out));
  }
};

/// After averaging, each tensor is rescaled about its own mean so that its variance is what the target says: averages of unaligned models lose variance
/// like 1/m, and training stalls (Tian, Al-Ars, Kitsak and Hofstee, Vanishing Variance Problem in Fully Decentralized Neural-Network Systems, 2024).
///
/// With mean mu and variance V of the average a: s = sqrt((T + eps) / (V + eps)), at most max_scale, s := 1 + partial * (s - 1), y = mu + s (a - mu). Copied as
/// averaged: one element, s = 1, and, with a flag in the record, V = 0 or T < 0.
template <variance_target Target = contributors>
struct variance_corrected {
  Target target{};
  double eps = 0;
  double max_scale = math::infinity<double>();
  double partial = 1;
};
variance_corrected() -> variance_corrected<contributors>;
template <variance_target Target>
variance_corrected(Target) -> variance_corrected<Target>;
template <variance_target Target>
variance_corrected(Target, double) -> variance_corrected<Target>;
template <variance_target Target>
variance_corrected(Target, double, double) -> variance_corrected<Target>;
template <variance_target Target>
variance_corrected(Target, double, double, double) -> variance_corrected<Target>;

/// What a round did to one segment of one node.
enum : std::uint32_t { degenerate_variance = 1 };
struct correction_record {
  double mean = 0;      // of the average
  double variance = 0;  // of the average
  double target = 0;
  double scale = 1;
  std::uint32_t flags = 0;
};

namespace detail {

/// Steps 3 and 4 for one segment of one node.
template <class Target>
FANFOLD_HD correction_record correction_of(variance_corrected<Target> const& p, tensor_moments average, contributions const& c, segment const& s,
                                           std::int64_t index) {
  correction_record r{average.mean, average.variance, p.target(c, s, index), 1, 0};
  if (s.count <= 1 || (r.variance == 0 && r.target == 0)) return r;
  if (r.variance == 0 || r.target < 0) {
    r.flags = degenerate_variance;
    return r;
  }
  double scale = math::sqrt((r.target + p.eps) / (r.variance + p.eps));
  if (scale > p.max_scale) scale = p.max_scale;
  r.scale = 1 + p.partial * (scale - 1);
  return r;
}

template <class A>
FANFOLD_HD affine_step<A> step_of(correction_record const& r) {
  return {static_cast<A>(r.mean), static_cast<A>(r.scale), r.scale != 1};
}

template <bool Host>
void check_policy(no_correction const&, view<segment const>) {}

template <bool Host, class Target>
void check_policy(variance_corrected<Target> const& p, view<segment const> segments) {
  char const* const f = "gossip::mix";
  check_argument(p.eps >= 0 && p.eps < math::infinity<double>(), f, "eps", p.eps, "finite and 0 or more");
  check_argument(p.max_scale >= 0, f, "max_scale", p.max_scale, "0 or more");
  check_argument(p.partial >= 0 && p.partial <= 1, f, "partial", p.partial, "in [0, 1]");
  if constexpr (requires { p.target.value; }) {
    check_argument(p.target.value.size() == segments.size(), f, "number of fixed variances", p.target.value.size(), "the number of segments");
    if constexpr (Host)
      for (double v : p.target.value) check_argument(v >= 0 && v < math::infinity<double>(), f, "a fixed variance", v, "finite and 0 or more");
  }
  if constexpr (requires { p.target.gain; }) {
    check_argument(p.target.gain * p.target.gain < math::infinity<double>(), f, "gain", p.target.gain, "finite");
    for (segment const& s : segments)
      if ((s.flags & seg_correct) && s.count > 0)
        check_argument(s.fan_in >= 0 && s.fan_out >= 0 && s.fan_in + s.fan_out > 0 && s.fan_in + s.fan_out < math::infinity<float>(), f, "fan_in + fan_out",
                       s.fan_in + s.fan_out, "finite and above 0");
  }
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::gossip
