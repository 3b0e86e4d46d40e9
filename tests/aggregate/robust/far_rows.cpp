#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

TEST_CASE("robust: far finite rows") {
  for (double far : {1e2, 1e6, 1e12, 1e20, 1e30, 1e38}) {
    CAPTURE(far);
    table<double> x = random_rows(9, 6, 8);
    for (std::int64_t c = 0; c < 6; ++c) {
      x(7, c) = far * (1 + 0.1 * static_cast<double>(c));
      x(8, c) = -0.3 * far;
    }
    support::for_each_robust_rule(11, 2, [&](char const* name, auto const& rule) {
      std::string const kind = name;
      if (kind.find("bulyan") != std::string::npos || kind.find("flag") != std::string::npos || kind.find("trusted") != std::string::npos ||
          kind.find("bucketing") != std::string::npos)
        return;  // need more rows, bound otherwise, or trust a far one
      CAPTURE(kind);
      for (double v : aggregated(rule, x)) CHECK(std::fabs(v) < 5);
    });
    // the direct form of the geometric median, with the vectors themselves
    auto const fast = aggregated(geometric_median{}, x);
    std::vector<double> z(6), next(6);
    for (int step = 0; step < 2000; ++step) {
      double sum = 0;
      std::fill(next.begin(), next.end(), 0.0);
      for (std::int64_t i = 0; i < 9; ++i) {
        double square = 0;
        for (std::int64_t c = 0; c < 6; ++c) square += (x(i, c) - z[static_cast<std::size_t>(c)]) * (x(i, c) - z[static_cast<std::size_t>(c)]);
        double const w = 1 / std::sqrt(square);
        sum += w;
        for (std::int64_t c = 0; c < 6; ++c) next[static_cast<std::size_t>(c)] += w * x(i, c);
      }
      for (std::size_t c = 0; c < 6; ++c) z[c] = next[c] / sum;
    }
    for (std::size_t c = 0; c < 6; ++c) CHECK(fast[c] == doctest::Approx(z[c]).epsilon(1e-6).scale(1));
  }
}
