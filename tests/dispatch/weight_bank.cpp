#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/weight_bank.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

TEST_CASE("weight_bank: transposing swaps indices") {
  std::vector<float> w(24);
  for (std::size_t i = 0; i < 24; ++i) w[i] = static_cast<float>(i);
  weight_bank<float const> const bank(w.data(), 2, 3, 4);
  CHECK(bank(1, 2, 3) == 23.0f);
  auto const turned = bank.transposed();
  CHECK(turned.inner == 4);
  CHECK(turned.outer == 3);
  CHECK(turned(1, 3, 2) == 23.0f);
}

TEST_CASE("packed_bank: blocks hold the same elements as blocks packed on the way, zero past the last column") {
  std::int64_t const experts = 3, inner = 37, outer = 2 * packed_bank<float>::width + 5, width = packed_bank<float>::width;
  std::vector<float> w(static_cast<std::size_t>(experts * inner * outer)), other(w.size());
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i) + 0.5f, other[i] = -w[i];
  weight_bank<float const> const bank(w.data(), experts, inner, outer), negative(other.data(), experts, inner, outer);
  packed_bank const packed_weights(bank);
  packed_bank const both(bank, negative);
  CHECK(packed_weights.bytes() == static_cast<std::size_t>(experts * 3 * inner * width) * sizeof(float));
  std::vector<float> scratch(static_cast<std::size_t>(inner * width));
  bool right = true;
  for (std::int64_t e = 0; e < experts; ++e)
    for (std::int64_t panel = 0; panel < 3; ++panel) {
      float const* const a = packed_weights.block<float>(e, panel, 4, inner - 4, nullptr);
      float const* const b = bank.block<float>(e, panel, 4, inner - 4, scratch.data());
      float const* const pair_first = both.block<float>(e, 2 * panel, 4, inner - 4, nullptr);
      float const* const pair_second = both.block<float>(e, 2 * panel + 1, 4, inner - 4, nullptr);
      for (std::int64_t k = 0; k < inner - 4; ++k)
        for (std::int64_t c = 0; c < width; ++c) {
          std::int64_t const column = panel * width + c, i = k * width + c;
          float const expected = column < outer ? bank(e, k + 4, column) : 0.0f;
          right &= a[i] == expected && b[i] == expected && pair_first[i] == expected && pair_second[i] == -expected;
        }
    }
  CHECK(right);
  CHECK(packed_weights.next_block<float>(0, 0, 0, 10) == packed_weights.block<float>(0, 0, 10, 1, nullptr));
  CHECK(packed_weights.next_block<float>(experts - 1, 2, 0, inner) == nullptr);
  CHECK_THROWS_AS(packed_bank(bank, weight_bank<float const>(w.data(), experts, outer, inner)), argument_error);
}
