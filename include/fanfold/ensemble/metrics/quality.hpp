#pragma once

#include <cstdint>

#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/ensemble/metrics/sample.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// Negative log-likelihood, mean of -log max(p_label, floor); infinite where a true class has probability 0 and the floor is 0.
template <class T = float>
struct negative_log_likelihood : mean_metric {
  using input = labelled_sample<T>;
  double floor = 0;

  FANFOLD_HD mean_state lift(input const& x) const {
    double const p = static_cast<double>(to_arithmetic(x.p[x.label]));
    return {0.0 - math::log(p < floor ? floor : p), 1};  // +0 where p is 1
  }
};

/// Brier score, mean of sum_c (p_c - [c = label])^2.
template <class T = float>
struct brier_score : mean_metric {
  using input = labelled_sample<T>;

  FANFOLD_HD mean_state lift(input const& x) const {
    double sum = 0;
    for (std::int64_t c = 0; c < x.classes; ++c) {
      double const d = static_cast<double>(to_arithmetic(x.p[c])) - (c == x.label ? 1.0 : 0.0);
      sum += d * d;
    }
    return {sum, 1};
  }
};

/// Share of samples whose label is among the `k` largest scores; of equal scores the lower class comes first. Counts are exact.
template <class T = float>
struct accuracy : mean_metric {
  using input = labelled_sample<T>;
  std::int64_t k = 1;

  FANFOLD_HD mean_state lift(input const& x) const {
    auto const own = to_arithmetic(x.p[x.label]);
    std::int64_t ahead = 0;
    for (std::int64_t c = 0; c < x.classes; ++c) {
      auto const p = to_arithmetic(x.p[c]);
      ahead += p > own || (p == own && c < x.label);
    }
    return {ahead < k ? 1.0 : 0.0, 1};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
