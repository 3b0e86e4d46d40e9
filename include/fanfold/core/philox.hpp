#pragma once

#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"

/// \file
/// Counter-based generators: a keyed bijection of counters, no state (Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2,
/// 3, 2011).

namespace fanfold::inline FANFOLD_ABI {

/// N words of 32 bits: a counter, a key or what comes out.
template <int N>
struct random_words {
  std::uint32_t word[std::size_t{N}];

  FANFOLD_HD constexpr std::uint32_t& operator[](int i) { return word[i]; }
  FANFOLD_HD constexpr std::uint32_t operator[](int i) const { return word[i]; }
  friend constexpr bool operator==(random_words const&, random_words const&) = default;
};

namespace detail {

FANFOLD_HD FANFOLD_INLINE constexpr std::uint64_t wide_product(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint64_t>(a) * b;
}
FANFOLD_HD FANFOLD_INLINE constexpr std::uint32_t low_word(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
FANFOLD_HD FANFOLD_INLINE constexpr std::uint32_t high_word(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }
FANFOLD_HD FANFOLD_INLINE constexpr std::uint32_t rotate_left(std::uint32_t x, std::uint32_t by) { return (x << by) | (x >> (32u - by)); }

}  // namespace detail

/// Philox-4x32 with R rounds: 128 bits of counter, 64 of key.
template <int R = 10>
FANFOLD_HD constexpr random_words<4> philox4x32(random_words<4> c, random_words<2> key) {
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < R; ++round) {
    std::uint64_t const p0 = detail::wide_product(0xD2511F53u, c.word[0]);
    std::uint64_t const p1 = detail::wide_product(0xCD9E8D57u, c.word[2]);
    c = {{detail::high_word(p1) ^ c.word[1] ^ k0, detail::low_word(p1), detail::high_word(p0) ^ c.word[3] ^ k1, detail::low_word(p0)}};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// Philox-2x32 with R rounds: 64 bits of counter, 32 of key.
template <int R = 10>
FANFOLD_HD constexpr random_words<2> philox2x32(random_words<2> c, std::uint32_t key) {
  for (int round = 0; round < R; ++round) {
    std::uint64_t const p = detail::wide_product(0xD256D193u, c.word[0]);
    c = {{detail::high_word(p) ^ key ^ c.word[1], detail::low_word(p)}};
    key += 0x9E3779B9u;
  }
  return c;
}

/// Threefry-2x32 with R rounds.
template <int R = 20>
FANFOLD_HD constexpr random_words<2> threefry2x32(random_words<2> c, random_words<2> key) {
  constexpr std::uint32_t rotation[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  std::uint32_t const k[3] = {key[0], key[1], key[0] ^ key[1] ^ 0x1BD11BDAu};
  std::uint32_t x0 = c[0] + k[0], x1 = c[1] + k[1];
  for (int round = 0; round < R; ++round) {
    x0 += x1;
    x1 = detail::rotate_left(x1, rotation[round % 8]) ^ x0;
    if (round % 4 == 3) {
      int const j = round / 4 + 1;
      x0 += k[j % 3];
      x1 += k[(j + 1) % 3] + static_cast<std::uint32_t>(j);
    }
  }
  return {{x0, x1}};
}

/// Threefry-4x32 with R rounds.
template <int R = 20>
FANFOLD_HD constexpr random_words<4> threefry4x32(random_words<4> c, random_words<4> key) {
  constexpr std::uint32_t rotation[8][2] = {{10, 26}, {11, 21}, {13, 27}, {23, 5}, {6, 20}, {17, 11}, {25, 10}, {18, 20}};
  std::uint32_t const k[5] = {key[0], key[1], key[2], key[3], key[0] ^ key[1] ^ key[2] ^ key[3] ^ 0x1BD11BDAu};
  random_words<4> x{{c[0] + k[0], c[1] + k[1], c[2] + k[2], c[3] + k[3]}};
  for (int round = 0; round < R; ++round) {
    int const first = round % 2 == 0 ? 1 : 3, second = round % 2 == 0 ? 3 : 1;
    x.word[0] += x.word[first];
    x.word[first] = detail::rotate_left(x.word[first], rotation[round % 8][0]) ^ x.word[0];
    x.word[2] += x.word[second];
    x.word[second] = detail::rotate_left(x.word[second], rotation[round % 8][1]) ^ x.word[2];
    if (round % 4 == 3) {
      int const j = round / 4 + 1;
      for (int i = 0; i < 4; ++i) x.word[i] += k[(j + i) % 5];
      x.word[3] += static_cast<std::uint32_t>(j);
    }
  }
  return x;
}

}  // namespace fanfold::inline FANFOLD_ABI
