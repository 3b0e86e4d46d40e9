#include "fanfold/core/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace ff = fanfold;
using ff::random_stream;
using words2 = ff::random_words<2>;
using words4 = ff::random_words<4>;

TEST_CASE("random: known answers of the generators") {
  constexpr std::uint32_t f = 0xffffffffu;
  words4 const pi{{0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}};
  CHECK(ff::philox4x32({{0, 0, 0, 0}}, {{0, 0}}) == words4{{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}});
  CHECK(ff::philox4x32({{f, f, f, f}}, {{f, f}}) == words4{{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}});
  CHECK(ff::philox4x32(pi, {{0xa4093822u, 0x299f31d0u}}) == words4{{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}});
  CHECK(ff::philox4x32<7>({{0, 0, 0, 0}}, {{0, 0}}) == words4{{0x5f6fb709u, 0x0d893f64u, 0x4f121f81u, 0x4f730a48u}});
  CHECK(ff::philox2x32({{0, 0}}, 0) == words2{{0xff1dae59u, 0x6cd10df2u}});
  CHECK(ff::philox2x32({{0x243f6a88u, 0x85a308d3u}}, 0x13198a2eu) == words2{{0xdd7ce038u, 0xf62a4c12u}});
  CHECK(ff::threefry2x32({{0, 0}}, {{0, 0}}) == words2{{0x6b200159u, 0x99ba4efeu}});
  CHECK(ff::threefry2x32({{f, f}}, {{f, f}}) == words2{{0x1cb996fcu, 0xbb002be7u}});
  CHECK(ff::threefry2x32({{0x243f6a88u, 0x85a308d3u}}, {{0x13198a2eu, 0x03707344u}}) == words2{{0xc4923a9cu, 0x483df7a0u}});
  CHECK(ff::threefry4x32({{0, 0, 0, 0}}, {{0, 0, 0, 0}}) == words4{{0x9c6ca96au, 0xe17eae66u, 0xfc10ecd4u, 0x5256a7d8u}});
  CHECK(ff::threefry4x32(pi, {{0xa4093822u, 0x299f31d0u, 0x082efa98u, 0xec4e6c89u}}) ==
        words4{{0x59cd1dbbu, 0xb8879579u, 0x86b5d00cu, 0xac8b6d84u}});
  static_assert(ff::philox4x32({{0, 0, 0, 0}}, {{0, 0}})[0] == 0x6627e8d5u);
}

TEST_CASE("random: addressing") {
  random_stream const s{42, 7, 0};
  CHECK(s.block(0x80000001u) == words4{{0x95e743d6u, 0x742986d3u, 0x56c1dcdcu, 0x7c5538f1u}});
  CHECK(s.word((std::uint64_t{1} << 33) + 5) == 0x742986d3u);
  CHECK(s.block(0) == words4{{0x67ee6f2cu, 0xe55410ccu, 0x6c7eca35u, 0x557398d3u}});
  CHECK(s.block(1) == words4{{0xe5dde940u, 0x600f6196u, 0x8fcdf8f1u, 0x2c8ed839u}});
  CHECK(random_stream{42, 9, 0}.block(0) == words4{{0x4965e5c1u, 0xa63fc3a3u, 0xb356118fu, 0xe9962ec4u}});
  CHECK(s.word64(0) == 0xe55410cc67ee6f2cu);
  CHECK(s.word64(3) == 0x2c8ed8398fcdf8f1u);
  // every part of the address matters
  CHECK(random_stream{42, 7, 1}.word(0) != s.word(0));
  CHECK(random_stream{42, 8, 0}.word(0) != s.word(0));
  CHECK(random_stream{42 + (std::uint64_t{1} << 32), 7, 0}.word(0) != s.word(0));
}

