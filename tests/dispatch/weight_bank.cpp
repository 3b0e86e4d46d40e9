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
  using shape = dispatch::detail::gemm_shape<float>;
  std::int64_t const experts = 3, inner = 37, width = packed_bank<float>::width, outer = 2 * width + 5;
  std::vector<float> w(static_cast<std::size_t>(experts * inner * outer)), other(w.size());
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<float>(i) + 0.5f, other[i] = -w[i];
  weight_bank<float const> const bank(w.data(), experts, inner, outer), negative(other.data(), experts, inner, outer);
  packed_bank const packed_weights(bank);
  packed_bank const both(bank, negative);
  std::int64_t const last = (5 + shape::lanes - 1) / shape::lanes * shape::lanes;  // the last panel keeps whole vectors only
  CHECK(shape::vectors_of(outer, 1) * shape::lanes == width);
  CHECK(shape::vectors_of(outer, 2) * shape::lanes == last);
  CHECK(packed_weights.bytes() == static_cast<std::size_t>(experts * inner * (2 * width + last)) * sizeof(float));
  std::vector<float> turned(w.size());  // the same matrices stored transposed
  for (std::int64_t e = 0; e < experts; ++e)
    for (std::int64_t k = 0; k < inner; ++k)
      for (std::int64_t n = 0; n < outer; ++n) turned[static_cast<std::size_t>((e * outer + n) * inner + k)] = bank(e, k, n);
  packed_bank const packed_turned(weight_bank<float const>(turned.data(), experts, outer, inner).transposed());
  std::vector<float> scratch(static_cast<std::size_t>(inner * width));
  bool right = true;
  for (std::int64_t e = 0; e < experts; ++e)
    for (std::int64_t panel = 0; panel < 3; ++panel) {
      float const* const a = packed_weights.block<float>(e, panel, 4, inner - 4, nullptr);
      float const* const b = bank.block<float>(e, panel, 4, inner - 4, scratch.data());
      float const* const t = packed_turned.block<float>(e, panel, 4, inner - 4, nullptr);
      float const* const pair_first = both.block<float>(e, 2 * panel, 4, inner - 4, nullptr);
      float const* const pair_second = both.block<float>(e, 2 * panel + 1, 4, inner - 4, nullptr);
      std::int64_t const columns = panel < 2 ? width : last;
      for (std::int64_t k = 0; k < inner - 4; ++k)
        for (std::int64_t c = 0; c < columns; ++c) {
          std::int64_t const column = panel * width + c, i = k * columns + c;
          float const expected = column < outer ? bank(e, k + 4, column) : 0.0f;
          right &= a[i] == expected && b[i] == expected && t[i] == expected && pair_first[i] == expected && pair_second[i] == -expected;
        }
    }
  CHECK(right);
  CHECK(packed_weights.block<float>(1, 0, 0, 1, nullptr) == packed_weights.block<float>(0, 2, inner - 1, 1, nullptr) + last);  // experts follow each other
  CHECK(both.block<float>(0, 5, 0, 1, nullptr) == both.block<float>(0, 4, 0, 1, nullptr) + inner * last);
  auto const* const begin = static_cast<char const*>(static_cast<void const*>(packed_weights.block<float>(0, 0, 0, 1, nullptr)));
  auto const* const end = begin + packed_weights.bytes();
  dispatch::detail::memory_range const late = packed_weights.ahead(experts - 1, 2, inner - 1, 1), early = packed_bank(weight_bank<float const>(w.data(), 1, 1, 1)).ahead(0, 0, 0, 1);
  CHECK((late.bytes == 0 || late.from + late.bytes <= end));  // nothing past the end is fetched
  CHECK(early.bytes == 0);
  CHECK_THROWS_AS(packed_bank(bank, weight_bank<float const>(w.data(), experts, outer, inner)), argument_error);
}
