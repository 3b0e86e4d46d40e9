#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/statistic.hpp"
#include "fanfold/fold/tree.hpp"
#include "fanfold/kernel/block.hpp"
#include "fanfold/kernel/device_executor.hpp"
#include "fanfold/kernel/pack.hpp"
#include "fanfold/kernel/row_table.hpp"
#include "fanfold/kernel/segment_table.hpp"

namespace fanfold::inline FANFOLD_ABI {

template <class S>
struct measure_loop;

namespace detail {

template <class S>
struct statistic_sums {
  double field[std::size_t{S::fields}];

  FANFOLD_HD void add(statistic_sums const& other) {
    for (int f = 0; f < S::fields; ++f) field[f] = field[f] + other.field[f];
  }
};

/// The interleaved tree of a tile by half a warp: thread h holds lanes 4 h to 4 h + 3, so that it loads 16 bytes of floats at a time and the
/// first four of the six halvings are shuffles.
template <class S>
struct lane_quad {
  statistic_sums<S> lane[4];

  FANFOLD_HD static lane_quad none() {
    lane_quad q;
    for (int e = 0; e < 4; ++e)
      for (int f = 0; f < S::fields; ++f) q.lane[e].field[f] = 0;
    return q;
  }
  /// Elements 4 h to 4 h + present - 1 of a row of 64.
  template <class A>
  FANFOLD_HD void absorb(S const& statistic, A const (&x)[4], A pivot, std::int64_t present, bool first) {
    for (int e = 0; e < 4; ++e) {
      statistic_sums<S> s;
      statistic.lift(x[e], pivot, s.field);
      if (e >= present) continue;
      if (first)
        lane[e] = s;
      else
        lane[e].add(s);
    }
  }
};

/// The sum over the lanes that n elements reach, in the first thread of each half of the warp; every lane of the warp calls it.
template <class B, class S>
FANFOLD_HD statistic_sums<S> halve_quad(B& b, lane_quad<S> mine, std::int64_t n) {
  std::int64_t const first = 4 * static_cast<std::int64_t>(lane_of(b) % 16);
  for (unsigned t = 8; t > 0; t /= 2) {  // lanes 4 t apart
    lane_quad<S> const other = b.shuffle_down(mine, t);
    for (int e = 0; e < 4; ++e)
      if (first < 4 * t && first + e + 4 * t < n) mine.lane[e].add(other.lane[e]);
  }
  if (n > 2) mine.lane[0].add(mine.lane[2]);
  if (n > 3) mine.lane[1].add(mine.lane[3]);
  if (n > 1) mine.lane[0].add(mine.lane[1]);
  return mine.lane[0];
}

/// Whether N elements from every row's start on, and from every multiple of N on, can be loaded at once.
template <int N, class T>
bool rows_are_aligned(rows_view<T> const& rows) {
  constexpr int V = N < widest_pack<T> ? N : widest_pack<T>;
  if (rows.table() == nullptr && rows.rows() > 1 && rows.step() % V != 0) return false;
  std::int64_t const looked_at = rows.table() == nullptr ? (rows.rows() > 0) : rows.rows();
  for (std::int64_t i = 0; i < looked_at; ++i)
    if (!is_pack_aligned<V>(rows.row_data(i))) return false;
  return true;
}

/// N elements in the arithmetic type by the widest loads there are, or one by one those of [low, high), the others 0. The ordinary path: the
/// memory may be written in the same launch.
template <int N, class T>
FANFOLD_HD void load_elements(T const* from, bool packs, int low, int high, arithmetic_t<T> (&x)[std::size_t{N}]) {
  constexpr int V = N < widest_pack<T> ? N : widest_pack<T>;
  if (packs && low == 0 && high == N) {
    for (int first = 0; first < N; first += V) {
      pack<T, V> const p = load_changing_pack<V>(from + first);
      for (int i = 0; i < V; ++i) x[first + i] = to_arithmetic(p.item[i]);
    }
  } else {
    for (int i = 0; i < N; ++i) {
      x[i] = arithmetic_t<T>(0);
      if (i >= low && i < high) x[i] = to_arithmetic(from[i]);
    }
  }
}

template <int N, class U, class A>
FANFOLD_HD void store_elements(U* to, bool packs, int low, int high, A const (&x)[std::size_t{N}]) {
  constexpr int V = N < widest_pack<U> ? N : widest_pack<U>;
  if (packs && low == 0 && high == N) {
    for (int first = 0; first < N; first += V) {
      pack<U, V> p;
      for (int i = 0; i < V; ++i) p.item[i] = from_arithmetic<U>(x[first + i]);
      store_device_pack<V>(to + first, p);
    }
  } else {
    for (int i = 0; i < N; ++i)
      if (i >= low && i < high) to[i] = from_arithmetic<U>(x[i]);
  }
}

/// Where half a warp works: a tile of a segment of one row or output.
struct half_warp_tile {
  std::int64_t row = 0, segment = 0, tile = 0;
  std::int64_t begin = 0;  // first element
  std::int64_t n = 0;      // elements, 0: nothing to do
  bool packs = false;      // the tile starts at a multiple of 4 elements

