#include "fanfold/kernel/fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/emulate/executor.hpp"
#include "fanfold/fold/fold.hpp"
#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/monoids.hpp"

namespace {

using fanfold::law;
using support::same_bits;

using support::float_sum;

// A sum whose identity would show if it were mixed in, and a state wider than a word.
struct counting_sum {
  struct state {
    double sum = 0;
    std::int64_t count = 0;
    float last = 0;
  };
  struct output {
    double sum;
    std::int64_t count;
  };
  using input = float;
  static constexpr law laws = law::associative | law::commutative;
  FANFOLD_HD state identity() const { return {0, 1000000, 0}; }
  FANFOLD_HD output empty() const { return {-1, -1}; }
  FANFOLD_HD state combine(state const& a, state const& b) const { return {a.sum + b.sum, a.count + b.count, b.last}; }
  FANFOLD_HD state lift(float x) const { return {x * 1.1, 1, x}; }
  FANFOLD_HD output lower(state const& s) const { return {s.sum, s.count}; }
};

// x -> scale x + shift, composed in order: not commutative.
struct affine {
  struct state {
    float scale, shift;
  };
  using input = float;
  using output = state;
  static constexpr law laws = law::associative;
  FANFOLD_HD state identity() const { return {1, 0}; }
  FANFOLD_HD state combine(state const& a, state const& b) const { return {a.scale * b.scale, a.shift * b.scale + b.shift}; }
  FANFOLD_HD state lift(float x) const { return {1 - x / 1024, x}; }
  FANFOLD_HD state lower(state const& s) const { return s; }
};

std::vector<float> numbers(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  return x;
}

constexpr std::size_t sizes[] = {1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 1056, 2047, 2048, 2049, 4097, 6145, 20011};

template <class F>
void on_every_device(F const& f) {
  fanfold::workspace ws;
  for (unsigned threads : {32u, 64u, 128u, 256u})
    f(fanfold::emulate::executor(ws, {.block_threads = threads, .resident_blocks = threads == 64 ? 7 : 1, .descending = threads == 128}));
}

std::uint32_t bits(float x) {
  std::uint32_t b;
  std::memcpy(&b, &x, 4);
  return b;
}

}  // namespace

TEST_CASE("a device fold is the interleaved tree, to the bit, and the host's") {
  for (std::size_t n : sizes) {
    std::vector<float> const x = numbers(n);
    float const want = reference::interleaved(float_sum{}, reference::lifted(float_sum{}, x));
    CHECK(same_bits(want, fanfold::fold(float_sum{}, x)));
    on_every_device([&](auto const& ex) {
      float out[1] = {-7};
      fanfold::fold(ex, float_sum{}, x, out);
      CAPTURE(n);
      CHECK(same_bits(out[0], want));
    });
  }
}

TEST_CASE("known answers of the interleaved tree") {
  struct {
    std::size_t n;
    std::uint32_t bits;
  } const known[] = {{33, 0x4082d770}, {65, 0x40984bfc}, {2047, 0x410339b7}, {2049, 0x41033db7}, {100001, 0x41417149}};
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {.block_threads = 64});
  for (auto const& k : known) {
    float out[1];
    fanfold::fold(ex, float_sum{}, numbers(k.n), out);
    CHECK(bits(out[0]) == k.bits);
  }
}

TEST_CASE("wide states, and the identity is never mixed in") {
  for (std::size_t n : {std::size_t{1}, std::size_t{2}, std::size_t{33}, std::size_t{65}, std::size_t{2049}, std::size_t{6145}}) {
    std::vector<float> const x = numbers(n);
    auto const want = reference::interleaved(counting_sum{}, reference::lifted(counting_sum{}, x));
    on_every_device([&](auto const& ex) {
      counting_sum::output out[1];
      fanfold::fold(ex, counting_sum{}, x, out);
      CHECK(out[0].count == static_cast<std::int64_t>(n));
      CHECK(same_bits(out[0].sum, want.sum));
    });
  }
}

