#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// The bits of a Bloom filter, with the parameters that its operands must share.
struct bloom_filter {
  std::int64_t size = 0;
  int hashes = 0;
  std::uint64_t seed = 0;
  std::vector<std::uint64_t> words;

  bool operator==(bloom_filter const&) const = default;

  template <class F>
  void each_bit(std::uint64_t id, F&& f) const {
    std::uint64_t h = rank_hash(seed, id, 0);
    std::uint64_t const step = rank_hash(seed, id, 1) | 1u;
    for (int i = 0; i < hashes; ++i, h += step) f(h % static_cast<std::uint64_t>(size));
  }
  void insert(std::uint64_t id) {
    each_bit(id, [&](std::uint64_t bit) { words[bit / 64] |= std::uint64_t{1} << (bit % 64); });
  }
  /// False only for an id that was never inserted.
  bool contains(std::uint64_t id) const {
    bool all = true;
    each_bit(id, [&](std::uint64_t bit) { all = all && ((words[bit / 64] >> (bit % 64)) & 1u) != 0; });
    return all;
  }
  std::int64_t set_bits() const {
    std::int64_t n = 0;
    for (std::uint64_t const w : words) n += math::popcount(w);
    return n;
  }
  /// `-(m / k) ln(1 - X / m)`; infinity for a full filter.
  double cardinality() const {
    std::int64_t const x = set_bits();
    if (x == size) return math::infinity<double>();
    double const m = static_cast<double>(size);
    return -(m / static_cast<double>(hashes)) * math::log(1.0 - static_cast<double>(x) / m);
  }
};

/// Bloom filter of `bits` bits and `hashes` hashes over 64-bit ids (Bloom 1970; double hashing) (host only). The union of sets is the or
/// of filters. Operands of different parameters or seeds: argument_error.
struct bloom {
  using input = std::uint64_t;
  using state = bloom_filter;
  using output = bloom_filter;
  static constexpr law laws = law::associative | law::commutative | law::idempotent | law::bitwise;

  std::int64_t bits = 1 << 16;
  int hashes = 7;
  std::uint64_t seed = 0;

  state identity() const {
    check_argument(bits >= 1, "bloom", "bits", bits, "1 or more");
    check_argument(hashes >= 1, "bloom", "hashes", hashes, "1 or more");
    return {bits, hashes, own_seed(seed, tags::rank_hash), std::vector<std::uint64_t>(static_cast<std::size_t>((bits + 63) / 64))};
  }
  state lift(input const& id) const {
    state s = identity();
    s.insert(id);
    return s;
  }
  void absorb(state& s, input const& id) const { s.insert(id); }
  state combine(state const& a, state const& b) const {
    check_argument(a.size == b.size && a.hashes == b.hashes && a.seed == b.seed, "bloom", "an operand", "of other parameters", "of the same size, hashes and seed");
    state s = a;
    for (std::size_t i = 0; i < s.words.size(); ++i) s.words[i] |= b.words[i];
    return s;
  }
  output lower(state const& s) const { return s; }
};

}  // namespace fanfold::inline FANFOLD_ABI
