#include "fanfold/core/random_fill.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"
#include "support/bits.hpp"

namespace {

namespace ff = fanfold;
using support::same_bits;

TEST_CASE("fill_normal: element j has the bits of normal_bm drawn alone, across tiles and from odd beginnings") {
  ff::random_stream const s{.seed = 21, .stream = 2, .tag = 4};
  for (std::uint64_t first : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{127}, (std::uint64_t{1} << 34) - 3}) {
    std::vector<float> x(300);
    ff::fill_normal(s, first, x);
    for (std::size_t j = 0; j < x.size(); ++j) REQUIRE(same_bits(x[j], ff::normal_bm{}(s, first + j)));
  }
}

TEST_CASE("fills: two halves are the whole; nothing beyond the view is written; empty is fine") {
  ff::random_stream const s{.seed = 8};
  std::vector<float> whole(513), parts(515, -7);
  ff::fill_normal(s, 100, whole);
  ff::fill_normal(s, 100, ff::view<float>(parts.data() + 1, 200));
  ff::fill_normal(s, 300, ff::view<float>(parts.data() + 201, 313));
  for (std::size_t j = 0; j < whole.size(); ++j) REQUIRE(same_bits(whole[j], parts[j + 1]));
  CHECK(parts.front() == -7);
  CHECK(parts.back() == -7);
  ff::fill_normal(s, 5, ff::view<float>());
  ff::fill_u01(s, 5, ff::view<float>());
  ff::fill_words(s, 5, ff::view<std::uint32_t>());
}

TEST_CASE("words of a block, indices below n") {
  ff::random_stream const s{.seed = 77, .stream = 5, .tag = 6};
  std::vector<std::uint32_t> words(8);
  ff::fill_words(s, 0, words);
  for (std::uint64_t b = 0; b < 2; ++b) {
    auto const block = ff::random_block(77, 5, 6, b);
    for (std::size_t i = 0; i < 4; ++i) CHECK(block[static_cast<int>(i)] == words[4 * b + i]);
  }
  auto const key = ff::seed_key(0x0123456789abcdefu);
  CHECK(key[0] == 0x89abcdefu);
  CHECK(key[1] == 0x01234567u);
  CHECK(ff::scale_word(0, 10) == 0);
  CHECK(ff::scale_word(0xffffffffu, 10) == 9);
  CHECK(ff::scale_word(0x80000000u, 7) == 3);
  CHECK(ff::scale_word(0xffffffffu, 1) == 0);
}

}  // namespace