TEST_CASE("random: keys, hashes and reserved purposes") {
  std::uint64_t const key = ff::derive_key(42, 3, 1, 0);
  CHECK(key == 0xae3a5abf1e8dc7c5u);
  CHECK(random_stream{key, 0, 0}.block(0) == words4{{0xfc84dc78u, 0xec450092u, 0xf8d04d49u, 0xfc0355c5u}});
  CHECK(ff::derive_key(42, 3, 1, 0) == (random_stream{42, 1, 0}.word(12) | std::uint64_t{random_stream{42, 1, 0}.word(13)} << 32));

  auto const order = [](std::uint32_t round) {
    std::vector<int> ids{0, 1, 2, 3, 4, 5, 6, 7};
    std::sort(ids.begin(), ids.end(), [&](int a, int b) {
      return ff::rank_hash(2022, static_cast<std::uint64_t>(a), round) < ff::rank_hash(2022, static_cast<std::uint64_t>(b), round);
    });
    return ids;
  };
  CHECK(order(1) == std::vector<int>{0, 2, 1, 5, 3, 7, 4, 6});
  CHECK(order(2) == std::vector<int>{1, 2, 7, 4, 3, 5, 0, 6});
  CHECK(ff::rank_hash(2022, 0, 1) == 0x18649475331cd6fcu);

  CHECK(ff::own_seed(5, ff::tags::derive_key) != ff::own_seed(5, ff::tags::rank_hash));
  CHECK(ff::own_seed(5, ff::tags::derive_key) != ff::own_seed(6, ff::tags::derive_key));
}

TEST_CASE("random: masks of merging") {
  random_stream const s{42, ff::streams::merge_mask_base + 1, 0x31174756u};
  std::uint32_t const words[8] = {0xf42e6c2au, 0x6fcdefd9u, 0x9d0c5acau, 0xd79a36e4u, 0xd1ae730au, 0x41aed3f5u, 0x44a24f0cu, 0xa05cf1b8u};
  bool const keep[8] = {false, true, false, false, false, true, true, false};
  for (std::uint64_t i = 0; i < 8; ++i) {
    CHECK(s.word(i) == words[i]);
    CHECK(ff::bernoulli(s.word(i), 0.5) == keep[i]);
  }
  CHECK(ff::bernoulli(0xffffffffu, 1.0));
  CHECK_FALSE(ff::bernoulli(0, 0.0));
}

TEST_CASE("random: u01 is exact, symmetric and open") {
  CHECK(ff::u01(0) == 0x1p-24f);
  CHECK(ff::u01(0xffffffffu) == 1.0f - 0x1p-24f);
  CHECK(ff::u01(0x80000000u) == 0.5f + 0x1p-24f);
  for (std::uint64_t i = 0; i < 1000; ++i) {
    std::uint32_t const w = random_stream{1, 2, 3}.word(i);
    REQUIRE(ff::u01(w) + ff::u01(~w) == 1.0f);
  }
}

TEST_CASE("random: sequential draws") {
  ff::random_sequence a{{1, ff::streams::pairwise_gossip, 0}};
  for (std::uint64_t i = 0; i < 20; ++i) CHECK(a.word() == a.source.word(i));
  // pairwise gossip's first edges of three
  ff::random_sequence edges{{7, ff::streams::pairwise_gossip, 0}};
  std::vector<std::uint32_t> drawn(5);
  for (auto& d : drawn) d = edges.below(3);
  CHECK(drawn == std::vector<std::uint32_t>{1, 0, 0, 1, 0});
}

TEST_CASE("random: shuffle: known permutations") {
  for (auto const& [tag, expected] : {std::pair{0u, std::vector<int>{3, 2, 0, 1}}, std::pair{1u, std::vector<int>{0, 2, 1, 3}}}) {
    std::vector<int> order{0, 1, 2, 3};
    ff::shuffle(random_stream{42, ff::streams::matching_order_base, tag}, order);
    CHECK(order == expected);
  }
  std::vector<int> none, one{5};
  ff::shuffle(random_stream{}, none);
  ff::shuffle(random_stream{}, one);
  CHECK(one == std::vector<int>{5});

  // rotation of one-peer gossip, and the cycles of a random regular graph
  std::vector<int> pi(8);
  std::iota(pi.begin(), pi.end(), 0);
  ff::shuffle(random_stream{1, ff::streams::rotation, 0}, pi);
  CHECK(pi == std::vector<int>{6, 7, 3, 5, 0, 4, 2, 1});
}

