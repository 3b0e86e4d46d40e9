#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/view.hpp"

/// \file
/// Runs of random elements on the host, a tile of blocks at a time in vector registers: out[j] has the bits of element first + j drawn
/// alone.

namespace fanfold::inline FANFOLD_ABI {

namespace detail {

inline constexpr int tile_blocks = 32;
inline constexpr int tile_words = 4 * tile_blocks;

/// Words of `tile_blocks` consecutive blocks: word j of block b at [j][b].
struct random_tile {
  alignas(64) std::uint32_t word[4][tile_blocks];
};

template <int Rounds>
FANFOLD_INLINE void philox_rounds(std::uint32_t& c0, std::uint32_t& c1, std::uint32_t& c2, std::uint32_t& c3, std::uint32_t k0,
                                  std::uint32_t k1) {
  std::uint64_t const p0 = wide_product(0xD2511F53u, c0);
  std::uint64_t const p1 = wide_product(0xCD9E8D57u, c2);
  c0 = high_word(p1) ^ c1 ^ k0;
  c1 = low_word(p1);
  c2 = high_word(p0) ^ c3 ^ k1;
  c3 = low_word(p0);
  if constexpr (Rounds > 1) philox_rounds<Rounds - 1>(c0, c1, c2, c3, k0 + 0x9E3779B9u, k1 + 0xBB67AE85u);
}

/// Blocks first .. first + tile_blocks - 1. g++ vectorises a loop over blocks inside each round, clang a loop over blocks around all
/// rounds.
FANFOLD_NOINLINE inline void draw_tile(random_stream const& s, std::uint64_t first, random_tile& tile) {
  random_words<2> const key = seed_key(s.seed);
  std::uint32_t c0[tile_blocks], c1[tile_blocks], c2[tile_blocks], c3[tile_blocks];
  for (int b = 0; b < tile_blocks; ++b) {
    std::uint64_t const block = first + static_cast<std::uint64_t>(b);
    c0[b] = low_word(block);
    c1[b] = high_word(block);
    c2[b] = s.stream;
    c3[b] = s.tag;
  }
#if defined(__clang__)
  for (int b = 0; b < tile_blocks; ++b) philox_rounds<10>(c0[b], c1[b], c2[b], c3[b], key[0], key[1]);
#else
  std::uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    for (int b = 0; b < tile_blocks; ++b) philox_rounds<1>(c0[b], c1[b], c2[b], c3[b], k0, k1);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#endif
  for (int b = 0; b < tile_blocks; ++b) {
    tile.word[0][b] = c0[b];
    tile.word[1][b] = c1[b];
    tile.word[2][b] = c2[b];
    tile.word[3][b] = c3[b];
  }
}

/// The elements of a tile of `Elements` values in element order; `make(tile, values)` computes them all.
template <int Elements, class T, class Make>
void fill_by_tiles(random_stream const& s, std::uint64_t first, view<T> out, Make const& make) {
  constexpr std::uint64_t step = Elements;
  constexpr std::uint64_t elements_a_block = Elements / tile_blocks;
  random_tile tile;
  alignas(64) T values[std::size_t{Elements}];
  std::int64_t done = 0;
  while (done < out.size()) {
    std::uint64_t const at = first + static_cast<std::uint64_t>(done);
    std::uint64_t const skip = at % elements_a_block;
    draw_tile(s, at / elements_a_block, tile);
    std::int64_t const left = out.size() - done;
    std::int64_t const count = left < static_cast<std::int64_t>(step - skip) ? left : static_cast<std::int64_t>(step - skip);
    if (count == Elements) {
      make(tile, out.data() + done);
    } else {
      make(tile, values);
      for (std::int64_t i = 0; i < count; ++i) out.data()[done + i] = values[skip + static_cast<std::uint64_t>(i)];
    }
    done += count;
  }
}

/// One value a word.
template <class T, class F>
FANFOLD_INLINE void each_word(random_tile const& tile, T* FANFOLD_RESTRICT out, F const& f) {
  for (int b = 0; b < tile_blocks; ++b) {
    out[4 * b] = f(tile.word[0][b]);
    out[4 * b + 1] = f(tile.word[1][b]);
    out[4 * b + 2] = f(tile.word[2][b]);
    out[4 * b + 3] = f(tile.word[3][b]);
  }
}

FANFOLD_NOINLINE inline void normal_tile(random_tile const& tile, float* FANFOLD_RESTRICT out) {
  alignas(64) float z[4][tile_blocks];
  for (int h = 0; h < 4; h += 2)
    for (int b = 0; b < tile_blocks; ++b) {
      normal_bm::pair const p = normal_bm::from_words(tile.word[h][b], tile.word[h + 1][b]);
      z[h][b] = p.z0;
      z[h + 1][b] = p.z1;
    }
  for (int b = 0; b < tile_blocks; ++b)
    for (int j = 0; j < 4; ++j) out[4 * b + j] = z[j][b];
}

}  // namespace detail

/// out[j] = word of element first + j.
FANFOLD_NOINLINE inline void fill_words(random_stream const& s, std::uint64_t first, view<std::uint32_t> out) {
  detail::fill_by_tiles<detail::tile_words>(
      s, first, out, [](detail::random_tile const& t, std::uint32_t* to) { detail::each_word(t, to, [](std::uint32_t w) { return w; }); });
}

/// out[j] = u01 of element first + j.
FANFOLD_NOINLINE inline void fill_u01(random_stream const& s, std::uint64_t first, view<float> out) {
  detail::fill_by_tiles<detail::tile_words>(s, first, out, [](detail::random_tile const& t, float* to) {
    detail::each_word(t, to, [](std::uint32_t w) { return (static_cast<float>(static_cast<std::int32_t>(w >> 9)) + 0.5f) * 0x1p-23f; });
  });
}

/// out[j] = z(s, first + j) for any direction z, with a vectorised form for those that have one.
template <class Direction>
void fill_direction(Direction const& z, random_stream const& s, std::uint64_t first, view<float> out) {
  for (std::int64_t j = 0; j < out.size(); ++j) out.data()[j] = z(s, first + static_cast<std::uint64_t>(j));
}
FANFOLD_NOINLINE inline void fill_direction(rademacher, random_stream const& s, std::uint64_t first, view<float> out) {
  constexpr int signs = 32 * detail::tile_words;
  detail::fill_by_tiles<signs>(s, first, out, [](detail::random_tile const& t, float* FANFOLD_RESTRICT to) {
    for (int b = 0; b < detail::tile_blocks; ++b)
      for (int j = 0; j < 4; ++j) {
        std::uint32_t const w = t.word[j][b];
        float* FANFOLD_RESTRICT const run = to + 128 * b + 32 * j;
        for (std::uint32_t bit = 0; bit < 32; ++bit) run[bit] = rademacher::sign(w, bit);
      }
  });
}
FANFOLD_NOINLINE inline void fill_direction(uniform_var1, random_stream const& s, std::uint64_t first, view<float> out) {
  fill_u01(s, first, out);
  for (std::int64_t j = 0; j < out.size(); ++j) out.data()[j] = (2.0f * out.data()[j] - 1.0f) * 0x1.bb67aep+0f;
}
FANFOLD_NOINLINE inline void fill_direction(uniform_unit z, random_stream const& s, std::uint64_t first, view<float> out) {
  fill_u01(s, first, out);
  float const scale = static_cast<float>(1.0 / math::sqrt(z.d));
  for (std::int64_t j = 0; j < out.size(); ++j) out.data()[j] = (2.0f * out.data()[j] - 1.0f) * scale;
}
FANFOLD_NOINLINE inline void fill_direction(truncated_unit z, random_stream const& s, std::uint64_t first, view<float> out) {
  double const mass = z.mass();
  detail::fill_by_tiles<detail::tile_words>(s, first, out, [mass](detail::random_tile const& t, float* to) {
    detail::each_word(t, to, [mass](std::uint32_t w) { return truncated_unit::from_word(w, mass); });
  });
}
FANFOLD_NOINLINE inline void fill_direction(popcount_normal, random_stream const& s, std::uint64_t first, view<float> out) {
  detail::fill_by_tiles<detail::tile_words / 2>(s, first, out, [](detail::random_tile const& t, float* FANFOLD_RESTRICT to) {
    for (int b = 0; b < detail::tile_blocks; ++b) {
      to[2 * b] = popcount_normal::from_words(t.word[0][b], t.word[1][b]);
      to[2 * b + 1] = popcount_normal::from_words(t.word[2][b], t.word[3][b]);
    }
  });
}
FANFOLD_NOINLINE inline void fill_direction(normal_bm, random_stream const& s, std::uint64_t first, view<float> out) {
  detail::fill_by_tiles<detail::tile_words>(s, first, out, [](detail::random_tile const& t, float* to) { detail::normal_tile(t, to); });
}

/// out[j] = standard normal element first + j.
inline void fill_normal(random_stream const& s, std::uint64_t first, view<float> out) { fill_direction(normal_bm{}, s, first, out); }

}  // namespace fanfold::inline FANFOLD_ABI
