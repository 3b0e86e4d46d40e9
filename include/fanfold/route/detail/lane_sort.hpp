#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/route/detail/row_lanes.hpp"

/// \file
/// Sorting networks over vector lanes, larger keys first: fixed ones in registers, and bitonic ones of any power of two in memory.

namespace fanfold::inline FANFOLD_ABI::route::detail {

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

/// The keys alone, larger ones first.
struct key_exchange {
  lane_ints* key;
  FANFOLD_INLINE void operator()(std::int64_t i, std::int64_t j) const {
    lane_ints const a = key[i], b = key[j];
    key[i] = lanes_max(a, b);
    key[j] = lanes_min(a, b);
  }
};

/// Keys with their ids, by (key descending, id ascending).
struct pair_exchange {
  lane_ints* key;
  lane_ints* id;
  FANFOLD_INLINE void operator()(std::int64_t i, std::int64_t j) const {
    lane_ints const a = key[i], b = key[j], p = id[i], q = id[j];
    lane_ints const wrong = (a < b) | ((a == b) & (p > q));
    key[i] = lanes_select(wrong, b, a);
    key[j] = lanes_select(wrong, a, b);
    id[i] = lanes_select(wrong, q, p);
    id[j] = lanes_select(wrong, p, q);
  }
};

/// The 8 largest keys of each lane, descending. `groups` groups of 8 keys.
FANFOLD_NOINLINE inline void eight_largest(lane_ints const* key, std::int64_t groups, lane_ints* best) {
  lane_ints top[8];
  for (int i = 0; i < 8; ++i) top[i] = key[i];
  sort_eight(key_exchange{top});
  for (std::int64_t group = 1; group < groups; ++group) {
    lane_ints next[8];
    for (int i = 0; i < 8; ++i) next[i] = key[group * 8 + i];
    sort_eight(key_exchange{next});
    for (int i = 0; i < 8; ++i) top[i] = lanes_max(top[i], next[7 - i]);
    sort_bitonic_eight(key_exchange{top});
  }
  for (int i = 0; i < 8; ++i) best[i] = top[i];
}

FANFOLD_NOINLINE inline void sort_sixteen_keys(lane_ints* key) {
  lane_ints v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = key[i]; });
  sort_eight(key_exchange{v});
  sort_eight(key_exchange{v + 8});
  unrolled<8>([&](auto i) __attribute__((always_inline)) { key_exchange{v}(i, 15 - i); });
  sort_bitonic_eight(key_exchange{v});
  sort_bitonic_eight(key_exchange{v + 8});
  unrolled<16>([&](auto i) __attribute__((always_inline)) { key[i] = v[i]; });
}

/// Sorts 16 keys that fall and then rise, or rise and then fall.
FANFOLD_NOINLINE inline void sort_bitonic_sixteen_keys(lane_ints* key) {
  lane_ints v[16];
  unrolled<16>([&](auto i) __attribute__((always_inline)) { v[i] = key[i]; });
  unrolled<8>([&](auto i) __attribute__((always_inline)) { key_exchange{v}(i, i + 8); });
  sort_bitonic_eight(key_exchange{v});
  sort_bitonic_eight(key_exchange{v + 8});
  unrolled<16>([&](auto i) __attribute__((always_inline)) { key[i] = v[i]; });
}

FANFOLD_NOINLINE inline void sort_eight_pairs(lane_ints* key, lane_ints* id) {
  lane_ints v[8], p[8];
  for (int i = 0; i < 8; ++i) v[i] = key[i], p[i] = id[i];
  sort_eight(pair_exchange{v, p});
  for (int i = 0; i < 8; ++i) key[i] = v[i], id[i] = p[i];
}

FANFOLD_NOINLINE inline void sort_bitonic_eight_pairs(lane_ints* key, lane_ints* id) {
  lane_ints v[8], p[8];
  for (int i = 0; i < 8; ++i) v[i] = key[i], p[i] = id[i];
  sort_bitonic_eight(pair_exchange{v, p});
  for (int i = 0; i < 8; ++i) key[i] = v[i], id[i] = p[i];
}

/// The stages of a bitonic sorter of `count` items whose distance is `least` or more.
template <class Swap>
FANFOLD_INLINE void bitonic_stages(std::int64_t first, std::int64_t count, std::int64_t least, Swap const& swap) {
  for (std::int64_t step = count / 2; step >= least; step /= 2)
    for (std::int64_t at = first; at < first + count; at += 2 * step)
      for (std::int64_t i = at; i < at + step; ++i) swap(i, i + step);
}

/// Joins the two sorted halves of `count` items, but for the stages of a distance below `least`.
template <class Swap>
FANFOLD_INLINE void join_halves(std::int64_t first, std::int64_t count, std::int64_t least, Swap const& swap) {
  for (std::int64_t i = 0; i < count / 2; ++i) swap(first + i, first + count - 1 - i);
  bitonic_stages(first, count / 2, least, swap);
  bitonic_stages(first + count / 2, count / 2, least, swap);
}

/// Sorts `count` keys, a power of two from 16 on.
FANFOLD_NOINLINE inline void sort_keys(lane_ints* key, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 16) sort_sixteen_keys(key + i);
  for (std::int64_t run = 32; run <= count; run *= 2)
    for (std::int64_t first = 0; first < count; first += run) {
      join_halves(first, run, 16, key_exchange{key});
      for (std::int64_t i = first; i < first + run; i += 16) sort_bitonic_sixteen_keys(key + i);
    }
}

/// Sorts `count` pairs, a power of two from 8 on.
FANFOLD_NOINLINE inline void sort_pairs(lane_ints* key, lane_ints* id, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 8) sort_eight_pairs(key + i, id + i);
  for (std::int64_t run = 16; run <= count; run *= 2)
    for (std::int64_t first = 0; first < count; first += run) {
      join_halves(first, run, 8, pair_exchange{key, id});
      for (std::int64_t i = first; i < first + run; i += 8) sort_bitonic_eight_pairs(key + i, id + i);
    }
}

/// The `count` largest of n keys, descending; `count` is a power of two from 16 on, `spare` holds as many vectors.
FANFOLD_NOINLINE inline void many_largest(lane_ints const* key, std::int64_t n, std::int64_t count, lane_ints* best, lane_ints* spare) {
  for (std::int64_t first = 0; first < n; first += count) {
    lane_ints* const next = first == 0 ? best : spare;
    std::int64_t const present = n - first < count ? n - first : count;
    for (std::int64_t i = 0; i < present; ++i) next[i] = key[first + i];
    for (std::int64_t i = present; i < count; ++i) next[i] = lanes_of(INT32_MIN);
    sort_keys(next, count);
    if (first == 0) continue;
    for (std::int64_t i = 0; i < count; ++i) best[i] = lanes_max(best[i], next[count - 1 - i]);
    bitonic_stages(0, count, 16, key_exchange{best});
    for (std::int64_t i = 0; i < count; i += 16) sort_bitonic_sixteen_keys(best + i);
  }
}

}  // namespace fanfold::inline FANFOLD_ABI::route::detail
