#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::testing {

/// The largest |out - mean_S|^2 / (mean over S of |x_i - mean_S|^2) over all sets S of n - f rows with some variance: a rule is
/// (f, kappa)-robust where this never exceeds kappa (Allouah et al. 2023). Looks at every subset, so n up to about 12.
template <class T>
double robustness_ratio(rows_view<T const> const& rows, view<T const> out, std::int64_t f) {
  std::int64_t const n = rows.rows(), d = rows.cols();
  double worst = 0;
  std::vector<double> mean(static_cast<std::size_t>(d));
  for (std::uint64_t set = 0; set < std::uint64_t{1} << n; ++set) {
    std::int64_t size = 0;
    for (std::int64_t i = 0; i < n; ++i) size += static_cast<std::int64_t>(set >> i & 1);
    if (size != n - f) continue;
    double away = 0, variance = 0;
    for (std::int64_t c = 0; c < d; ++c) {
      double& m = mean[static_cast<std::size_t>(c)];
      m = 0;
      for (std::int64_t i = 0; i < n; ++i)
        if (set >> i & 1) m += static_cast<double>(rows.row_data(i)[c]) / static_cast<double>(size);
      for (std::int64_t i = 0; i < n; ++i)
        if (set >> i & 1) {
          double const x = static_cast<double>(rows.row_data(i)[c]) - m;
          variance += x * x / static_cast<double>(size);
        }
      double const x = static_cast<double>(out[c]) - m;
      away += x * x;
    }
    if (variance > 0 && away / variance > worst) worst = away / variance;
  }
  return worst;
}

}  // namespace fanfold::inline FANFOLD_ABI::testing
