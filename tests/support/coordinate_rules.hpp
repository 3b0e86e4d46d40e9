#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/fold/coordinate_rule.hpp"

// Small order statistics that tests of coordinate_fold use, independent of the library's own rules.
namespace support {

struct midpoint_median {
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    std::int64_t const n = v.size();
    V const high = v[n / 2];
    return n % 2 == 1 ? high : (v[n / 2 - 1] + high) / V(2);
  }
};

struct trimmed {
  std::int64_t f = 0;

  void check(std::int64_t n) const { fanfold::check_argument(2 * f < n, "trimmed", "f", f, "below half the number of rows"); }
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    using scalar = typename fanfold::detail::lanes_of<V>::scalar;
    return fanfold::sum_of_ranks(v, f, v.size() - f) / V(static_cast<scalar>(v.size() - 2 * f));
  }
};

/// Mean of the n - f values nearest to the median, the lower of two equally near ones.
struct around_median {
  std::int64_t f = 0;

  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    using scalar = typename fanfold::detail::lanes_of<V>::scalar;
    V const m = midpoint_median{}(v);
    std::int64_t const kept = v.size() - f;
    V start(scalar(0));
    for (std::int64_t t = 0; t < f; ++t) start = start + fanfold::choose(v[t + kept] - m < m - v[t], V(scalar(1)), V(scalar(0)));
    return fanfold::sum_of_window(v, start, kept, f) / V(static_cast<scalar>(kept));
  }
};

struct extremes {
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    return fanfold::small_array<typename Column::value_type, 2>{v[0], v[v.size() - 1]};
  }
};

}  // namespace support
