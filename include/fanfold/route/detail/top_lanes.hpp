#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "fanfold/core/config.hpp"
#include "fanfold/route/detail/lane_sort.hpp"
#include "fanfold/route/detail/row_lanes.hpp"

namespace fanfold::inline FANFOLD_ABI::route::detail {

/// The best K keys of each lane's row with their ids, best first; ties to the lower id.
template <int K>
struct lane_list {
  lane_ints key[std::size_t{K}];
  lane_ints id[std::size_t{K}];
};

/// By inserting every key into a sorted list in registers. K is what the list holds, at most 8.
template <int K>
FANFOLD_NOINLINE void top_by_insertion(lane_ints const* key, std::int64_t n, lane_ints* best_key, lane_ints* best_id) {
  lane_list<K> list;
  unrolled<K>([&](auto j) __attribute__((always_inline)) {
    list.key[j] = lanes_of(INT32_MIN);
    list.id[j] = lanes_of(-1);
  });
  for (std::int64_t e = 0; e < n; ++e) {
    lane_ints const x = key[e];
    lane_ints const id = lanes_of(static_cast<std::int32_t>(e));
    unrolled<K>([&](auto up) __attribute__((always_inline)) {
      constexpr int j = K - 1 - up;
      lane_ints const here = x > list.key[j];  // strict: of equal keys the one met first stays ahead
      if constexpr (j > 0) {
        lane_ints const above = x > list.key[j - 1];
        list.id[j] = lanes_select(above, list.id[j - 1], lanes_select(here, id, list.id[j]));
        list.key[j] = lanes_max(list.key[j], lanes_min(list.key[j - 1], x));
      } else {
        list.id[j] = lanes_select(here, id, list.id[j]);
        list.key[j] = lanes_max(list.key[j], x);
      }
    });
  }
  unrolled<K>([&](auto j) __attribute__((always_inline)) {
    best_key[j] = list.key[j];
    best_id[j] = list.id[j];
  });
}

/// Bit e % 32 of word[e / 32]: key[e] >= threshold. `n` is a multiple of 8; `word` has one vector more than it takes.
FANFOLD_NOINLINE inline void mark_from(lane_ints const* key, std::int64_t n, lane_ints threshold, lane_ints* word) {
  for (std::int64_t first = 0; first < n; first += 32) {
    lane_ints bits{};
    std::int64_t const count = n - first < 32 ? n - first : 32;
    for (std::int64_t i = 0; i < count; i += 8)
      unrolled<8>([&](auto j) __attribute__((always_inline)) {
        bits |= (key[first + i + j] >= threshold) & static_cast<std::int32_t>(std::uint32_t{1} << (i + j));
      });
    word[first / 32] = bits;
  }
  word[(n + 31) / 32] = lane_ints{};
}

/// The marked experts of a lane, 64 a word.
struct lane_marks {
  lane_ints const* word;
  int lane;
  std::uint64_t operator()(std::int64_t w) const {
    return static_cast<std::uint32_t>(word[2 * w][lane]) | std::uint64_t{static_cast<std::uint32_t>(word[2 * w + 1][lane])} << 32;
  }
};

/// The ids of exactly k marks, ascending. May write up to id[2 k).
inline void collect_exactly(lane_marks const& marks, std::int64_t words, std::int64_t k, std::int32_t* id) {
  std::int64_t const share = 2 * k / words + 2;
  std::int64_t const usual = share < k ? share : k;  // most words hold no more: no branch for each bit
  for (std::int64_t w = 0; w < words; ++w) {
    std::uint64_t bits = marks(w);
    std::int64_t const count = __builtin_popcountll(bits);
    std::int64_t i = 0;
    for (; i < usual; ++i, bits &= bits - 1) id[i] = static_cast<std::int32_t>(64 * w + __builtin_ctzll(bits | std::uint64_t{1} << 63));
    for (; i < count; ++i, bits &= bits - 1) id[i] = static_cast<std::int32_t>(64 * w + __builtin_ctzll(bits));
    id += count;
  }
}

/// Of more marks than k the ids above the threshold, and of those at it the first ones.
inline void collect_with_ties(lane_marks const& marks, std::int64_t words, std::int64_t k, lane_ints const* key, std::int32_t threshold,
                              std::int32_t* id) {
  std::int64_t ties = k;
  for (std::int64_t w = 0; w < words; ++w)
    for (std::uint64_t bits = marks(w); bits != 0; bits &= bits - 1) ties -= key[64 * w + __builtin_ctzll(bits)][marks.lane] > threshold ? 1 : 0;
  for (std::int64_t w = 0; w < words; ++w)
    for (std::uint64_t bits = marks(w); bits != 0; bits &= bits - 1) {
      std::int64_t const e = 64 * w + __builtin_ctzll(bits);
      if (key[e][marks.lane] == threshold && ties-- <= 0) continue;
      *id++ = static_cast<std::int32_t>(e);
    }
}

/// The best choices of each lane, `size` of them (a power of two from 8 on): columns of `size` vectors that lie one after the other.
struct lane_choices {
  std::int64_t size;
  lane_ints* key;
  lane_ints* id;
  lane_floats* weight;
  lane_ints* spare;
  std::byte* row;  // 2 size numbers of 4 bytes for each lane in turn; size more behind the last
  lane_ints* word;    // experts / 32 + 2

