#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/monoid/kll.hpp"
#include "fanfold/monoid/misra_gries.hpp"
#include "fanfold/monoid/t_digest.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

law_options with_lengths() {
  law_options o;
  o.lengths = {0, 1, 33, 257};
  o.samples = 10;
  return o;
}

/// Equal counts, and quantiles that a rank error of 15 % can tell apart only by that much.
struct alike {
  double tolerance;
  template <class S>
  bool operator()(S const& a, S const& b) const {
    if (a.nans != b.nans) return false;
    for (double const q : {0.25, 0.5, 0.75}) {
      double const low = b.quantile(q - tolerance), high = b.quantile(q + tolerance), x = a.quantile(q);
      if (std::isnan(x) ? !std::isnan(low) : !(low <= x && x <= high)) return false;
    }
    return true;
  }
};
struct uniform_item {
  double operator()(double, std::int64_t, word_stream& w) const { return w.uniform(); }
};
auto const uniform = items_from{nasty_values<double>{false, false}, uniform_item{}};

struct kept {
  // the guarantee: two summaries of the same n items with k = 8 differ by at most n / 9 an item
  bool operator()(misra_gries_state<int> const& a, misra_gries_state<int> const& b) const {
    if (a.total != b.total) return false;
    for (auto const& s : {a, b})
      for (auto const& e : s.items) {
        auto const x = static_cast<double>(a.count(e.item)), y = static_cast<double>(b.count(e.item));
        if (std::abs(x - y) > static_cast<double>(a.total) / 9.0) return false;
      }
    return true;
  }
};

}  // namespace

TEST_CASE("kll and t_digest are monoids in distribution") {
  law_report const r = check_monoid_laws(kll{.k = 60}, uniform, distribution{alike{0.2}}, with_lengths());
  CHECK_MESSAGE(r.ok(), r.text());
  law_report const t = check_monoid_laws(t_digest{}, uniform, distribution{alike{0.2}}, with_lengths());
  CHECK_MESSAGE(t.ok(), t.text());
  CHECK_FALSE(has_law(kll::laws, law::bitwise));
}

TEST_CASE("kll: rank error, weights, coins by seed") {
  kll const m{.seed = 5};
  auto s = m.identity();
  word_stream w(2);
  for (int i = 0; i < 20000; ++i) m.absorb(s, w.uniform());
  std::uint64_t total = 0;
  std::size_t items = 0;
  for (std::size_t h = 0; h < s.levels.size(); ++h) {
    total += s.levels[h].items.size() << h;
    items += s.levels[h].items.size();
  }
  CHECK(total == 20000);  // compaction conserves weight
  CHECK(items < 800);
  for (double const q : {0.1, 0.5, 0.9}) CHECK(std::abs(s.quantile(q) - q) < 0.03);
  auto const again = [&](std::uint64_t seed) {
    kll const k{.seed = seed};
    auto t = k.identity();
    for (int i = 0; i < 1000; ++i) k.absorb(t, i);
    return t;
  };
  CHECK(again(1) == again(1));
  CHECK_FALSE(again(1) == again(2));
  CHECK(std::isnan(m.identity().quantile(0.5)));
  CHECK_THROWS_AS(static_cast<void>(kll{.k = 2}.identity()), argument_error);
}

TEST_CASE("kll: one compaction as defined") {
  kll const m{.k = 8};
  auto s = m.identity();
  for (int i = 0; i < 8; ++i) m.absorb(s, 7 - i);
  REQUIRE(s.levels.size() == 2);
  CHECK(s.levels[0].items.empty());
  REQUIRE(s.levels[1].items.size() == 4);
  double const coin = s.levels[1].items[0];
  CHECK((coin == 0.0 || coin == 1.0));
  for (std::size_t i = 0; i < 4; ++i) CHECK(s.levels[1].items[i] == coin + 2.0 * static_cast<double>(i));
}

TEST_CASE("t_digest: quantiles, extremes, size") {
  t_digest const m;
  auto s = m.identity();
  word_stream w(8);
  for (int i = 0; i < 5000; ++i) s = m.combine(s, m.lift(w.uniform()));
  CHECK(s.weight == 5000.0);
  CHECK(s.centroids.size() < 600);
  for (double const q : {0.01, 0.5, 0.99}) CHECK(std::abs(s.quantile(q) - q) < 0.02);
  CHECK(s.quantile(0.0) == s.least);
  CHECK(s.quantile(1.0) == s.greatest);
  CHECK(m.lift(3.0).quantile(0.7) == 3.0);
  CHECK(std::isnan(m.identity().quantile(0.5)));
}

TEST_CASE("misra_gries keeps its guarantee") {
  auto const items = items_from{nasty_values<int>{}, [](int, std::int64_t, word_stream& w) { return static_cast<int>(w.below(4) * w.below(30)); }};
  law_report const r = check_monoid_laws(misra_gries<int>{.k = 8}, items, distribution{kept{}}, with_lengths());
  CHECK_MESSAGE(r.ok(), r.text());
  misra_gries<int> const m{.k = 4};
  auto s = m.identity();
  for (int i = 0; i < 900; ++i) s = m.combine(s, m.lift(i % 3 == 0 ? 42 : i));
  CHECK(s.total == 900);
  CHECK(s.items.size() <= 4);
  CHECK(s.count(42) <= 300);
  CHECK(s.count(42) >= 300 - 900 / 5);
  CHECK_THROWS_AS(static_cast<void>(misra_gries<int>{.k = 0}.identity()), argument_error);
}
