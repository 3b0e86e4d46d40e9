#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/counted.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/keyed.hpp"
#include "fanfold/monoid/mapped.hpp"
#include "fanfold/monoid/opposite.hpp"
#include "fanfold/monoid/optional_of.hpp"
#include "fanfold/monoid/product_monoid.hpp"
#include "fanfold/monoid/segmented_lift.hpp"
#include "fanfold/monoid/vector_of.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

struct square {
  FANFOLD_HD constexpr int operator()(int x) const { return x * x; }
};
struct length_of {
  using input = std::string;
  int operator()(std::string const& s) const { return static_cast<int>(s.size()); }
};
struct halve {
  FANFOLD_HD constexpr double operator()(std::int64_t x) const { return static_cast<double>(x) / 2; }
};

/// Keeps the first operand: associative, not commutative, no identity.
struct first_of {
  using input = int;
  using state = int;
  using output = int;
  static constexpr law laws = law::associative | law::idempotent | law::bitwise;
  constexpr int lift(int x) const { return x; }
  constexpr int combine(int a, int) const { return a; }
  constexpr int lower(int s) const { return s; }
};
/// Concatenation of digits: shows the order of operands.
struct concatenation {
  using input = char;
  using state = std::string;
  using output = std::string;
  static constexpr law laws = law::associative | law::bitwise;
  std::string identity() const { return {}; }
  std::string lift(char c) const { return std::string(1, c); }
  std::string combine(std::string const& a, std::string const& b) const { return a + b; }
  std::string lower(std::string const& s) const { return s; }
};

nasty_values<int> const integers{};

template <class M, class X>
auto fold_list(M const& m, X const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return m.lower(s);
}

// laws are the intersection
static_assert(product_monoid<plus<int>, maximum<int>>::laws == (law::associative | law::commutative | law::bitwise));
static_assert(product_monoid<plus<float>, maximum<float>>::laws == (law::associative | law::commutative));
static_assert(opposite<concatenation>::laws == concatenation::laws);
static_assert(segmented_lift<plus<int>>::laws == (law::associative | law::bitwise));
static_assert(vector_of<maximum<float>, 3>::laws == maximum<float>::laws);
static_assert(!has_law(counted<maximum<float>>::laws, law::idempotent));
static_assert(semigroup<first_of> && !monoid<first_of>);
static_assert(std::is_trivially_copyable_v<product_monoid<plus<int>, maximum<int>>::state>);
static_assert(std::is_standard_layout_v<bundle<int, double, float>>);

}  // namespace

TEST_CASE("product_monoid: laws, and one pass for several answers") {
  product_monoid const m{plus<int>{}, maximum<int>{}, minimum<int>{}};
  law_report const r = check_monoid_laws(m, integers);
  CHECK_MESSAGE(r.ok(), r.text());
  auto const answer = fold_list(m, std::vector<int>{3, -1, 4});
  CHECK(get<0>(answer) == 6);
  CHECK(get<1>(answer) == 4);
  CHECK(get<2>(answer) == -1);
  CHECK(std::signbit(product_monoid{plus<float>{}}.identity().first));
  CHECK_FALSE(std::signbit(get<0>(product_monoid{plus<float>{}}.empty())));
}

TEST_CASE("mapped: a map before lift and one after lower") {
  CHECK(fold_list(mapped{plus<int>{}, square{}}, std::vector<int>{1, 2, 3}) == 14);
  CHECK(fold_list(mapped{plus<int>{}, length_of{}, halve{}}, std::vector<std::string>{"ab", "cde"}) == 2.5);
  auto const small = items_from{integers, [](int, std::int64_t, word_stream& words) { return static_cast<int>(words.below(100)); }};
  law_report const r = check_monoid_laws(mapped{plus<int>{}, square{}}, small);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("vector_of: elementwise") {
  vector_of<plus<int>, 3> const m;
  auto const rows = items_from{integers, [](int x, std::int64_t i, word_stream&) { return small_array<int, 3>{{x, 1, static_cast<int>(i)}}; }};
  law_report const r = check_monoid_laws(m, rows);
  CHECK_MESSAGE(r.ok(), r.text());
  auto const sum = fold_list(m, std::vector<small_array<int, 3>>{{{1, 2, 3}}, {{10, 20, 30}}});
  CHECK(sum[0] == 11);
  CHECK(sum[2] == 33);
}

TEST_CASE("keyed: one state a key, keys ascending") {
  keyed<plus<int>, std::string> const m;
  auto const answer = fold_list(m, std::vector<keyed_value<std::string, int>>{{"b", 1}, {"a", 2}, {"b", 3}});
  REQUIRE(answer.size() == 2);
  CHECK(answer[0].key == "a");
  CHECK(answer[0].value == 2);
  CHECK(answer[1].value == 4);
  auto const items = items_from{integers, [](int x, std::int64_t, word_stream& words) { return keyed_value<int, int>{static_cast<int>(words.below(7)), x}; }};
  law_report const r = check_monoid_laws(keyed<plus<int>, int>{}, items);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("opposite: operands swapped") {
  CHECK(fold_list(opposite{concatenation{}}, std::string("abc")) == "cba");
  auto const letters = items_from{integers, [](int, std::int64_t, word_stream& words) { return static_cast<char>('a' + words.below(5)); }};
  law_report const r = check_monoid_laws(opposite{concatenation{}}, letters);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("optional_of: a neutral element for what has none") {
  optional_of const m{first_of{}};
  CHECK_FALSE(empty_answer(m).has_value());
  CHECK(*fold_list(m, std::vector<int>{5, 6}) == 5);
  law_report const r = check_monoid_laws(m, integers);
  CHECK_MESSAGE(r.ok(), r.text());
  law_report const r2 = check_monoid_laws(optional_of<maximum<float>>{}, nasty_values<float>{});
  CHECK_MESSAGE(r2.ok(), r2.text());
}

TEST_CASE("counted: how many items stand behind an answer") {
  auto const answer = fold_list(counted{maximum<int>{}}, std::vector<int>{4, 9, 2});
  CHECK(answer.count == 3);
  CHECK(answer.value == 9);
  CHECK_FALSE(std::signbit(empty_answer(counted{plus<float>{}}).value));
  law_report const r = check_monoid_laws(counted{plus<int>{}}, integers);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("segmented_lift: a head starts anew") {
  segmented_lift<plus<int>> const m;
  auto const items = items_from{integers, [](int x, std::int64_t, word_stream& words) { return headed<int>{words.below(4) == 0, x}; }};
  law_report const r = check_monoid_laws(m, items);
  CHECK_MESSAGE(r.ok(), r.text());
  auto s = m.lift({true, 1});
  s = m.combine(s, m.lift({false, 2}));
  CHECK(s.value == 3);
  s = m.combine(s, m.lift({true, 10}));
  CHECK(s.value == 10);
  // a head with the neutral value is no identity
  headed<std::int64_t> const headed_zero{true, 0};
  CHECK(m.combine(m.lift({false, 5}), headed_zero).value == 0);
}
