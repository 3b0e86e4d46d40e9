#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/message.hpp"
#include "fanfold/fold/order.hpp"
#include "fanfold/fold/row_fold.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/status.hpp"
#include "fanfold/kernel/warp.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <row_monoid R, message Message, class Empty>
struct segmented_loop;

namespace detail {

/// A row of which V neighbouring columns were loaded at once; `[i]` is the i-th of them.
template <class Row, class T, int V>
struct packed_row : Row {
  pack<T, V> items;
  FANFOLD_HD constexpr auto operator[](std::int64_t c) const {
    if constexpr (requires { this->weight; })
      return this->weight * to_arithmetic(items.item[c]);
    else
      return items.item[c];
  }
};

/// A row seen from column `first` on.
template <class Row>
struct shifted_row : Row {
  std::int64_t first;
  FANFOLD_HD constexpr auto operator[](std::int64_t c) const { return static_cast<Row const&>(*this)[first + c]; }
};

template <int V, class Row>
FANFOLD_HD auto columns_of(Row const& row, std::int64_t first) {
  if constexpr (V > 1)
    return packed_row<Row, std::remove_cvref_t<decltype(*row.data)>, V>{row, load_pack<V>(row.data + first)};
  else
    return shifted_row<Row>{row, first};
}

/// Elements of a message's rows that one 16-byte load can bring: 1 where they are computed.
template <class Message>
inline constexpr int message_pack = 1;
template <class T>
inline constexpr int message_pack<source_rows<T>> = widest_pack<T>;
template <class T, class W>
inline constexpr int message_pack<weighted_source_rows<T, W>> = widest_pack<T>;
template <class T>
inline constexpr int message_pack<edge_rows<T>> = widest_pack<T>;

template <int V, class Message>
bool rows_are_packs(Message const& items) {
  return is_pack_aligned<V>(items.x.data()) && items.x.stride() % V == 0 && items.x.cols() % V == 0;
}

/// Tiles of 2,048 rows go through memory: the tiles of a segment [begin, end) longer than that take slots from begin / 1024 on, which are
/// never those of another one.
struct tile_slots {
  FANFOLD_HD static constexpr std::int64_t of_entries(std::int64_t entries) { return entries / (tile_items / 2) + 1; }
  FANFOLD_HD static constexpr std::int64_t first(std::int64_t begin) { return begin / (tile_items / 2); }
  FANFOLD_HD static constexpr bool is_long(std::int64_t rows) { return rows > tile_items; }
};

/// Up to 2,048 rows by the ordered tree, its levels in registers.
template <class R, int V>
class register_row_tree {
 public:
  FANFOLD_HD void push(R const& r, row_state<R, V> s, unsigned index) {
    bool carry = true;
    for (int l = 0; l < levels; ++l) {
      if (!carry) continue;
      if (index >> l & 1)
        s.merge_behind(r, level_[l], V);
      else {
        level_[l] = s;
        carry = false;
      }
    }
  }
  /// The root of `count` >= 1 pushed states.
  FANFOLD_HD void root(R const& r, row_state<R, V>& s, unsigned count) const {
    if (count == 0 || count >> levels != 0) __builtin_unreachable();  // else g++ sees a state that was never set
    bool started = false;
    for (int l = 0; l < levels; ++l) {
      if (!(count >> l & 1)) continue;
      if (started)
        s.merge_behind(r, level_[l], V);
      else
        s = level_[l];
      started = true;
    }
  }

 private:
  static constexpr int levels = 7;  // 64 runs
  row_state<R, V> level_[levels]{};  // set: compilers cannot follow which levels the bits of a count name
};

/// The seven levels of a tree over V columns and the state at work, which a thread keeps in registers.
template <class R, int V>
inline constexpr int tree_bytes = 8 * static_cast<int>(sizeof(row_state<R, V>));

/// Columns of a thread: as many as a load brings, fewer of large states.
template <class R, int V>
constexpr int columns_of_thread() {
  if constexpr (V > 1 && tree_bytes<R, V> > 320)
    return columns_of_thread<R, V / 2>();
  else
    return V;
}

/// Large trees want the registers of two threads.
template <class R, int V>
inline constexpr unsigned tree_threads = tree_bytes<R, V> > 160 ? 128 : 256;

template <class R, class Message, class Empty>
struct segments_base {
  segmented_loop<R, Message, Empty> loop;
  view<std::int64_t const> offsets;
  view<std::int32_t const> ids;
  std::uint32_t* status;