  static std::int64_t size_for(std::int64_t k) {
    std::int64_t size = 8;
    while (size < k) size *= 2;
    return size;
  }
  static std::int64_t vectors(std::int64_t experts, std::int64_t k) { return 7 * size_for(k) + experts / 32 + 2; }

  lane_choices(std::int64_t k, lane_ints* scratch)
      : size(size_for(k)),
        key(scratch),
        id(key + size),
        weight(reinterpret_cast<lane_floats*>(id + size)),
        spare(id + 2 * size),
        row(reinterpret_cast<std::byte*>(spare + size)),
        word(spare + 4 * size) {}

  std::byte* row_of(int lane) const { return row + lane * 2 * size * 4; }
  std::int32_t* ids_of(int lane) const { return reinterpret_cast<std::int32_t*>(row_of(lane)); }
  float* weights_of(int lane) const { return reinterpret_cast<float*>(row_of(lane) + 4 * size); }

  /// key and id from the rows.
  void columns_from_rows() const {
    for (std::int64_t first = 0; first < 2 * size; first += row_lanes) {
      lane_floats v[row_lanes];
      for (int r = 0; r < row_lanes; ++r) std::memcpy(&v[r], row_of(r) + 4 * first, sizeof v[r]);
      transpose(v);
      for (int i = 0; i < row_lanes; ++i) std::memcpy(key + first + i, &v[i], sizeof v[i]);
    }
  }
  /// The rows from the first k of id and weight.
  void rows_from_columns(std::int64_t k) const {
    if (k <= 2) {
      for (int r = 0; r < row_lanes; ++r)
        for (std::int64_t j = 0; j < k; ++j) {
          ids_of(r)[j] = id[j][r];
          weights_of(r)[j] = weight[j][r];
        }
      return;
    }
    for (std::int64_t first = 0; first < 2 * size; first += row_lanes) {
      lane_floats v[row_lanes];
      for (int i = 0; i < row_lanes; ++i) std::memcpy(&v[i], id + first + i, sizeof v[i]);
      transpose(v);
      for (int r = 0; r < row_lanes; ++r) std::memcpy(row_of(r) + 4 * first, &v[r], sizeof v[r]);
    }
  }
};

/// By the k-th largest key as a threshold: keys alone go through networks, then marked ids are collected and sorted. `n` is a multiple of 8
/// (padded with INT32_MIN, which no float's key is).
FANFOLD_NOINLINE inline void top_by_threshold(lane_ints const* key, std::int64_t n, std::int64_t k, lane_choices const& best) {
  if (best.size == 8)
    eight_largest(key, n / 8, best.key);
  else
    many_largest(key, n, best.size, best.key, best.spare);
  lane_ints const threshold = best.key[k - 1];
  mark_from(key, n, threshold, best.word);
  std::int64_t const words = (n + 63) / 64;
  for (int lane = 0; lane < row_lanes; ++lane) {
    lane_marks const marks{best.word, lane};
    std::int32_t* const keys = best.ids_of(lane);  // here a row is keys and ids
    std::int32_t* const ids = keys + best.size;
    std::int64_t marked = 0;
    for (std::int64_t w = 0; w < words; ++w) marked += __builtin_popcountll(marks(w));
    if (marked == k)
      collect_exactly(marks, words, k, ids);
    else
      collect_with_ties(marks, words, k, key, threshold[lane], ids);
    for (std::int64_t j = 0; j < k; ++j) keys[j] = key[ids[j]][lane];
  }
  best.columns_from_rows();
  for (std::int64_t j = k; j < best.size; ++j) {
    best.key[j] = lanes_of(INT32_MIN);
    best.id[j] = lanes_of(INT32_MAX);
  }
  sort_pairs(best.key, best.id, best.size);
}

/// The best k of n keys of each lane, best first, into best.key and best.id; `n` is rounded up to 8, the keys between are INT32_MIN.
inline void top_lanes(lane_ints const* key, std::int64_t n, std::int64_t k, lane_choices const& best) {
  if (k <= 1) return top_by_insertion<1>(key, n, best.key, best.id);
  if (k <= 2) return top_by_insertion<2>(key, n, best.key, best.id);
  if (k <= 4) return top_by_insertion<4>(key, n, best.key, best.id);
  if (k <= 8 && n <= 16) return top_by_insertion<8>(key, n, best.key, best.id);
  top_by_threshold(key, (n + 7) / 8 * 8, k, best);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
