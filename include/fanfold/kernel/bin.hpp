#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/bin.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/monoid/arithmetic.hpp"

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

/// Keys in visiting order, made sortable: skipped ones behind all bins. A key out of range is noted and skipped.
template <class V>
struct bin_keys_body {
  V order;
  std::uint32_t* status;

  template <block B>
  FANFOLD_HD void operator()(B& b, std::uint32_t bins, view<std::uint32_t> keys, view<std::int32_t> items) const {
    std::int64_t const length = order.run_length();
    for (std::int64_t i = grid_thread(b); i < keys.size(); i += grid_threads(b)) {
      std::int64_t const r = i / length;
      auto const run = order.run(r);
      std::int32_t const key = run.key(i - r * length);
      bool const inside = key >= 0 && static_cast<std::uint32_t>(key) < bins;
      if (!inside && key != -1) raise(b, status, data_fault::id_out_of_range);
      keys.data()[i] = inside ? static_cast<std::uint32_t>(key) : bins;
      items.data()[i] = static_cast<std::int32_t>(run.item(i - r * length));
    }
  }
};

/// Where each bin's keys begin in the sorted sequence, how many there are and are kept, and the rows that they occupy.
template <class L>
struct bin_counts_body {
  L layout;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::uint32_t const> sorted, view<std::int32_t> counts, view<std::int32_t> kept, view<std::int64_t> first,
                             view<std::int64_t> rows) const {
    for (std::int64_t e = grid_thread(b); e < counts.size(); e += grid_threads(b)) {
      std::int64_t const begin = lower_bound(sorted, static_cast<std::uint32_t>(e));
      std::int64_t const n = lower_bound(sorted, static_cast<std::uint32_t>(e) + 1u) - begin, limit = layout.limit(e);
      std::int64_t const k = n < limit ? n : limit;
      counts.data()[e] = static_cast<std::int32_t>(n);
      kept.data()[e] = static_cast<std::int32_t>(k);
      first.data()[e] = begin;
      rows.data()[e] = layout.rows(k);
    }
  }

 private:
  FANFOLD_HD static std::int64_t lower_bound(view<std::uint32_t const> sorted, std::uint32_t key) {
    std::int64_t low = 0, high = sorted.size();
    while (low < high) {
      std::int64_t const middle = low + (high - low) / 2;
      if (sorted.data()[middle] < key)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
};

/// Gives each sorted key its row. Rows past the room in `src_of` are noted and dropped.
struct bin_place_body {
  std::uint32_t* status;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<std::uint32_t const> sorted, view<std::int32_t const> items, view<std::int64_t const> first,
                             bin_view out) const {
    auto const bins = static_cast<std::uint32_t>(out.counts.size());
    for (std::int64_t i = grid_thread(b); i < sorted.size(); i += grid_threads(b)) {
      std::uint32_t const e = sorted.data()[i];
      std::int32_t const item = items.data()[i];
      std::int64_t row = -1;
      if (e < bins) {
        std::int64_t const rank = i - first.data()[e];
        if (rank < out.kept.data()[e]) row = out.offsets.data()[e] + rank;
        if (row >= out.src_of.size()) {
          raise(b, status, data_fault::capacity_exceeded);
          row = -1;
        }
      }
      out.row_of.data()[item] = static_cast<std::int32_t>(row);
      if (row >= 0) out.src_of.data()[row] = item;
    }
  }
};

/// Marks padding rows, a warp a bin.
struct bin_padding_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, bin_view out) const {
    if (grid_thread(b) == 0) out.offsets.data()[0] = 0;
    for (std::int64_t e = grid_warp(b); e < out.counts.size(); e += grid_warps(b)) {
      std::int64_t const begin = e == 0 ? 0 : out.offsets.data()[e], end = out.offsets.data()[e + 1];
      std::int64_t const room = end < out.src_of.size() ? end : out.src_of.size();
      for (std::int64_t r = begin + out.kept.data()[e] + lane_of(b); r < room; r += 32) out.src_of.data()[r] = -1;
    }
  }
};

inline int bits_for(std::uint32_t largest) {
  int bits = 0;
  while (bits < 32 && (largest >> bits) != 0) ++bits;
  return bits;
}

}  // namespace detail

/// Device form of E6 `bin`: a stable sort by key, bounds of each bin by search, the scan of the bins' rows, placement. No atomics on the way,
/// so the same maps as on the host.
template <device_executor E, row_layout L, key_order V>
void run_loop(E const& ex, bin_loop<L, V> const& loop, bin_view const& out, workspace& ws) {
  std::int64_t const keys = loop.order.runs() * loop.order.run_length(), bins = out.counts.size();
  workspace::frame frame(ws);
  auto const key = frame.take<std::uint32_t>(keys), sorted = frame.take<std::uint32_t>(keys);
  auto const item = frame.take<std::int32_t>(keys), sorted_item = frame.take<std::int32_t>(keys);
  auto const first = frame.take<std::int64_t>(bins), rows = frame.take<std::int64_t>(bins);

  using keys_body = detail::bin_keys_body<V>;
  using counts_body = detail::bin_counts_body<L>;
  unsigned const threads = threads_for<keys_body>(ex);
  auto const blocks = [&](std::int64_t items, unsigned per_block) { return blocks_for(ex, items, per_block, threads); };
  ex.launch(keys_body{loop.order, ex.status()}, blocks(keys, threads), threads, static_cast<std::uint32_t>(bins), key, item);
  if (keys > 0)
    sort_pairs(ex, as_const(key), sorted, as_const(item), sorted_item, detail::bits_for(static_cast<std::uint32_t>(bins)), ws);
  ex.launch(counts_body{loop.layout}, blocks(bins, threads), threads, as_const(sorted), out.counts, out.kept, first, rows);
  if (bins > 0) scan(ex, plus<std::int64_t>{}, rows, out.offsets.subview(1, bins), scan_kind::inclusive, ws);
  ex.launch(detail::bin_padding_body{}, bins > 0 ? blocks(bins, threads / 32) : 1, threads, out);
  ex.launch(detail::bin_place_body{ex.status()}, blocks(keys, threads), threads, as_const(sorted), as_const(sorted_item), as_const(first), out);
}

}  // namespace fanfold::inline FANFOLD_ABI