TEST_CASE("random: shuffle: every permutation of four is as likely") {
  std::vector<int> count(256);
  int const trials = 24000;
  for (int t = 0; t < trials; ++t) {
    std::vector<int> p{0, 1, 2, 3};
    ff::shuffle(random_stream{9, 1, static_cast<std::uint32_t>(t)}, p);
    ++count[static_cast<std::size_t>(p[0] * 64 + p[1] * 16 + p[2] * 4 + p[3])];
  }
  double chi = 0;
  int seen = 0;
  for (int const c : count)
    if (c > 0) {
      ++seen;
      chi += (c - 1000.0) * (c - 1000.0) / 1000.0;
    }
  CHECK(seen == 24);
  CHECK(chi < 50);  // 23 degrees of freedom: 1 in 1,000 above 49.7
}

TEST_CASE("random: sequential indices above 32 bits") {
  ff::random_sequence narrow{{4, 4, 4}}, same{{4, 4, 4}}, wide{{4, 4, 4}};
  for (int i = 0; i < 50; ++i) CHECK(narrow.below64(1000) == same.below(1000));
  std::uint64_t const n = (std::uint64_t{1} << 63) + 1;
  int upper = 0;
  for (int i = 0; i < 4000; ++i) {
    std::uint64_t const x = wide.below64(n);
    REQUIRE(x < n);
    upper += x >= n / 2;
  }
  CHECK(upper == doctest::Approx(2000).epsilon(0.08));
  CHECK(wide.next_element > 12000);  // half of the draws are redrawn
  ff::random_sequence first{{4, 4, 4}};
  std::uint64_t const m = std::uint64_t{1} << 33;
  CHECK(first.below64(m) == random_stream{4, 4, 4}.word64(0) % m);
}

TEST_CASE("random: below is bounded, unbiased and free of order") {
  random_stream const s{3, 5, 7};
  for (std::uint32_t const n : {1u, 2u, 3u, 7u, 1000u, 0x80000001u, 0xffffffffu})
    for (std::uint64_t i = 0; i < 300; ++i) {
      std::uint32_t const x = s.below(n, i);
      REQUIRE(x < n);
      REQUIRE(x == s.below(n, i));
    }
  CHECK(s.below(1, 12) == 0);
  // just above 2^31 nearly half of the words are rejected; the halves must still be equally likely
  int low = 0;
  for (std::uint64_t i = 0; i < 20000; ++i) low += s.below(0x80000001u, i) < 0x40000000u;
  CHECK(low == doctest::Approx(10000).epsilon(0.03));
  // the definition, spelled out
  std::uint32_t const n = 0xc0000000u, limit = 0x40000000u;
  int redrawn = 0;
  for (std::uint64_t i = 0; i < 300; ++i) {
    std::uint64_t m = std::uint64_t{s.word(i)} * n;
    for (std::uint64_t a = 1; static_cast<std::uint32_t>(m) < limit; ++a) {
      ++redrawn;
      m = std::uint64_t{s.block((std::uint64_t{1} << 63) + (a / 4) * (std::uint64_t{1} << 48) + i)[static_cast<int>(a % 4)]} * n;
    }
    REQUIRE(s.below(n, i) == static_cast<std::uint32_t>(m >> 32));
  }
  CHECK(redrawn > 50);
  std::vector<int> count(10);
  for (std::uint64_t i = 0; i < 10000; ++i) ++count[s.below(10, i)];
  double chi = 0;
  for (int const c : count) chi += (c - 1000.0) * (c - 1000.0) / 1000.0;
  CHECK(chi < 28);
}

TEST_CASE("random: bits of words are balanced") {
  std::vector<int> ones(32);
  for (std::uint64_t i = 0; i < 16384; ++i) {
    std::uint32_t const w = random_stream{2024, 1, 0}.word(i);
    for (std::size_t b = 0; b < 32; ++b) ones[b] += (w >> b) & 1u;
  }
  for (int const n : ones) CHECK(n == doctest::Approx(8192).epsilon(0.035));
}
