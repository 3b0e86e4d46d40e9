#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/philox.hpp"

/// \file
/// Random words with an address: a value is a function of (seed, stream, tag, element) alone, never of threads, launch geometry, vector
/// width or how much is drawn. Not for cryptography.

namespace fanfold::inline FANFOLD_ABI {

/// The one table of streams: who draws what. Rows that end in _base take an index added in the low 16 bits. Tag 0 unless the row says
/// otherwise.
namespace streams {
enum : std::uint32_t {
  directions = 0x00000000,           // entries of seeded directions under a derived key
  router_noise = 0x524E0000,         // element (row, expert)
  router_jitter = 0x524A0000,        // element (row, column)
  router_sample = 0x52530000,        // element row
  depth_noise = 0x444E0000,          // element (row, step)
  planner_base = 0x504C0000,         // + planner; tag step or trial
  initialisation_base = 0x494E0000,  // + parameter tensor
  sketch_base = 0x534B0000,          // + row of the sketch
  erdos_renyi = 0x45520000,          // element edge
  watts_strogatz = 0x57530000,       // sequential
  barabasi_albert = 0x42410000,      // sequential
  random_regular = 0x52520000,       // sequential
  rotation = 0x44520000,             // tag epoch
  pairwise_gossip = 0x50470000,      // sequential
  merge_mask_base = 0x4D4D0000,      // + model; tag hash of the tensor name, element flat index
  matching_order_base = 0x574D0000,  // + restart; tag sweep
  matching_start_base = 0x57490000,  // + restart; tag group
  match_many_order = 0x4D410000,     // tag sweep
  dirichlet_point = 0x44490000,      // tag point
  balance_search = 0x50430000,       // tag trial
  search_noise_base = 0x53480000,    // + iteration; tag candidate
  bootstrap_base = 0x42530000,       // + member
  augmentation = 0x52410000,         // tag sample
  metropolis_hastings = 0x4D480000,  // tag step
  bucketing = 0x424B0000,            // tag round; sequential
  attack_noise_base = 0x41540000,    // + faulty row; tag round, element coordinate
};
}  // namespace streams

/// The tags that are allotted whatever the stream. No ordinary draw may use the two reserved ones; see own_seed().
namespace tags {
enum : std::uint32_t {
  none = 0,
  poisson_edges = 0x504F4953,  // stream edge
  poisson_nodes = 0x504F4E44,  // stream node
  matchings = 0x4D415443,      // stream matching, element round
  derive_key = 0xFFFFFFFF,     // reserved
  rank_hash = 0xFFFFFFFE,      // reserved
};
}  // namespace tags

FANFOLD_HD constexpr random_words<2> seed_key(std::uint64_t seed) { return {{detail::low_word(seed), detail::high_word(seed)}}; }

/// The four words of elements 4 block .. 4 block + 3.
FANFOLD_HD constexpr random_words<4> random_block(std::uint64_t seed, std::uint32_t stream, std::uint32_t tag, std::uint64_t block) {
  return philox4x32({{detail::low_word(block), detail::high_word(block), stream, tag}}, seed_key(seed));
}

/// (x + 1/2) 2^-23 of the upper 23 bits: exact, symmetric about 1/2, never 0 or 1.
FANFOLD_HD constexpr float u01(std::uint32_t word) { return (static_cast<float>(word >> 9) + 0.5f) * 0x1p-23f; }

/// floor(word * n / 2^32): an index below n with a bias below n / 2^32.
FANFOLD_HD constexpr std::uint32_t scale_word(std::uint32_t word, std::uint32_t n) {
  return detail::high_word(detail::wide_product(word, n));
}

/// Whether a draw of probability p succeeds: word < floor(p 2^32 + 1/2) in 64 bits, so that p = 1 always does and p = 0 never.
FANFOLD_HD constexpr bool bernoulli(std::uint32_t word, double p) { return word < static_cast<std::uint64_t>(p * 0x1p32 + 0.5); }

/// A sequence of random elements at an address. Copies are free; nothing is consumed.
struct random_stream {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  std::uint32_t tag = 0;

  FANFOLD_HD constexpr random_words<4> block(std::uint64_t b) const { return random_block(seed, stream, tag, b); }
  FANFOLD_HD constexpr std::uint32_t word(std::uint64_t i) const {
    random_words<4> const b = block(i >> 2);  // chosen without an index, which would put the words into a device's local memory
    std::uint32_t const low = (i & 1) != 0 ? b.word[1] : b.word[0];
    std::uint32_t const high = (i & 1) != 0 ? b.word[3] : b.word[2];
    return (i & 2) != 0 ? high : low;
  }
  /// Elements 2i (low) and 2i + 1 (high).
  FANFOLD_HD constexpr std::uint64_t word64(std::uint64_t i) const {
    random_words<4> const b = block(i >> 1);
    int const first = static_cast<int>(i & 1) * 2;
    return static_cast<std::uint64_t>(b[first + 1]) << 32 | b[first];
  }
  FANFOLD_HD constexpr float u01(std::uint64_t i) const { return fanfold::u01(word(i)); }
  /// Standard normal, see normal_bm in core/distributions.hpp, which has to be included.
  FANFOLD_HD float normal(std::uint64_t i) const;

