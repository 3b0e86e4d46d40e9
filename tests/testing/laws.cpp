#include "fanfold/testing/laws.hpp"

#include <doctest/doctest.h>

#include "fanfold/monoid/arithmetic.hpp"

namespace {

using fanfold::law;
using namespace fanfold::testing;

struct integer_sum {
  using input = int;
  using state = long;
  using output = long;
  static constexpr law laws = law::associative | law::commutative | law::bitwise;
  long identity() const { return 0; }
  long lift(int x) const { return x; }
  long combine(long a, long b) const { return a + b; }
  long lower(long s) const { return s; }
};
struct wrong_identity : integer_sum {
  long identity() const { return 1; }
};
struct not_associative : integer_sum {
  long combine(long a, long b) const { return b == 0 ? a : a == 0 ? b : a + b + (a > b ? a & 1 : b & 1); }
};
struct not_commutative : integer_sum {
  long combine(long a, long b) const { return a != 0 ? a : b; }
};
struct not_idempotent : integer_sum {
  static constexpr law laws = integer_sum::laws | law::idempotent;
};
struct wrong_inverse : integer_sum {
  static constexpr law laws = integer_sum::laws | law::invertible;
  long subtract(long a, long b) const { return a - b + (b > 15); }
};
struct wrong_absorb : integer_sum {
  void absorb(long& s, int x) const { s += x == 3 ? 4 : x; }
};
struct wrong_lanes : integer_sum {
  template <int L>
  struct lane_block {
    long s[L];
    void start(wrong_lanes const&, int const* x) {
      for (int l = 0; l < L; ++l) s[l] = x[l];
    }
    void absorb(wrong_lanes const&, int const* x) {
      for (int l = 0; l < L; ++l) s[l] += static_cast<long>(x[l]) + (l == 5);
    }
    long lane(wrong_lanes const&, int l) const { return s[l]; }
  };
};
struct wrong_block : integer_sum {
  long fold_block(fanfold::view<int const> x) const { return x[0]; }
};
/// Claims law::bitwise for a float sum.
struct not_bitwise : fanfold::plus<float> {
  static constexpr law laws = law::associative | law::commutative | law::bitwise;
};
/// A mean that forgets how many stand behind it: order shows in infinities and in finite numbers.
struct halving : fanfold::plus<float> {
  float combine(float a, float b) const { return 0.5f * a + 0.5f * b; }
};
/// Adds, but to an infinity on the left only NaN.
struct left_infinity : fanfold::plus<double> {
  double combine(double a, double b) const { return a - a != 0 ? __builtin_nan("") : a + b; }
};
/// The identity that loses the sign of zero.
struct positive_zero : fanfold::plus<float> {
  float identity() const { return 0.0f; }
};

nasty_values<int> const integers{};

}  // namespace

TEST_CASE("laws: a lawful monoid passes") {
  law_report const r = check_monoid_laws(integer_sum{}, integers);
  CHECK_MESSAGE(r.ok(), r.text());
  CHECK(r.checks > 1000);
}

TEST_CASE("laws: every kind of broken monoid is caught and named") {
  CHECK(check_monoid_laws(wrong_identity{}, integers).violates("left identity"));
  CHECK(check_monoid_laws(wrong_identity{}, integers).violates("right identity"));
  CHECK(check_monoid_laws(wrong_identity{}, integers).violates("identity of identities"));
  law_report const r = check_monoid_laws(not_associative{}, integers);
  CHECK(r.violates("associativity"));
  CHECK(r.violates("fold over a random tree"));
  CHECK(check_monoid_laws(not_commutative{}, integers).violates("commutativity"));
  CHECK(check_monoid_laws(not_commutative{}, integers).violates("fold of a permutation"));
  CHECK_FALSE(check_monoid_laws(not_commutative{}, integers).violates("associativity"));
  CHECK(check_monoid_laws(not_idempotent{}, integers).violates("idempotence"));
  CHECK(check_monoid_laws(wrong_inverse{}, integers).violates("inverse"));
  CHECK(check_monoid_laws(wrong_absorb{}, integers).violates("absorb"));
  CHECK(check_monoid_laws(wrong_lanes{}, integers).violates("lane_block"));
  CHECK(check_monoid_laws(wrong_block{}, integers).violates("fold_block"));
  CHECK(check_monoid_laws(not_bitwise{}, nasty_values<float>{}).violates("associativity"));
  CHECK(check_monoid_laws(positive_zero{}, nasty_values<float>{}, bitwise{}).violates("left identity"));
}

