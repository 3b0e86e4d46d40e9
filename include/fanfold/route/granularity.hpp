#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// Kairos' dynamic patching (2509.25826): a patch of `length` values is routed over `levels` granularities (ids below `levels`) and null
/// experts. It becomes 2^phi equal segments, phi the finest chosen level, and a segment sees for each chosen level g the aligned window of
/// length / 2^g values that holds it, with weight w_g over the sum of the chosen levels' weights.
struct granularity {
  std::int64_t length = 32;
  std::int64_t levels = 3;

  struct segment {
    std::int64_t patch, first, last;  ///< values [first, last) of the patch
    std::int64_t views;               ///< where its views start
  };
  struct window {
    std::int32_t level;
    std::int64_t first, last;
    double weight;
  };
  struct segments {
    std::vector<std::int64_t> row_ptr;  ///< of each patch, into `segment`; patches + 1
    std::vector<granularity::segment> segment;
    std::vector<window> view;  ///< those of segment s: [segment[s].views, the next one's), finest last
  };

  template <class W, class Id>
  segments split(assignment<W, Id> const& a) const {
    static constexpr char function[] = "route::granularity";
    check_argument(levels >= 1 && levels < 63, function, "levels", levels, "1 to 62");
    check_argument(length >= 1 && length % (std::int64_t{1} << (levels - 1)) == 0, function, "length", length, "a multiple of 2^(levels - 1)");
    segments s;
    s.row_ptr.push_back(0);
    for (std::int64_t t = 0; t < a.rows(); ++t) {
      std::vector<double> weight(static_cast<std::size_t>(levels), -1);
      std::int64_t finest = 0;
      double sum = 0;
      for (std::int64_t j = 0; j < a.slots(); ++j) {
        auto const g = static_cast<std::int64_t>(a.id(t, j));
        if (g < 0 || g >= levels) continue;
        weight[static_cast<std::size_t>(g)] = static_cast<double>(to_arithmetic(a.weight(t, j)));
        sum += weight[static_cast<std::size_t>(g)];
        finest = g > finest ? g : finest;
      }
      std::int64_t const size = length >> finest;
      for (std::int64_t first = 0; first < length; first += size) {
        s.segment.push_back({t, first, first + size, static_cast<std::int64_t>(s.view.size())});
        for (std::int64_t g = 0; g < levels; ++g) {
          double const w = weight[static_cast<std::size_t>(g)];
          std::int64_t const wide = length >> g, start = first / wide * wide;
          if (w >= 0) s.view.push_back({static_cast<std::int32_t>(g), start, start + wide, sum == 0 ? 0 : w / sum});
        }
      }
      s.row_ptr.push_back(static_cast<std::int64_t>(s.segment.size()));
    }
    return s;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
