#include "fanfold/fold/fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "reference/canonical.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/monoids.hpp"
#include "support/samples.hpp"

namespace {

using support::same_bits;

std::uint32_t bits(float x) {
  std::uint32_t u;
  std::memcpy(&u, &x, 4);
  return u;
}

std::vector<float> harmonic(std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  return x;
}

std::vector<std::size_t> const sizes{1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 2047, 2048, 2049, 4095, 4096, 4097, 6145, 65535, 65536, 65537, 131073, 200001};

struct known {
  std::size_t n;
  std::uint32_t interleaved, ordered;
};
known const answers[]{
    {31, 0x4080df32, 0x4080df32},     {32, 0x4081df32, 0x4081df32},     {33, 0x4082d770, 0x4082d770},     {63, 0x40974df4, 0x40974df5},
    {64, 0x4097cdf4, 0x4097cdf5},     {65, 0x40984bfc, 0x40984bfd},     {2047, 0x410339b7, 0x410339b8},   {2048, 0x41033bb7, 0x41033bb8},
    {2049, 0x41033db7, 0x41033db8},   {4097, 0x410e5358, 0x410e535a},   {6145, 0x4114cfa1, 0x4114cfa3},   {100001, 0x41417149, 0x4141714b},
    {131073, 0x4145c58e, 0x4145c590}, {139264, 0x4146bdd7, 0x4146bdd9},
};

// Words in order of appearance with their counts: a state that is not trivially copyable.
struct word_counts {
  using state = std::map<std::string, int>;
  using input = std::string;
  using output = std::size_t;
  static constexpr fanfold::law laws = fanfold::law::associative | fanfold::law::commutative | fanfold::law::bitwise;
  state identity() const { return {}; }
  state combine(state const& a, state const& b) const {
    state s = a;
    for (auto const& [word, count] : b) s[word] += count;
    return s;
  }
  state lift(std::string const& x) const { return {{x, 1}}; }
  output lower(state const& s) const { return s.size(); }
};

}  // namespace

TEST_CASE("the known answers of the canonical trees") {
  for (known const& k : answers) {
    auto const x = harmonic(k.n);
    CAPTURE(k.n);
    CHECK(bits(fanfold::fold(support::float_sum{}, x)) == k.interleaved);
    CHECK(bits(fanfold::fold(support::ordered_float_sum{}, x)) == k.ordered);
  }
}

TEST_CASE("every executor gives the bits of the reference tree at every size around the boundaries") {
  for (std::size_t n : sizes) {
    auto const x = support::reals(n, n);
    CAPTURE(n);
    float const interleaved = reference::interleaved(support::float_sum{}, x);
    float const ordered = reference::ordered(support::ordered_float_sum{}, x);
    support::for_each_executor([&](char const* name, auto const& ex) {
      CAPTURE(name);
      CHECK(same_bits(fanfold::fold(ex, support::float_sum{}, x), interleaved));
      CHECK(same_bits(fanfold::fold(ex, support::ordered_float_sum{}, x), ordered));
    });
  }
}

TEST_CASE("non-commutative carriers keep their order") {
  support::lcg g(5);
  std::vector<support::affine::state> x(70000);
  for (auto& v : x) v = {g.below(100), g.below(100)};
  support::affine const m;
  support::affine::state expected = m.identity();
  for (auto const& v : x) expected = m.combine(expected, v);
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    CHECK(fanfold::fold(ex, m, x) == expected);
  });
}

TEST_CASE("nothing gives the empty answer, one item its own bits") {
  std::vector<float> const none;
  CHECK(same_bits(fanfold::fold(support::float_sum{}, none), 0.0f));
  CHECK(same_bits(fanfold::fold(support::float_sum{}, std::vector<float>{-0.0f}), -0.0f));
  std::vector<float> out(1, 7.0f);
  fanfold::fold(support::float_sum{}, none, out);
  CHECK(same_bits(out[0], 0.0f));
  CHECK(fanfold::fold(support::affine{}, std::vector<support::affine::state>{}) == support::affine{}.identity());
}

TEST_CASE("storage types are converted at the load") {
  std::vector<fanfold::bfloat16> x(5000);
  std::vector<float> wide(x.size());
  support::lcg g(3);
  for (std::size_t i = 0; i < x.size(); ++i) {
    x[i] = fanfold::from_arithmetic<fanfold::bfloat16>(g.real());
    wide[i] = fanfold::to_arithmetic(x[i]);
  }
  CHECK(same_bits(fanfold::fold(support::float_sum{}, x), fanfold::fold(support::float_sum{}, wide)));
}

TEST_CASE("states that own memory fold on every host executor") {
  std::vector<std::string> words(100000);
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = std::string(1, static_cast<char>('a' + i % 17));
  support::for_each_executor([&](char const*, auto const& ex) { CHECK(fanfold::fold(ex, word_counts{}, words) == 17); });
}

TEST_CASE("output form, options and errors") {
  auto const x = support::reals(100000, 1);
  float const expected = fanfold::fold(support::float_sum{}, x);
  float out[1] = {0};
  fanfold::workspace ws;
  fanfold::fold(fanfold::serial, support::float_sum{}, x, out, fanfold::order::fixed, ws);
  CHECK(same_bits(out[0], expected));
  CHECK(same_bits(fanfold::fold(support::float_sum{}, x, ws, fanfold::order::any), expected));
  CHECK(fanfold::fetch(fanfold::serial, out) == expected);

  float two[2] = {3, 4};
  CHECK_THROWS_WITH_AS(fanfold::fold(support::float_sum{}, x, two), doctest::Contains("out.size() is 2, must be 1"), fanfold::argument_error);
  CHECK(two[0] == 3);
  CHECK_THROWS_AS(fanfold::fold(support::float_sum{}, fanfold::view<float const>(nullptr, 4), out), fanfold::argument_error);
  CHECK_THROWS_AS(fanfold::fold(support::float_sum{}, fanfold::view<float const>(nullptr, 4)), fanfold::argument_error);
}