TEST_CASE("laws: up to rounding is not up to anything") {
  law_options o;
  o.commutative_bits = true;
  CHECK(check_monoid_laws(fanfold::plus<float>{}, nasty_values<float>{}, bounded{number_size{}, 1e-5}, o).ok());
  CHECK(check_monoid_laws(fanfold::plus<float>{}, nasty_values<float>{}, bounded{number_size{}, 1e-9}, o).violates("associativity"));
  CHECK(check_monoid_laws(halving{}, nasty_values<float>{}, bounded{number_size{}, 1e-5}, o).violates("associativity"));
  law_report const r = check_monoid_laws(left_infinity{}, nasty_values<double>{}, bounded{number_size{}, 1e-9}, o);
  CHECK(r.violates("commutativity"));
  for (auto const& v : r.violations)
    if (v.rule == "commutativity") CHECK(v.input == "infinities");
}

TEST_CASE("laws: a violation carries what is needed to see it again") {
  law_options options;
  options.seed = 42;
  law_report const r = check_monoid_laws(not_commutative{}, integers, bitwise{}, options);
  REQUIRE(!r.violations.empty());
  CHECK(r.violations[0].rule == "commutativity");
  CHECK(r.violations[0].seed == 42);
  CHECK(r.violations[0].length == 192);
  CHECK(!r.violations[0].input.empty());
  CHECK(r.text().find("commutativity fails on") != std::string::npos);
  CHECK_FALSE(law_report{}.ok());  // nothing checked is not a pass
}

TEST_CASE("equality policies") {
  double const infinite = __builtin_inf(), not_a_number = __builtin_nan("");
  bounded const near_enough{number_size{}, 1e-3, 1.0, 2};
  CHECK(near_enough(1.0, 1.003, 2.0));
  CHECK_FALSE(near_enough(1.0, 1.005, 2.0));
  CHECK_FALSE(near_enough(infinite, -infinite, 2.0));
  CHECK_FALSE(near_enough(infinite, not_a_number, 2.0));
  CHECK_FALSE(near_enough(infinite, 1e300, 2.0));
  CHECK(near_enough(infinite, not_a_number, 1e200));  // the bound itself overflows
  CHECK_FALSE(bitwise{}(0.0f, -0.0f, 0.0));
  CHECK(bitwise{}(__builtin_nanf(""), -__builtin_nanf(""), 0.0));
  CHECK(ulp{1}(1.0f, 1.0f + 0x1p-23f, 0.0));
  CHECK_FALSE(ulp{1}(1.0f, 1.0f + 0x1p-22f, 0.0));
  CHECK(ulp{0}(0.0f, -0.0f, 0.0));
  CHECK(relative{1e-3, 0.0}(1000.0, 1000.9, 0.0));
  CHECK_FALSE(relative{1e-3, 0.0}(1000.0, 1002.0, 0.0));
  CHECK(relative{1e-3, 1e6}(0.0, 999.0, 0.0));
  CHECK(relative_to_items{1e-3}(0.0, 0.9, 1000.0));
  CHECK_FALSE(relative_to_items{1e-3}(0.0, 1.1, 1000.0));
  CHECK_FALSE(relative{1e-3}(__builtin_nan(""), 1.0, 0.0));
}
