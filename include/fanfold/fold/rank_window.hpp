#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Ranks [first, first + count) of a coordinate's sorted values. Of rows with the lowest value of the window those with the greater indices
/// are in it, as in a stable order, or those with the smaller ones where `lowest_by_index`.
struct rank_window {
  std::int64_t first = 0, count = 0;
  bool lowest_by_index = false;
};

}  // namespace fanfold::inline FANFOLD_ABI
