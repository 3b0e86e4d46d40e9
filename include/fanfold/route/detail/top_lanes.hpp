#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
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

/// An exchange network of 19 comparators that sorts 8 items; `swap(i, j)` puts the larger at i.
template <class Swap>
FANFOLD_INLINE void sort_eight(Swap const& swap) {
  swap(0, 1), swap(2, 3), swap(4, 5), swap(6, 7);
  swap(0, 2), swap(1, 3), swap(4, 6), swap(5, 7);
  swap(1, 2), swap(5, 6), swap(0, 4), swap(3, 7);
  swap(1, 5), swap(2, 6);
  swap(1, 4), swap(3, 6);
  swap(2, 4), swap(3, 5);
  swap(3, 4);
}

/// Sorts 8 items whose keys rise and then fall, or fall and then rise: 12 comparators.
template <class Swap>
FANFOLD_INLINE void sort_bitonic_eight(Swap const& swap) {
  swap(0, 4), swap(1, 5), swap(2, 6), swap(3, 7);
  swap(0, 2), swap(1, 3), swap(4, 6), swap(5, 7);
  swap(0, 1), swap(2, 3), swap(4, 5), swap(6, 7);
}

/// The 8 largest keys of each lane, descending. `groups` groups of 8 keys.
FANFOLD_NOINLINE inline void eight_largest(lane_ints const* key, std::int64_t groups, lane_ints* best) {
  lane_ints top[8];
  for (int i = 0; i < 8; ++i) top[i] = key[i];
  auto const swap_top = [&](int i, int j) __attribute__((always_inline)) {
    lane_ints const a = top[i], b = top[j];
    top[i] = lanes_max(a, b);
    top[j] = lanes_min(a, b);
  };
  sort_eight(swap_top);
  for (std::int64_t group = 1; group < groups; ++group) {
    lane_ints next[8];
    for (int i = 0; i < 8; ++i) next[i] = key[group * 8 + i];
    sort_eight([&](int i, int j) __attribute__((always_inline)) {
      lane_ints const a = next[i], b = next[j];
      next[i] = lanes_max(a, b);
      next[j] = lanes_min(a, b);
    });
    for (int i = 0; i < 8; ++i) top[i] = lanes_max(top[i], next[7 - i]);
    sort_bitonic_eight(swap_top);
  }
  for (int i = 0; i < 8; ++i) best[i] = top[i];
}

/// Bit e % 32 of word[e / 32]: key[e] >= threshold. `n` is a multiple of 8.
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
}

/// The k ids of a lane whose keys are marked, in ascending order: all above the threshold, and of those at it the first ones.
inline void collect_marked(lane_ints const* key, lane_ints const* word, std::int64_t words, int lane, std::int32_t threshold, int k,
                           lane_ints* id) {
  int count = 0, marked = 0;
  for (std::int64_t w = 0; w < words; ++w) marked += __builtin_popcount(static_cast<std::uint32_t>(word[w][lane]));
  int ties = k;
  if (marked != k) {
    int above = 0;
    for (std::int64_t w = 0; w < words; ++w)
      for (auto bits = static_cast<std::uint32_t>(word[w][lane]); bits != 0; bits &= bits - 1)
        above += key[w * 32 + __builtin_ctz(bits)][lane] > threshold ? 1 : 0;
    ties = k - above;
  }
  for (std::int64_t w = 0; w < words; ++w)
    for (auto bits = static_cast<std::uint32_t>(word[w][lane]); bits != 0; bits &= bits - 1) {
      auto const e = static_cast<std::int32_t>(w * 32 + __builtin_ctz(bits));
      if (marked != k && key[e][lane] == threshold && ties-- <= 0) continue;
      id[count++][lane] = e;
    }
}

/// By the k-th largest key as a threshold: keys alone go through networks, then marked ids are collected and sorted. k is 1 to 8, `n` a
/// multiple of 8 (padded with INT32_MIN, which no float's key is), `word` scratch for n / 32 + 1 vectors.
FANFOLD_NOINLINE inline void top_by_threshold(lane_ints const* key, std::int64_t n, int k, lane_ints* word, lane_ints* best_key,
                                              lane_ints* best_id) {
  lane_ints top[8];
  eight_largest(key, n / 8, top);
  lane_ints const threshold = top[k - 1];
  mark_from(key, n, threshold, word);
  lane_list<8> list;
  for (int j = 0; j < 8; ++j) {
    list.key[j] = lanes_of(INT32_MIN);
    list.id[j] = lanes_of(INT32_MAX);
  }
  lane_ints id[8] = {};
  for (int lane = 0; lane < row_lanes; ++lane) collect_marked(key, word, (n + 31) / 32, lane, threshold[lane], k, id);
  for (int j = 0; j < k; ++j) {
    list.id[j] = id[j];
    for (int lane = 0; lane < row_lanes; ++lane) list.key[j][lane] = key[id[j][lane]][lane];
  }
  sort_eight([&](int i, int j) __attribute__((always_inline)) {
    lane_ints const a = list.key[i], b = list.key[j], p = list.id[i], q = list.id[j];
    lane_ints const wrong = (a < b) | ((a == b) & (p > q));
    list.key[i] = lanes_select(wrong, b, a);
    list.key[j] = lanes_select(wrong, a, b);
    list.id[i] = lanes_select(wrong, q, p);
    list.id[j] = lanes_select(wrong, p, q);
  });
  for (int j = 0; j < 8; ++j) {
    best_key[j] = list.key[j];
    best_id[j] = list.id[j];
  }
}

/// The best k (1 to 8) of n keys of each lane, best first, into arrays of 8; `n` is rounded up to 8, the keys between are INT32_MIN.
inline void top_lanes(lane_ints const* key, std::int64_t n, int k, lane_ints* word, lane_ints* best_key, lane_ints* best_id) {
  if (k <= 1) return top_by_insertion<1>(key, n, best_key, best_id);
  if (k <= 2) return top_by_insertion<2>(key, n, best_key, best_id);
  if (k <= 4) return top_by_insertion<4>(key, n, best_key, best_id);
  if (n <= 16) return top_by_insertion<8>(key, n, best_key, best_id);
  return top_by_threshold(key, (n + 7) / 8 * 8, k, word, best_key, best_id);
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