  /// Item `item` of rows x tiles, rows fastest, so that rows which share inputs take the same elements at about the same time.
  FANFOLD_HD static half_warp_tile of(std::int64_t item, std::int64_t rows, device_segments const& segments) {
    half_warp_tile t;
    t.tile = item / rows;
    t.row = item % rows;
    if (t.tile >= segments.units) return t;
    t.segment = segments.owner(t.tile);
    device_segment const s = segments.item[t.segment];
    std::int64_t const before = (t.tile - s.first) * tile_items;
    t.begin = s.offset + before;
    t.n = s.count - before < tile_items ? s.count - before : tile_items;
    t.packs = s.offset % 4 == 0;
    return t;
  }
};

/// Sums of a statistic over the tiles of rows, about each segment's first element: of row r and tile t at sums[r * tiles + t].
template <class S, class T>
struct measure_tiles_body {
  using A = arithmetic_t<T>;
  static constexpr unsigned max_threads = 128;

  S statistic;
  device_rows<T const> rows;
  device_segments segments;
  bool aligned;

  template <block B>
  FANFOLD_HD void operator()(B& b, statistic_sums<S>* sums) const {
    unsigned const half = lane_of(b) / 16;
    for (std::int64_t w = grid_warp(b); 2 * w < rows.rows() * segments.units; w += grid_warps(b)) {
      half_warp_tile const at = half_warp_tile::of(2 * w + half, rows.rows(), segments);
      lane_quad<S> mine = lane_quad<S>::none();
      if (at.n > 0) {
        T const* const row = in_device_memory(rows.row_data(at.row));
        A const pivot = to_arithmetic(row[segments.item[at.segment].offset]);
        std::int64_t const first = 4 * static_cast<std::int64_t>(lane_of(b) % 16);
        for (std::int64_t c = first; c < at.n; c += tile_lanes) {
          std::int64_t const present = at.n - c;
          A x[4];
          load_elements<4>(row + at.begin + c, aligned && at.packs, 0, present < 4 ? static_cast<int>(present) : 4, x);
          mine.absorb(statistic, x, pivot, present, c == first);
        }
      }
      statistic_sums<S> const total = halve_quad(b, mine, at.n);
      if (at.n > 0 && lane_of(b) % 16 == 0) sums[at.row * segments.units + at.tile] = total;
    }
  }
};

/// A block combines the tile sums of one (output row, segment, column) by adjacent pairs, in place, and writes the answer.
/// `pivots`, of (output row, segment, column), in the order of `out`.
template <class S, class A>
struct finish_statistics_body {
  static constexpr unsigned max_threads = 256;

  S statistic;
  device_segments segments;
  std::int64_t columns;

  template <block B>
  FANFOLD_HD void operator()(B& b, statistic_sums<S>* sums, A const* pivots, matrix_view<double> out) const {
    std::int64_t const warps = warps_of(b);
    for (std::int64_t i = b.index(); i < out.rows() * columns; i += b.blocks()) {
      std::int64_t const column = i % columns, place = i / columns, s = place % segments.count, row = place / segments.count;
      device_segment const segment = segments.item[s];
      statistic_sums<S>* const mine = sums + (row * columns + column) * segments.units + segment.first;
      for (std::int64_t n = divide_up(segment.count, tile_items); n > 1; n = divide_up(n, 32)) {
        // A group of 32 goes to where an earlier group was read from: reads of a round stand before its writes, and later rounds read behind them.
        for (std::int64_t round = 0; 32 * round < n; round += warps) {
          std::int64_t const group = round + warp_of(b), first = 32 * group, lane = lane_of(b);
          statistic_sums<S> sum{};
          if (first + lane < n) sum = mine[first + lane];
          for (unsigned w = 1; w < 32; w *= 2) {
            statistic_sums<S> const other = b.shuffle_down(sum, w);
            if (lane % (2 * w) == 0 && first + lane + w < n) sum.add(other);
          }
          b.sync();
          if (lane == 0 && first < n) mine[group] = sum;
        }
        b.sync();
      }
      if (b.thread() == 0) write(mine, segment.count, pivots[i], &out(place, column * S::fields));
    }
  }

