#pragma once

#include <cstdint>

namespace bench {

/// Thrust's OpenMP system, on `threads` threads.
float thrust_sum(float const* x, std::int64_t n, int threads);
void thrust_inclusive_sum(float const* x, float* y, std::int64_t n, int threads);
/// Sorts `values` by `keys`, stably; both are overwritten.
void thrust_sort_by_key(std::int32_t* keys, std::int32_t* values, std::int64_t n, int threads);

}  // namespace bench