  FANFOLD_HD std::int64_t segments() const { return offsets.size() - 1; }

  /// The message of an entry. An id out of range is noted and read as 0, so that nothing foreign is touched.
  template <class B>
  FANFOLD_HD auto row_at(B& b, std::int64_t segment, std::int64_t entry) const {
    std::int64_t source = entry;
    if (ids.data() != nullptr) {
      source = ids.data()[entry];
      if (source < 0 || source >= loop.items.sources()) {
        raise(b, status, data_fault::id_out_of_range);
        source = 0;
      }
    }
    return loop.items.row(segment, source, entry);
  }

  template <int V, class B>
  FANFOLD_HD void fold_run(B& b, std::int64_t segment, std::int64_t begin, std::int64_t end, std::int64_t first, row_state<R, V>& s) const {
    s.start(loop.rows, columns_of<V>(row_at(b, segment, begin), first), 0, V);
    for (std::int64_t e = begin + 1; e < end; ++e) s.absorb(loop.rows, columns_of<V>(row_at(b, segment, e), first), 0, V);
  }

  /// Rows [begin, end), 1 to 2,048 of them.
  template <int V, class B>
  FANFOLD_HD void fold_tile(B& b, std::int64_t segment, std::int64_t begin, std::int64_t end, std::int64_t first, row_state<R, V>& s) const {
    if (end - begin <= run_items) return fold_run<V>(b, segment, begin, end, first, s);
    register_row_tree<R, V> tree;
    unsigned runs = 0;
    for (std::int64_t run = begin; run < end; run += run_items, ++runs) {
      fold_run<V>(b, segment, run, run + run_items < end ? run + run_items : end, first, s);
      tree.push(loop.rows, s, runs);
    }
    tree.root(loop.rows, s, runs);
  }

  /// Whether the segment's offsets make sense; else it is noted and treated as empty.
  template <class B>
  FANFOLD_HD bool bounds(B& b, std::int64_t segment, std::int64_t entries, std::int64_t& begin, std::int64_t& end) const {
    begin = offsets.data()[segment];
    end = offsets.data()[segment + 1];
    if (begin >= 0 && begin <= end && end <= entries) return true;
    raise(b, status, data_fault::offsets_not_ascending);
    return false;
  }
};

/// A thread folds V columns of a segment of at most 2,048 rows; neighbouring threads take neighbouring columns.
template <int V, class R, class Message, class Empty>
struct short_segments_body : segments_base<R, Message, Empty> {
  static constexpr unsigned max_threads = tree_threads<R, V>;

  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, matrix_view<Out> out, std::int64_t entries) const {
    std::int64_t const groups = out.cols() / V;
    for (std::int64_t i = grid_thread(b); i < this->segments() * groups; i += grid_threads(b)) {
      std::int64_t const segment = i / groups, first = (i - segment * groups) * V;
      std::int64_t begin, end;
      bool const sound = this->bounds(b, segment, entries, begin, end);
      if (sound && tile_slots::is_long(end - begin)) continue;
      Out* const to = out.data() + segment * out.stride() + first;
      if (!sound || begin == end) {
        store_empty_row(this->loop.rows, this->loop.empty, to, V);
        continue;
      }
      row_state<R, V> s;
      this->template fold_tile<V>(b, segment, begin, end, first, s);
      store_row(this->loop.rows, s, to, V);
    }
  }
};

