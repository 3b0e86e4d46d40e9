#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Ranks [first, first + count) of a coordinate's sorted values.
struct rank_window {
  std::int64_t first = 0, count = 0;
};

}  // namespace fanfold::inline FANFOLD_ABI