TEST_CASE("a carrier that does not commute takes the ordered tree") {
  for (std::size_t n : sizes) {
    std::vector<float> const x = numbers(n);
    affine::state const want = reference::ordered(affine{}, reference::lifted(affine{}, x));
    CHECK(same_bits(want, fanfold::fold(affine{}, x)));
    on_every_device([&](auto const& ex) {
      affine::state out[1];
      fanfold::fold(ex, affine{}, x, out);
      CAPTURE(n);
      CHECK(same_bits(out[0], want));
    });
  }
}

TEST_CASE("storage types and unaligned views give the host's bits") {
  std::vector<float> const x = numbers(5001);
  std::vector<fanfold::bfloat16> narrow;
  for (float v : x) narrow.push_back(fanfold::bfloat16(v));
  on_every_device([&](auto const& ex) {
    for (std::int64_t skip = 0; skip < 3; ++skip) {
      float out[1];
      fanfold::view<float const> const part(x.data() + skip, 4900);
      fanfold::fold(ex, float_sum{}, part, out);
      CHECK(same_bits(out[0], fanfold::fold(float_sum{}, part)));
      fanfold::view<fanfold::bfloat16 const> const narrow_part(narrow.data() + skip, 4900);
      fanfold::fold(ex, float_sum{}, narrow_part, out);
      CHECK(same_bits(out[0], fanfold::fold(float_sum{}, narrow_part)));
      fanfold::fold(ex, support::ordered_float_sum{}, narrow_part, out);
      CHECK(same_bits(out[0], fanfold::fold(support::ordered_float_sum{}, narrow_part)));
    }
  });
}

TEST_CASE("no items: the aggregator's answer of nothing") {
  on_every_device([](auto const& ex) {
    counting_sum::output out[1];
    fanfold::fold(ex, counting_sum{}, std::vector<float>{}, out);
    CHECK(out[0].count == -1);
    float sum[1];
    fanfold::fold(ex, float_sum{}, std::vector<float>{}, sum);
    CHECK(same_bits(sum[0], 0.0f));
  });
}

TEST_CASE("more than 1,024 tiles take a third launch") {
  std::size_t const n = 2048 * 1024 + 2049;
  std::vector<float> const x = numbers(n);
  fanfold::workspace ws;
  float out[1];
  fanfold::fold(fanfold::emulate::executor(ws), float_sum{}, x, out);
  CHECK(same_bits(out[0], reference::interleaved(float_sum{}, reference::lifted(float_sum{}, x))));
}

TEST_CASE("NaN and infinities arrive as on the host") {
  std::vector<float> x = numbers(3000);
  x[2500] = std::numeric_limits<float>::infinity();
  on_every_device([&](auto const& ex) {
    float out[1];
    fanfold::fold(ex, float_sum{}, x, out);
    CHECK(out[0] == std::numeric_limits<float>::infinity());
    std::vector<float> y = x;
    y[3] = -x[2500];
    fanfold::fold(ex, float_sum{}, y, out);
    CHECK(out[0] != out[0]);
  });
}

TEST_CASE("a fold moves hardly more bytes than it must") {
  constexpr std::int64_t n = 1 << 20;
  CHECK(fanfold::fold_traffic<float_sum, float>(n) >= 4 * n + 4);
  CHECK(fanfold::fold_traffic<float_sum, float>(n) <= 4 * n + 4 * n / 500);
  CHECK(fanfold::fold_traffic<float_sum, float>(100) == 404);
}

TEST_CASE("the workspace may be a fixed block of the states of all tiles") {
  std::vector<float> const x = numbers(4097);
  std::vector<std::byte> memory(1024 + 256);
  fanfold::workspace ws(memory.data(), memory.size());
  fanfold::emulate::executor const ex(ws);
  float out[1];
  fanfold::fold(ex, float_sum{}, x, out);
  CHECK(same_bits(out[0], fanfold::fold(float_sum{}, x)));
}