/// A warp folds V columns of a segment: lane l the runs 2l and 2l + 1, then adjacent pairs. For few columns and long segments.
template <int V, class R, class Message, class Empty>
struct narrow_segments_body : segments_base<R, Message, Empty> {
  static constexpr unsigned max_threads = tree_threads<R, V>;

  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, matrix_view<Out> out, std::int64_t entries) const {
    std::int64_t const groups = out.cols() / V;
    for (std::int64_t i = grid_warp(b); i < this->segments() * groups; i += grid_warps(b)) {
      std::int64_t const segment = i / groups, first = (i - segment * groups) * V;
      std::int64_t begin, end;
      bool const sound = this->bounds(b, segment, entries, begin, end);
      if (sound && tile_slots::is_long(end - begin)) continue;
      Out* const to = out.data() + segment * out.stride() + first;
      if (!sound || begin == end) {
        if (lane_of(b) == 0) store_empty_row(this->loop.rows, this->loop.empty, to, V);
        continue;
      }
      row_state<R, V> const s = fold_by_warp(b, segment, begin, end, first);
      if (lane_of(b) == 0) store_row(this->loop.rows, s, to, V);
    }
  }

  /// Rows [begin, end), 1 to 2,048 of them; the result is in lane 0.
  template <class B>
  FANFOLD_HD row_state<R, V> fold_by_warp(B& b, std::int64_t segment, std::int64_t begin, std::int64_t end, std::int64_t first) const {
    std::int64_t const lane = lane_of(b), pair = begin + lane * 2 * run_items, middle = pair + run_items;
    row_state<R, V> s{}, second{};
    if (pair < end) this->template fold_run<V>(b, segment, pair, middle < end ? middle : end, first, s);
    if (middle < end) {
      this->template fold_run<V>(b, segment, middle, middle + run_items < end ? middle + run_items : end, first, second);
      second.merge_behind(this->loop.rows, s, V);
      s = second;
    }
    std::int64_t const lanes = divide_up(end - begin, 2 * run_items);
    for (std::int64_t w = 1; w < 32; w *= 2) {
      row_state<R, V> other = b.shuffle_down(s, static_cast<unsigned>(w));
      if (lane % (2 * w) == 0 && lane + w < lanes) {
        other.merge_behind(this->loop.rows, s, V);
        s = other;
      }
    }
    return s;
  }
};

/// Long segments, first pass: a thread folds V columns of a tile of 2,048 rows into the tile's slot.
template <int V, class R, class Message, class Empty>
struct long_segment_tiles_body : segments_base<R, Message, Empty> {
  static constexpr unsigned max_threads = tree_threads<R, V>;

  template <block B>
  FANFOLD_HD void operator()(B& b, view<row_state<R, V>> slots, std::int64_t groups, std::int64_t entries) const {
    std::int64_t const count = tile_slots::of_entries(entries);
    for (std::int64_t i = grid_thread(b); i < count * groups; i += grid_threads(b)) {
      std::int64_t const slot = i / groups, first = (i - slot * groups) * V;
      std::int64_t const segment = owner(slot);
      std::int64_t begin, end;
      if (segment < 0 || !this->bounds(b, segment, entries, begin, end) || !tile_slots::is_long(end - begin)) continue;
      std::int64_t const tile = begin + (slot - tile_slots::first(begin)) * tile_items;
      if (tile >= end) continue;
      row_state<R, V> s;
      this->template fold_tile<V>(b, segment, tile, tile + tile_items < end ? tile + tile_items : end, first, s);
      slots.data()[i] = s;
    }
  }

 private:
  // The last segment whose first slot is not behind `slot`: the only one that can own it, if it is long enough.
  FANFOLD_HD std::int64_t owner(std::int64_t slot) const {
    std::int64_t low = 0, high = this->segments();
    while (low < high) {
      std::int64_t const middle = low + (high - low) / 2;
      if (tile_slots::first(this->offsets.data()[middle]) <= slot)
        low = middle + 1;
      else
        high = middle;
    }
    return low - 1;
  }
};

