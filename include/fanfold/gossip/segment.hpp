#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"

namespace fanfold::inline FANFOLD_ABI::gossip {

/// What happens to a tensor in a gossip round, and what it is.
enum : std::uint32_t {
  seg_mix = 1,           // averaged; without it the node keeps its own
  seg_correct = 2,       // and its variance corrected
  seg_bias = 4,          // kinds, for the caller's use
  seg_norm = 8,
  seg_running_stat = 16,
};

/// One tensor of a model that is stored as a flat vector.
struct segment {
  std::int64_t offset = 0;
  std::int64_t count = 0;
  float fan_in = 0;   // only the xavier target reads these
  float fan_out = 0;
  std::uint32_t flags = seg_mix | seg_correct;
};

/// The segment of a weight tensor of shape `[out, in, ...]` (a matrix, a convolution kernel) at `offset`: mixed and corrected, fans from the shape; tensors of
/// fewer axes are biases or scales and are mixed only.
inline segment tensor_segment(std::int64_t offset, view<std::int64_t const> shape) {
  std::int64_t count = 1, field = 1;
  for (std::int64_t i = 0; i < shape.size(); ++i) {
    check_argument(shape[i] >= 0, "gossip::tensor_segment", "an axis", shape[i], "0 or more");
    count *= shape[i];
    if (i >= 2) field *= shape[i];
  }
  if (shape.size() < 2) return {offset, count, 0, 0, seg_mix | seg_bias};
  return {offset, count, static_cast<float>(shape[1] * field), static_cast<float>(shape[0] * field), seg_mix | seg_correct};
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
