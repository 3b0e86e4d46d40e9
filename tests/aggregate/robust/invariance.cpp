#include <doctest/doctest.h>

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

TEST_CASE("robust: translation and the order of the rows") {
  support::for_each_robust_rule(11, 2, [&](char const* name, auto const& rule) {
    std::string const kind = name;
    CAPTURE(kind);
    table<double> const x = random_rows(11, 6, 21);
    auto const a = aggregated(rule, x);
    if (kind.find("clip") == std::string::npos && kind.find("flag") == std::string::npos) {
      table<double> moved = x;
      for (double& v : moved.data) v += 50;
      auto const b = aggregated(rule, moved);
      for (std::size_t c = 0; c < a.size(); ++c) CHECK(b[c] - 50 == doctest::Approx(a[c]).epsilon(1e-6).scale(1));
    }
    if (kind.find("trusted") == std::string::npos && kind.find("bucketing") == std::string::npos) {
      table<double> turned(11, 6);
      for (std::int64_t i = 0; i < 11; ++i)
        for (std::int64_t c = 0; c < 6; ++c) turned((i + 4) % 11, c) = x(i, c);
      auto const b = aggregated(rule, turned);
      for (std::size_t c = 0; c < a.size(); ++c) CHECK(b[c] == doctest::Approx(a[c]).epsilon(1e-6).scale(1));
    }
  });
}