 private:
  FANFOLD_HD void write(statistic_sums<S> const* sums, std::int64_t count, A pivot, double* out) const {
    double answer[std::size_t{S::fields}] = {};
    if (count > 0) {
      statistic_sums<S> const total = *sums;
      for (int f = 0; f < S::fields; ++f) answer[f] = total.field[f];
      statistic.lower(answer, static_cast<double>(pivot), count);
    }
    for (int f = 0; f < S::fields; ++f) out[f] = answer[f];
  }
};

/// The first elements of the segments of rows.
template <class T>
struct row_pivots_body {
  template <block B>
  FANFOLD_HD void operator()(B& b, device_rows<T const> rows, device_segments segments, std::int64_t rows_a_place, arithmetic_t<T>* pivots,
                             std::int64_t columns) const {
    // place p = (r / rows_a_place, s) and column r % rows_a_place
    for (std::int64_t i = grid_thread(b); i < rows.rows() * segments.count; i += grid_threads(b)) {
      std::int64_t const r = i / segments.count, s = i % segments.count, place = r / rows_a_place * segments.count + s;
      device_segment const segment = segments.item[s];
      if (segment.count > 0) pivots[place * columns + r % rows_a_place] = to_arithmetic(rows.row_data(r)[segment.offset]);
    }
  }
};

template <class E, class S, class T>
void launch_measure(E const& ex, S const& statistic, device_rows<T const> const& rows, device_segments const& segments, bool aligned,
                    statistic_sums<S>* sums) {
  using body = measure_tiles_body<S, T>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{statistic, rows, segments, aligned}, blocks_for(ex, rows.rows() * segments.units, threads / 16, threads), threads, sums);
}

template <class E, class S, class A>
void launch_finish(E const& ex, S const& statistic, device_segments const& segments, std::int64_t columns, statistic_sums<S>* sums, A const* pivots,
                   matrix_view<double> out) {
  using body = finish_statistics_body<S, A>;
  unsigned const threads = threads_for<body>(ex);
  ex.launch(body{statistic, segments, columns}, blocks_for(ex, out.rows() * columns, 1, threads), threads, sums, pivots, out);
}

}  // namespace detail

/// Bytes that the device form of `measure` reads and writes: the rows once, which is the least, and a few doubles a tile of 2,048 elements.
template <class S, class T>
constexpr std::int64_t measure_traffic(std::int64_t rows, std::int64_t elements, std::int64_t segments) {
  std::int64_t const tiles = detail::divide_up(elements, tile_items) + segments;
  return rows * (elements * static_cast<std::int64_t>(sizeof(T)) + 8 * S::fields * (3 * tiles + segments));
}

/// Device form of `measure`: a launch over the tiles of all rows and one over (row, segment).
template <device_executor E, class S, class T, class R>
void run_loop(E const& ex, measure_loop<S> const& loop, rows_view<T const> rows, view<R const> segments, matrix_view<double> out, workspace& ws) {
  if (out.rows() == 0) return;
  workspace::frame frame(ws);
  device_segments const tiles = to_device_segments(ex, segments, tile_items, 1, frame);
  device_rows<T const> const from = to_device_rows(ex, rows, frame);
  auto* const sums = frame.take<detail::statistic_sums<S>>(rows.rows() * tiles.units).data();
  auto* const pivots = frame.take<arithmetic_t<T>>(out.rows()).data();
  using pivot_body = detail::row_pivots_body<T>;
  unsigned const threads = threads_for<pivot_body>(ex);
  ex.launch(pivot_body{}, blocks_for(ex, out.rows(), threads, threads), threads, from, tiles, std::int64_t{1}, pivots, std::int64_t{1});
  detail::launch_measure(ex, loop.statistic, from, tiles, detail::rows_are_aligned<4>(rows), sums);
  detail::launch_finish(ex, loop.statistic, tiles, 1, sums, static_cast<arithmetic_t<T> const*>(pivots), out);
}

}  // namespace fanfold::inline FANFOLD_ABI
