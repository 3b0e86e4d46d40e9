#pragma once

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// What a NaN among the values of a coordinate means for order statistics.
enum class nonfinite {
  as_pos_inf,  ///< it counts as +inf, so that rules which trim f values on each side survive f of them
  propagate,   ///< the coordinate's result is NaN
  reject       ///< argument_error before anything is written; on a device a fault that the next fetch throws, counted as +inf
};

}  // namespace fanfold::inline FANFOLD_ABI