/// Second pass: a thread takes V columns of a long segment and combines its slots in place, level by level.
template <int V, class R, class Message, class Empty>
struct long_segments_body : segments_base<R, Message, Empty> {
  template <block B, class Out>
  FANFOLD_HD void operator()(B& b, view<row_state<R, V>> slots, matrix_view<Out> out, std::int64_t entries) const {
    std::int64_t const groups = out.cols() / V;
    for (std::int64_t i = grid_thread(b); i < this->segments() * groups; i += grid_threads(b)) {
      std::int64_t const segment = i / groups, group = i - segment * groups;
      std::int64_t const begin = this->offsets.data()[segment], end = this->offsets.data()[segment + 1];
      if (begin < 0 || begin > end || end > entries || !tile_slots::is_long(end - begin)) continue;
      row_state<R, V>* const mine = slots.data() + tile_slots::first(begin) * groups + group;
      for (std::int64_t n = divide_up(end - begin, tile_items); n > 1; n = divide_up(n, 2))
        for (std::int64_t j = 0; 2 * j < n; ++j) {
          row_state<R, V> s = mine[2 * j * groups];
          if (2 * j + 1 < n) {
            row_state<R, V> right = mine[(2 * j + 1) * groups];
            right.merge_behind(this->loop.rows, s, V);
            s = right;
          }
          mine[j * groups] = s;
        }
      store_row(this->loop.rows, mine[0], out.data() + segment * out.stride() + group * V, V);
    }
  }
};

template <int V, class E, class R, class Message, class Empty, class Out>
void launch_segments(E const& ex, segmented_loop<R, Message, Empty> const& loop, view<std::int64_t const> offsets, view<std::int32_t const> ids,
                     std::int64_t entries, matrix_view<Out> out, workspace& ws) {
  segments_base<R, Message, Empty> const base{loop, offsets, ids, ex.status()};
  std::int64_t const groups = out.cols() / V, items = out.rows() * groups;
  if (items == 0) return;
  if (groups < 8 && entries / out.rows() >= 4 * run_items) {
    using body = narrow_segments_body<V, R, Message, Empty>;
    unsigned const threads = threads_for<body>(ex);
    ex.launch(body{base}, blocks_for(ex, items, threads / 32, threads), threads, out, entries);
  } else {
    using body = short_segments_body<V, R, Message, Empty>;
    unsigned const threads = threads_for<body>(ex);
    ex.launch(body{base}, blocks_for(ex, items, threads, threads), threads, out, entries);
  }
  if (!tile_slots::is_long(entries)) return;
  workspace::frame frame(ws);
  auto const slots = frame.take<row_state<R, V>>(tile_slots::of_entries(entries) * groups);
  using tiles = long_segment_tiles_body<V, R, Message, Empty>;
  unsigned const threads = threads_for<tiles>(ex);
  ex.launch(tiles{base}, blocks_for(ex, slots.size(), threads, threads), threads, slots, groups, entries);
  using rest = long_segments_body<V, R, Message, Empty>;
  unsigned const rest_threads = threads_for<rest>(ex);
  ex.launch(rest{base}, blocks_for(ex, items, rest_threads, rest_threads), rest_threads, slots, out, entries);
}

}  // namespace detail

/// Bytes that a neighbour fold of `entries` rows of `columns` items moves on a device: each message row and id is read once, each answer is
/// written once, which is also the least; the tiles of segments over 2,048 rows add a write and a read a tile.
template <class T, class Out>
constexpr std::int64_t segmented_traffic(std::int64_t segments, std::int64_t entries, std::int64_t columns, bool with_ids) {
  return entries * (columns * static_cast<std::int64_t>(sizeof(T)) + (with_ids ? 4 : 0)) + segments * columns * static_cast<std::int64_t>(sizeof(Out)) +
         (segments + 1) * 8;
}

/// Device form of E2: one launch over (segment, columns); two more for segments longer than 2,048 rows where there may be some.
template <device_executor E, class R, class Message, class Empty, class Out, order_policy Order>
void run_loop(E const& ex, segmented_loop<R, Message, Empty> const& loop, view<std::int64_t const> offsets, view<std::int32_t const> ids,
              matrix_view<Out> out, Order, workspace& ws) {
  std::int64_t entries = 0;
  if (ids.data() != nullptr)
    entries = ids.size();
  else
    entries = loop.items.sources();
  constexpr int V = detail::columns_of_thread<R, detail::message_pack<Message>>();
  if constexpr (V > 1) {
    if (detail::rows_are_packs<V>(loop.items)) return detail::launch_segments<V>(ex, loop, offsets, ids, entries, out, ws);
  }
  detail::launch_segments<1>(ex, loop, offsets, ids, entries, out, ws);
}

}  // namespace fanfold::inline FANFOLD_ABI
