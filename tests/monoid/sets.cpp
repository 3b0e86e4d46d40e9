#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/monoid/multiset.hpp"
#include "fanfold/monoid/set_union.hpp"
#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M, class G>
void passes(M const& m, G const& generator) {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65};
  law_report const r = check_monoid_laws(m, generator, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}
template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return m.lower(s);
}

}  // namespace

TEST_CASE("sets and lists obey their laws bit for bit") {
  passes(set_union<int>{}, nasty_values<int>{});
  passes(bit_set_union<100>{}, items_from{nasty_values<int>{}, [](int, std::int64_t, word_stream& w) { return static_cast<std::int32_t>(w.below(110)); }});
  passes(concatenation<int>{}, nasty_values<int>{});
}
TEST_CASE("multiset obeys its laws bit for bit") {
  passes(multiset<double>{}, nasty_values<double>{});
  passes(multiset<int>{}, nasty_values<int>{});
}

TEST_CASE("set_union and bit_set_union: values") {
  CHECK(fold_list(set_union<int>{}, {3, 1, 3, 2}) == std::vector<int>{1, 2, 3});
  auto const s = fold_list(bit_set_union<70>{}, {3, 69, 3, -1, 70});
  CHECK(bit_set_union<70>::count(s) == 2);
  CHECK(fold_list(concatenation<int>{}, {3, 1, 3}) == std::vector<int>{3, 1, 3});
}

TEST_CASE("multiset: median, quantile, trimmed mean, mode") {
  auto const s = fold_list(multiset<double>{}, {5, 1, 3, 3, 100});
  CHECK(s.median() == 3.0);
  CHECK(s.quantile(0.125) == 2.0);
  CHECK(s.quantile(1.0) == 100.0);
  CHECK(s.trimmed_mean(1) == doctest::Approx(11.0 / 3));
  CHECK(std::isnan(s.trimmed_mean(3)));
  CHECK(s.mode() == 3.0);
  CHECK(fold_list(multiset<double>{}, {4, 1, 2, 3}).median() == 2.5);
  CHECK(fold_list(multiset<double>{}, {2, 1, 1, 2}).mode() == 1.0);
  auto const none = fold_list(multiset<double>{}, {});
  CHECK(std::isnan(none.median()));
  CHECK_THROWS_AS(static_cast<void>(none.mode()), argument_error);
  CHECK_THROWS_AS(static_cast<void>(s.quantile(-0.1)), argument_error);
  CHECK(std::isnan(fold_list(multiset<double>{}, {std::nan(""), 1}).items.back()));
  CHECK(support::same_bits(fold_list(multiset<double>{}, {0.0, -0.0}).items.front(), -0.0));
}
