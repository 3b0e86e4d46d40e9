#pragma once

#include <cstddef>
#include <vector>

#include <doctest/doctest.h>

namespace support {

/// `gradient` agrees with the central differences of loss() in each at[i], relative to the larger of the two and `scale`.
template <class Loss>
void check_central_differences(Loss const& loss, std::vector<double>& at, std::vector<double> const& gradient, double epsilon, double scale, double step = 1e-5) {
  for (std::size_t i = 0; i < at.size(); ++i) {
    double const kept = at[i];
    at[i] = kept + step;
    double const up = loss();
    at[i] = kept - step;
    double const down = loss();
    at[i] = kept;
    CHECK(gradient[i] == doctest::Approx((up - down) / (2 * step)).epsilon(epsilon).scale(scale));
  }
}

}  // namespace support
