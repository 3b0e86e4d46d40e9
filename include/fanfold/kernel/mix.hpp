#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/gossip/variance_correction.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/map_fold.hpp"

// What `gossip::mix` needs on a device besides map_fold: the affine steps of the variance correction.
namespace fanfold::inline FANFOLD_ABI::gossip {

template <class A, class Target>
struct correction_loop;

namespace detail {

/// A thread takes a node's segment.
template <class Loop>
struct correction_body {
  static constexpr unsigned max_threads = 128;

  Loop loop;

  template <block B>
  FANFOLD_HD void operator()(B& b) const {
    for (std::int64_t i = grid_thread(b); i < loop.nodes * loop.segments.size(); i += grid_threads(b)) loop(i);
  }
};

}  // namespace detail

/// Device form of the correction's steps: one launch.
template <device_executor E, class A, class Target>
void run_loop(E const& ex, correction_loop<A, Target> const& loop) {
  using body = detail::correction_body<correction_loop<A, Target>>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop}, blocks_for(ex, loop.nodes * loop.segments.size(), threads, threads), threads);
}

}  // namespace fanfold::inline FANFOLD_ABI::gossip
