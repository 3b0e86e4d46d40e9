#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/dispatch/detail/key_sort.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/status.hpp"

namespace fanfold::inline FANFOLD_ABI::dispatch {

namespace detail {

template <class Key>
struct sort_keys_body {
  Key key;
  std::uint32_t* status;

  template <block B, class K>
  FANFOLD_HD void operator()(B& b, view<K> keys, view<std::int32_t> positions) const {
    for (std::int64_t i = grid_thread(b); i < keys.size(); i += grid_threads(b)) {
      if (!key.sound(i)) raise(b, status, data_fault::not_finite);
      keys.data()[i] = key(i);
      positions.data()[i] = static_cast<std::int32_t>(i);
    }
  }
};

}  // namespace detail

/// Device form of the sorts behind `priority`, `by_score` and `at_random`; with kernel/bin.hpp all of `make_plan`.
template <device_executor E, class Key>
void run_loop(E const& ex, key_sort_loop<Key> const& loop, view<std::int32_t> order, workspace& ws) {
  using K = decltype(loop.key(0));
  std::int64_t const n = order.size();
  if (n == 0) return;
  workspace::frame frame(ws);
  auto const keys = frame.take<K>(n), sorted = frame.take<K>(n);
  auto const positions = frame.take<std::int32_t>(n);
  using body = detail::sort_keys_body<Key>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{loop.key, ex.status()}, blocks_for(ex, n, threads, threads), threads, keys, positions);
  sort_pairs(ex, as_const(keys), sorted, as_const(positions), order, static_cast<int>(8 * sizeof(K)), ws);
}

}  // namespace fanfold::inline FANFOLD_ABI::dispatch
