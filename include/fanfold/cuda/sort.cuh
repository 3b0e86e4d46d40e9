#pragma once

#if !defined(__CUDACC__)
#error "fanfold/cuda is for nvcc: include it from .cu files."
#endif

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cub/device/device_radix_sort.cuh>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/cuda/error.cuh"
#include "fanfold/cuda/executor.cuh"

namespace fanfold::inline FANFOLD_ABI::cuda {

/// Sorts by the lowest `bits` bits of the keys, rising, equal ones in their old order, and carries the values along. Outputs must not
/// overlap inputs. CUB's radix sort; its scratch memory comes from `ws`.
template <std::unsigned_integral K, class V>
void sort_pairs(executor const& ex, view<K const> keys, view<K> sorted_keys, view<V const> values, view<V> sorted_values, int bits,
                workspace& ws) {
  int const end = bits < static_cast<int>(8 * sizeof(K)) ? bits : static_cast<int>(8 * sizeof(K));
  std::size_t bytes = 0;
  auto const sort = [&](void* scratch) {
    check(cub::DeviceRadixSort::SortPairs(scratch, bytes, keys.data(), sorted_keys.data(), values.data(), sorted_values.data(), keys.size(), 0,
                                          end, ex.stream()),
          "cub::DeviceRadixSort::SortPairs");
  };
  if (keys.empty()) return;
  sort(nullptr);
  workspace::frame frame(ws);
  sort(frame.take<std::byte>(static_cast<std::int64_t>(bytes)).data());
}

}  // namespace fanfold::inline FANFOLD_ABI::cuda
