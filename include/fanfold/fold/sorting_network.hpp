#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fanfold/core/config.hpp"
#include "fanfold/fold/lane_vector.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// Sizes for which sorting networks exist; a column of other length takes the next one and is padded with keys that sort last.
inline constexpr int most_network_rows = 64;

/// The network size for n values, n <= 64; above, n rounded up to whole blocks of 64.
FANFOLD_HD constexpr std::int64_t padded_rows(std::int64_t n) {
  if (n <= 4) return 4;
  if (n <= 12) return n <= 8 ? 8 : 12;
  if (n <= 24) return n <= 16 ? 16 : n <= 20 ? 20 : 24;
  if (n <= 48) return n <= 32 ? 32 : 48;
  return (n + most_network_rows - 1) / most_network_rows * most_network_rows;
}

namespace detail {

/// The exchanges of a network for N values of which blocks of `From` are sorted already: Batcher's merge exchange (Knuth, volume 3,
/// algorithm 5.2.2 M) for From = 1, else his odd-even merges.
template <int N, int From>
struct exchange_list {
  int count = 0;
  unsigned char low[std::size_t{N} * 9] = {};
  unsigned char high[std::size_t{N} * 9] = {};

  FANFOLD_HD constexpr exchange_list() {
    if (From == 1)
      merge_exchange();
    else
      merge_runs();
  }

 private:
  FANFOLD_HD constexpr void add(int i, int distance) {
    low[count] = static_cast<unsigned char>(i);
    high[count] = static_cast<unsigned char>(i + distance);
    ++count;
  }
  FANFOLD_HD constexpr void merge_exchange() {
    int top = 1;
    while (2 * top < N) top *= 2;
    for (int p = top; p > 0; p /= 2) {
      int r = 0;
      for (int q = top, d = p; d > 0; d = q - p, q /= 2, r = p)
        for (int i = 0; i + d < N; ++i)
          if ((i & p) == r) add(i, d);
    }
  }
  FANFOLD_HD constexpr void merge_runs() {
    for (int p = From; p < N; p *= 2)
      for (int k = p; k > 0; k /= 2)
        for (int j = k % p; j + k < N; j += 2 * k)
          for (int i = j; i < j + k && i + k < N; ++i)
            if (i / (2 * p) == (i + k) / (2 * p)) add(i, k);
  }
};

// Every index is a constant expression: with run-time indices the values would live in memory, which is tens of times slower.
template <int N, int From, class K, std::size_t... E>
FANFOLD_HD FANFOLD_INLINE void run_network(K* r, std::index_sequence<E...>) {
  constexpr exchange_list<N, From> list{};
  (exchange(r[std::integral_constant<int, list.low[E]>::value], r[std::integral_constant<int, list.high[E]>::value]), ...);
}

/// Sorts r[0 .. N), blocks of `From` of which are sorted. Inlined: for arrays in registers.
template <int N, int From = 1, class K>
FANFOLD_HD FANFOLD_INLINE void sort_registers(K* r) {
  constexpr auto count = static_cast<std::size_t>(exchange_list<N, From>{}.count);
  run_network<N, From>(r, std::make_index_sequence<count>{});
}

/// The same in memory, `stride` scalars from one value to the next; K is a lane vector or a scalar.
template <int N, int From, class K>
FANFOLD_NOINLINE void sort_block(typename lanes_of<K>::scalar* at) {
  constexpr int L = lanes_of<K>::value;
  K r[std::size_t{N}];
  for (int i = 0; i < N; ++i) r[i] = K::load(at + i * L);
  sort_registers<N, From>(r);
  for (int i = 0; i < N; ++i) r[i].store(at + i * L);
}

/// Merges sorted runs of 64 until one is left; any n. Run-time indices, so in memory; value i is at `at + i * stride`.
template <class K>
FANFOLD_HD void merge_runs_in_memory(typename lanes_of<K>::scalar* at, std::int64_t stride, std::int64_t n) {
  for (std::int64_t p = most_network_rows; p < n; p *= 2)
    for (std::int64_t k = p; k > 0; k /= 2)
      for (std::int64_t j = k % p; j + k < n; j += 2 * k)
        for (std::int64_t i = j; i < j + k && i + k < n; ++i) {
          if (((i ^ (i + k)) & -(2 * p)) != 0) continue;  // not of the same pair of runs
          auto *const low = at + i * stride, *const high = low + k * stride;
          if constexpr (lanes_of<K>::value == 1) {
            exchange(*low, *high);
          } else {
            K a = K::load(low), b = K::load(high);
            exchange(a, b);
            a.store(low);
            b.store(high);
          }
        }
}
template <class K>
FANFOLD_NOINLINE void merge_blocks(typename lanes_of<K>::scalar* at, std::int64_t n) {
  merge_runs_in_memory<K>(at, lanes_of<K>::value, n);
}

/// Sorts padded_rows(n) lane vectors at `at`, the entries from n on being pads.
template <class K>
void sort_columns(typename lanes_of<K>::scalar* at, std::int64_t n) {
  constexpr std::int64_t L = lanes_of<K>::value;
  for (std::int64_t first = 0; first < n; first += most_network_rows) {
    auto* const block = at + first * L;
    switch (padded_rows(n - first < most_network_rows ? n - first : most_network_rows)) {
      case 4: sort_block<4, 1, K>(block); break;
      case 8: sort_block<8, 1, K>(block); break;
      case 12: sort_block<12, 1, K>(block); break;
      case 16: sort_block<16, 1, K>(block); break;
      case 20: sort_block<20, 1, K>(block); break;
      case 24: sort_block<24, 1, K>(block); break;
      case 32: sort_block<32, 1, K>(block); break;
      case 48:
        sort_block<32, 1, K>(block);
        sort_block<16, 1, K>(block + 32 * L);
        sort_block<48, 32, K>(block);
        break;
      default:
        sort_block<32, 1, K>(block);
        sort_block<32, 1, K>(block + 32 * L);
        sort_block<64, 32, K>(block);
    }
  }
  if (n > most_network_rows) merge_blocks<K>(at, n);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