  /// Unbiased index below n >= 1 (Lemire, Fast random integer generation in an interval, 2019). Attempt 0 is the word of element i < 2^48;
  /// attempt a >= 1 is word a & 3 of block 2^63 + (a >> 2) 2^48 + i, which belongs to no element. The first word whose product with n has
  /// low half
  /// >= 2^32 mod n counts.
  FANFOLD_HD constexpr std::uint32_t below(std::uint32_t n, std::uint64_t i) const {
    std::uint64_t m = detail::wide_product(word(i), n);
    if (detail::low_word(m) >= n) return detail::high_word(m);
    std::uint32_t const limit = (0u - n) % n;
    for (std::uint64_t a = 1; detail::low_word(m) < limit; ++a)
      m = detail::wide_product(block((std::uint64_t{1} << 63) + ((a >> 2) << 48) + i)[static_cast<int>(a & 3)], n);
    return detail::high_word(m);
  }
};

/// Draws one after the other from element 0 (or `next_element`): for algorithms that are sequential anyway.
struct random_sequence {
  random_stream source{};
  std::uint64_t next_element = 0;

  FANFOLD_HD constexpr std::uint32_t word() { return source.word(next_element++); }
  FANFOLD_HD constexpr float u01() { return fanfold::u01(word()); }
  /// Unbiased index below n >= 1: m = word * n, redrawn while its low half is below 2^32 mod n; the high half of m.
  FANFOLD_HD constexpr std::uint32_t below(std::uint32_t n) {
    std::uint32_t const limit = (0u - n) % n;
    std::uint64_t m = detail::wide_product(word(), n);
    while (detail::low_word(m) < limit) m = detail::wide_product(word(), n);
    return detail::high_word(m);
  }
  /// The same for any n >= 1; above 2^32 - 1 from two words (the low one first), redrawn while below 2^64 mod n, modulo n.
  FANFOLD_HD constexpr std::uint64_t below64(std::uint64_t n) {
    if (n <= 0xffffffffu) return below(static_cast<std::uint32_t>(n));
    std::uint64_t const limit = (std::uint64_t{0} - n) % n;
    for (;;) {
      std::uint64_t const low = word();
      std::uint64_t const x = static_cast<std::uint64_t>(word()) << 32 | low;
      if (x >= limit) return x % n;
    }
  }
};

/// A seed of a node of a tree of random choices: words 0 and 1 of the block (iteration; machine, sample) under `seed`. Use a seed that
/// nothing else draws from, such as own_seed(seed, tags::derive_key).
FANFOLD_HD constexpr std::uint64_t derive_key(std::uint64_t seed, std::uint64_t iteration, std::uint32_t machine, std::uint32_t sample) {
  random_words<4> const b = random_block(seed, machine, sample, iteration);
  return static_cast<std::uint64_t>(b[1]) << 32 | b[0];
}

/// Hash of an id in round k, for orders and samples that everyone derives alike. The seed must be its own, such as own_seed(seed,
/// tags::rank_hash).
FANFOLD_HD constexpr std::uint64_t rank_hash(std::uint64_t seed, std::uint64_t id, std::uint32_t k = 0) {
  random_words<4> const b = random_block(seed, k, 0, id);
  return static_cast<std::uint64_t>(b[1]) << 32 | b[0];
}

/// A seed for one of the reserved purposes, drawn where no ordinary stream of `seed` can be: one user seed serves streams, keys and hashes.
FANFOLD_HD constexpr std::uint64_t own_seed(std::uint64_t seed, std::uint32_t reserved_tag) {
  random_words<4> const b = random_block(seed, 0, reserved_tag, 0);
  return static_cast<std::uint64_t>(b[1]) << 32 | b[0];
}

/// Fisher-Yates on sequential draws: i from n - 1 down to 1, j = below64(i + 1), swap items i and j. `x` has data() and size().
template <class X>
  requires requires(X& x) { x.data()[x.size()]; }
constexpr void shuffle(random_sequence& draws, X&& x) {
  auto* const items = x.data();
  for (auto n = static_cast<std::uint64_t>(x.size()); n > 1; --n) {
    std::uint64_t const j = draws.below64(n);
    auto const item = items[n - 1];
    items[n - 1] = items[j];
    items[j] = item;
  }
}
template <class X>
  requires requires(X& x) { x.data()[x.size()]; }
constexpr void shuffle(random_stream source, X&& x) {
  random_sequence draws{source};
  shuffle(draws, x);
}

}  // namespace fanfold::inline FANFOLD_ABI
