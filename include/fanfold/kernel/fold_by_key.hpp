#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold_by_key.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// 1 where a key differs from the one before it.
struct key_heads_body {
  template <block B, class Key>
  FANFOLD_HD void operator()(B& b, view<Key const> keys, view<std::int64_t> heads) const {
    for (std::int64_t i = grid_thread(b); i < keys.size(); i += grid_threads(b))
      heads.data()[i] = i == 0 || !(keys.data()[i] == keys.data()[i - 1]) ? 1 : 0;
  }
};

/// Given the running count of heads: where each run begins, and its key. Runs without room are noted and dropped.
struct key_runs_body {
  std::uint32_t* status;

  template <block B, class Key>
  FANFOLD_HD void operator()(B& b, view<Key const> keys, view<std::int64_t const> run, view<std::int64_t> offsets, view<Key> out_keys,
                             view<std::int64_t> count) const {
    std::int64_t const room = out_keys.size(), runs = keys.empty() ? 0 : run.data()[keys.size() - 1];
    for (std::int64_t i = grid_thread(b); i < keys.size(); i += grid_threads(b)) {
      std::int64_t const r = run.data()[i] - 1;
      if (i > 0 && run.data()[i - 1] - 1 == r) continue;
      if (r < room) {
        offsets.data()[r] = i;
        out_keys.data()[r] = keys.data()[i];
      } else if (r == room) {
        offsets.data()[r] = i;  // the end of the last run that has room
      }
    }
    // runs that do not exist are empty
    for (std::int64_t r = runs + grid_thread(b); r <= room; r += grid_threads(b)) offsets.data()[r] = keys.size();
    if (grid_thread(b) != 0) return;
    count.data()[0] = runs < room ? runs : room;
    if (runs > room) raise(b, status, data_fault::capacity_exceeded);
  }
};

}  // namespace detail

/// Device form of the runs of `fold_by_key`: heads, their scan, placement.
template <device_executor E, class Key>
void run_loop(E const& ex, key_runs_loop, view<Key const> keys, view<std::int64_t> offsets, view<Key> out_keys, view<std::int64_t> count, workspace& ws) {
  workspace::frame frame(ws);
  auto const heads = frame.take<std::int64_t>(keys.size()), run = frame.take<std::int64_t>(keys.size());
  unsigned const threads = threads_for<detail::key_heads_body>(ex);
  ex.launch(detail::key_heads_body{}, blocks_for(ex, keys.size(), threads, threads), threads, keys, heads);
  if (!keys.empty()) scan(ex, plus<std::int64_t>{}, heads, run, scan_kind::inclusive, ws);
  ex.launch(detail::key_runs_body{ex.status()}, blocks_for(ex, keys.size() + 1, threads, threads), threads, keys, as_const(run), offsets, out_keys, count);
}

}  // namespace fanfold::inline FANFOLD_ABI
