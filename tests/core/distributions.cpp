#include "fanfold/core/distributions.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/core/random_fill.hpp"
#include "support/bits.hpp"

namespace ff = fanfold;
using ff::random_stream;
using support::same_bits;

namespace {

template <class Z>
std::vector<float> filled(Z const& z, random_stream const& s, std::uint64_t first, std::size_t n) {
  std::vector<float> x(n);
  ff::fill_direction(z, s, first, x);
  return x;
}

/// Mean, variance and kurtosis over many elements against the policy's own statement, within about four standard errors.
template <class Z>
void check_moments(Z const& z) {
  std::size_t const n = 200000;
  double const v = z.variance(), kurtosis = z.kurtosis(), root = std::sqrt(static_cast<double>(n));
  double s1 = 0, s2 = 0, s4 = 0;
  for (float const f : filled(z, {77, 3, 1}, 0, n)) {
    double const x = f;
    s1 += x;
    s2 += x * x;
    s4 += x * x * x * x;
  }
  double const count = static_cast<double>(n);
  CHECK(std::fabs(s1 / count) < 4 * std::sqrt(v) / root);
  CHECK(std::fabs(s2 / count / v - 1) < 4 * std::sqrt(kurtosis - 1) / root + 1e-6);
  CHECK(std::fabs(s4 / count / (v * v) / kurtosis - 1) < 4 * 10 / root);
}

template <class Z>
void check_fill(Z const& z) {
  random_stream const s{5, 6, 7};
  for (std::uint64_t const first : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{130}, (std::uint64_t{1} << 33) + 3})
    for (std::size_t const n : {0u, 1u, 3u, 4u, 127u, 128u, 129u, 1000u, 5000u}) {
      std::vector<float> const x = filled(z, s, first, n);
      bool same = true;
      for (std::size_t j = 0; j < n; ++j) same = same && same_bits(x[j], z(s, first + j));
      REQUIRE(same);
    }
}

/// A user's own direction has the generic fill.
struct alternating {
  static constexpr double variance() { return 1.0; }
  static constexpr double kurtosis() { return 1.0; }
  float operator()(random_stream const&, std::uint64_t i) const { return i % 2 == 0 ? 1.0f : -1.0f; }
};

}  // namespace

TEST_CASE("distributions: normals have the known bits") {
  std::uint32_t const bits[8] = {0x3e334ced, 0xbfaa667e, 0x3eabc1b8, 0x3fa221a4, 0xba3366a9, 0x3eed999c, 0x3f82fdeb, 0x3ea6d025};
  random_stream const s{42, 7, 0};
  std::vector<float> const x = filled(ff::normal_bm{}, s, 0, 8);
  for (std::uint64_t i = 0; i < 8; ++i) {
    CHECK(ff::math::bits_of(s.normal(i)) == bits[i]);
    CHECK(ff::math::bits_of(x[i]) == bits[i]);
  }
}

TEST_CASE("distributions: normals follow Box-Muller in double for every quarter and size of u") {
  double worst = 0;
  for (std::uint32_t i = 0; i < 60000; ++i) {
    random_stream const s{8, 8, 8};
    std::uint32_t const x0 = i < 30000 ? s.word(2 * i) : s.word(2 * i) >> (i % 32), x1 = s.word(2 * i + 1);
    double const u = (static_cast<double>(x0 >> 9) + 0.5) * 0x1p-23;
    double const turn = (static_cast<double>(x1 >> 30) + ((static_cast<double>((x1 & 0x3fffffffu) >> 7) + 0.5) * 0x1p-23 - 0.5)) / 4;
    double const r = std::sqrt(-2 * std::log(u)), angle = 2 * 3.14159265358979323846 * turn;
    auto const z = ff::normal_bm::from_words(x0, x1);
    worst = std::max(
        {worst, std::fabs(static_cast<double>(z.z0) - r * std::cos(angle)), std::fabs(static_cast<double>(z.z1) - r * std::sin(angle))});
  }
  CHECK(worst < 1.2e-6);
}

