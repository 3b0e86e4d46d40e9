#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/kernel/device_executor.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Launches a body that loops over `items` by grid_thread(), by grid_warp(), or by index() and blocks(): a thread, a warp or a block an item.
/// No items, no launch.
template <device_executor E, class Body, class... Args>
void launch_threads(E const& ex, Body const& body, std::int64_t items, Args const&... args) {
  unsigned const threads = threads_for<Body>(ex);
  ex.launch(body, blocks_for(ex, items, threads, threads), threads, args...);
}
template <device_executor E, class Body, class... Args>
void launch_warps(E const& ex, Body const& body, std::int64_t items, Args const&... args) {
  unsigned const threads = threads_for<Body>(ex);
  ex.launch(body, blocks_for(ex, items, threads / 32, threads), threads, args...);
}
template <device_executor E, class Body, class... Args>
void launch_blocks(E const& ex, Body const& body, std::int64_t items, Args const&... args) {
  unsigned const threads = threads_for<Body>(ex);
  ex.launch(body, blocks_for(ex, items, 1, threads), threads, args...);
}

}  // namespace fanfold::inline FANFOLD_ABI
