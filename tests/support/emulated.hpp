#pragma once

#include "fanfold/core/workspace.hpp"
#include "fanfold/emulate/executor.hpp"

namespace support {

/// Whether ThreadSanitizer watches, under which emulated kernels are some hundred times slower: tests then try fewer sizes.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool thread_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool thread_sanitizer = true;
#else
inline constexpr bool thread_sanitizer = false;
#endif
#else
inline constexpr bool thread_sanitizer = false;
#endif

/// Whether the host's products are rounded before they are added, as those of the emulated device are: then both have the same bits.
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
inline constexpr bool same_products = false;
#else
inline constexpr bool same_products = true;
#endif

/// Calls f(ex) with emulated devices of several block sizes, blocks run in either order.
template <class F>
void for_each_geometry(F&& f) {
  for (unsigned threads : {32u, 64u, 128u, 256u})
    for (bool descending : {false, true}) {
      if (thread_sanitizer && (threads != 64 || descending)) continue;
      fanfold::workspace ws;
      fanfold::emulate::executor const ex(ws, {.block_threads = threads, .resident_blocks = 3, .descending = descending});
      f(ex);
    }
}

}  // namespace support