TEST_CASE("distributions: signs, uniforms, truncated normals and bit counts have the known values") {
  char const expected[] = "+ - - - - - + + + - + - - + + +";
  for (std::uint64_t i = 0; i < 16; ++i) CHECK(ff::rademacher{}({42, 9, 0}, i) == (expected[2 * i] == '+' ? 1.0f : -1.0f));
  CHECK(ff::rademacher{}({42, 9, 0}, 128 + 35) == (((random_stream{42, 9, 0}.block(1)[1] >> 3) & 1u) != 0 ? 1.0f : -1.0f));

  random_stream const s{42, 7, 0};
  float const uniform[3] = {-.325688f, 1.371140f, -.263931f};
  float const truncated[3] = {-.0465407f, .1971341f, -.0377110f};
  float const flat[3] = {-.0470090f, .1979070f, -.0380951f};
  for (std::uint64_t i = 0; i < 3; ++i) {
    CHECK(ff::uniform_var1{}(s, i) == doctest::Approx(uniform[i]).epsilon(2e-6));
    CHECK(ff::truncated_unit{16}(s, i) == doctest::Approx(truncated[i]).epsilon(2e-6));
    CHECK(ff::uniform_unit{16}(s, i) == doctest::Approx(flat[i]).epsilon(2e-6));
  }
  CHECK(ff::popcount_normal{}({42, 3, 0}, 0) == -1.75f);
  CHECK(ff::popcount_normal{}({42, 3, 0}, 1) == -.5f);
}

TEST_CASE("distributions: variance of the truncated normal") {
  CHECK(ff::truncated_unit{1}.variance() == doctest::Approx(.291125).epsilon(2e-6));
  CHECK(ff::truncated_unit{4}.variance() == doctest::Approx(.0805892).epsilon(2e-6));
  CHECK(ff::truncated_unit{100}.variance() == doctest::Approx(.00332889).epsilon(2e-6));
  CHECK(1e9 * ff::truncated_unit{1e9}.variance() == doctest::Approx(1.0 / 3).epsilon(1e-6));
  CHECK(ff::truncated_unit{999.999}.variance() == doctest::Approx(ff::truncated_unit{1000}.variance()).epsilon(2e-6));
  for (float const z : filled(ff::truncated_unit{16}, {1, 2, 3}, 0, 1000)) REQUIRE(std::fabs(z) <= 0.25f);
}

TEST_CASE("distributions: moments") {
  check_moments(ff::rademacher{});
  check_moments(ff::uniform_var1{});
  check_moments(ff::uniform_unit{64});
  check_moments(ff::truncated_unit{64});
  check_moments(ff::popcount_normal{});
  check_moments(ff::normal_bm{});
}

TEST_CASE("distributions: a normal's tenths are as likely as they should be") {
  // deciles of the standard normal
  double const cut[9] = {-1.2815516, -0.8416212, -0.5244005, -0.2533471, 0, 0.2533471, 0.5244005, 0.8416212, 1.2815516};
  std::vector<int> count(10);
  for (float const z : filled(ff::normal_bm{}, {123, 4, 0}, 0, 50000)) {
    std::size_t k = 0;
    while (k < 9 && z > cut[k]) ++k;
    ++count[k];
  }
  double chi = 0;
  for (int const c : count) chi += (c - 5000.0) * (c - 5000.0) / 5000.0;
  CHECK(chi < 28);
}

TEST_CASE("distributions: fills have the bits of single draws, wherever they begin and end") {
  check_fill(ff::rademacher{});
  check_fill(ff::uniform_var1{});
  check_fill(ff::uniform_unit{3});
  check_fill(ff::truncated_unit{7});
  check_fill(ff::popcount_normal{});
  check_fill(ff::normal_bm{});
  check_fill(alternating{});
  random_stream const s{5, 6, 7};
  std::vector<std::uint32_t> words(777);
  std::vector<float> uniforms(777);
  ff::fill_words(s, 11, words);
  ff::fill_u01(s, 11, uniforms);
  for (std::size_t j = 0; j < words.size(); ++j) {
    REQUIRE(words[j] == s.word(11 + j));
    REQUIRE(same_bits(uniforms[j], s.u01(11 + j)));
  }
}
