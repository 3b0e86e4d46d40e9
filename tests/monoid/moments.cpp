#include "fanfold/monoid/moments.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

/// Powers of the items' size as the scale: the central sums of nasty data cancel, so no tighter bound holds for all of them.
struct loose {
  int power = 1;
  bool operator()(double a, double b, double items) const {
    double const scale = std::pow(std::fmax(1.0, items), power);
    if (!std::isfinite(scale * scale)) return true;
    if (std::isnan(a) || std::isnan(b)) return true;
    return a == b || std::abs(a - b) <= 1e-12 * scale;
  }
};

law_options exact_commutativity() {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 2, 33, 65, 257};
  return o;
}

template <class M>
auto fold_list(M const& m, std::vector<typename M::input> const& x) {
  auto s = m.identity();
  for (auto const& item : x) s = m.combine(s, m.lift(item));
  return s;
}

struct skewed_item {
  double operator()(double, std::int64_t, word_stream& words) const {
    double const u = words.uniform();
    return 3.0 + u * u * 2.0;
  }
};

template <int P>
void obeys_laws() {
  law_report const nasty = check_monoid_laws(moments<P>{}, nasty_values<double>{}, loose{P}, exact_commutativity());
  CHECK_MESSAGE(nasty.ok(), nasty.text());
  law_report const smooth =
      check_monoid_laws(moments<P>{}, items_from{nasty_values<double>{false, false}, skewed_item{}}, relative{1e-11, 1e-2}, exact_commutativity());
  CHECK_MESSAGE(smooth.ok(), smooth.text());
}

}  // namespace

TEST_CASE("moments<1..2> obey their laws, commutativity bit for bit") {
  obeys_laws<1>();
  obeys_laws<2>();
}
TEST_CASE("moments<3..4> obey their laws, commutativity bit for bit") {
  obeys_laws<3>();
  obeys_laws<4>();
}

TEST_CASE("weighted moments obey their laws") {
  auto const items = items_from{nasty_values<double>{false, false}, [](double, std::int64_t, word_stream& words) {
                                  return weighted<double>{words.uniform() * 4.0 - 2.0, words.below(5) == 0 ? 0.0 : words.uniform()};
                                }};
  law_report const r = check_monoid_laws(weighted_moments<4>{}, items, relative{1e-10, 1e-1}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("moments: worked example") {
  moments<4> const m;
  auto const a = fold_list(m, {2, 4, 4});
  CHECK(a.mean == doctest::Approx(10.0 / 3));
  CHECK(a.sum_of_power(2) == doctest::Approx(2.6667).epsilon(1e-4));
  CHECK(a.sum_of_power(3) == doctest::Approx(-1.7778).epsilon(1e-4));
  CHECK(a.sum_of_power(4) == doctest::Approx(3.5556).epsilon(1e-4));
  auto const b = fold_list(m, {4, 5, 5, 7, 9});
  CHECK(b.mean == doctest::Approx(6.0));
  CHECK(b.sum_of_power(2) == doctest::Approx(16.0));
  CHECK(b.sum_of_power(3) == doctest::Approx(18.0));
  CHECK(b.sum_of_power(4) == doctest::Approx(100.0));
  auto const c = m.lower(m.combine(a, b));
  CHECK(c.count == 8);
  CHECK(c.mean == doctest::Approx(5.0));
  CHECK(c.sum_of_power(2) == doctest::Approx(32.0));
  CHECK(c.sum_of_power(3) == doctest::Approx(42.0));
  CHECK(c.sum_of_power(4) == doctest::Approx(356.0));
  CHECK(c.variance() == doctest::Approx(4.0));
  CHECK(c.standard_deviation() == doctest::Approx(2.0));
  CHECK(c.sample_variance() == doctest::Approx(4.5714).epsilon(1e-4));
  CHECK(c.skewness() == doctest::Approx(0.65625));
  CHECK(c.excess_kurtosis() == doctest::Approx(-0.21875));
}

TEST_CASE("weighted moments: worked example, and items without weight") {
  weighted_moments<2> const m;
  auto const r = m.lower(fold_list(m, {{1, 1}, {3, 2}, {5, 1}}));
  CHECK(r.count == 4.0);
  CHECK(r.mean == 3.0);
  CHECK(r.sum_of_power(2) == 8.0);
  CHECK(r.reliability_variance() == doctest::Approx(3.2));
  CHECK(r.sample_variance() == doctest::Approx(8.0 / 3));
  CHECK(m.lower(fold_list(m, {{7, 0}, {1, 1}})).mean == 1.0);
}

TEST_CASE("moments: nothing, one item, equal items") {
  moments<4> const m;
  auto const none = m.lower(m.identity());
  CHECK(none.count == 0);
  CHECK(std::isnan(none.mean));
  CHECK(std::isnan(none.variance()));
  CHECK(moments<1>{.empty_mean = 0.0}.lower({}).mean == 0.0);
  auto const one = m.lower(m.lift(3.5));
  CHECK(one.mean == 3.5);
  CHECK(one.variance() == 0.0);
  CHECK(std::isnan(one.sample_variance()));
  CHECK(std::isnan(one.skewness()));
  CHECK(std::isnan(one.excess_kurtosis()));
  CHECK(m.lower(fold_list(m, {2.5, 2.5, 2.5})).variance() == 0.0);
}

TEST_CASE("moments: a shift near the data saves the digits that their offset costs") {
  // the canonical tree over 100,000 items: 64 lanes a tile, halving, adjacent pairs over tiles
  auto const m2 = [](double shift) {
    moments<2> const m{.shift = shift};
    std::vector<moments<2>::state> tiles;
    for (std::int64_t begin = 0; begin < 100000; begin += 2048) {
      std::vector<moments<2>::state> lane(64, m.identity());
      for (std::int64_t i = begin; i < begin + 2048 && i < 100000; ++i) {
        double const x = 1e12 + static_cast<double>((2654435761u * static_cast<std::uint64_t>(i)) & 0xffffffffu) * 0x1p-32;
        auto& s = lane[static_cast<std::size_t>((i - begin) % 64)];
        s = m.combine(s, m.lift(x));
      }
      for (std::size_t w = 32; w > 0; w /= 2)
        for (std::size_t l = 0; l < w; ++l) lane[l] = m.combine(lane[l], lane[l + w]);
      tiles.push_back(lane[0]);
    }
    while (tiles.size() > 1) {
      std::vector<moments<2>::state> next;
      for (std::size_t i = 0; i < tiles.size(); i += 2) next.push_back(i + 1 < tiles.size() ? m.combine(tiles[i], tiles[i + 1]) : tiles[i]);
      tiles = next;
    }
    return m.lower(tiles[0]);
  };
  CHECK(std::abs(m2(0.0).sum_of_power(2) - 8333.333872) < 5e-7);
  CHECK(std::abs(m2(1e12).sum_of_power(2) / 8333.412743542041 - 1.0) < 1e-15);
  CHECK(m2(1e12).mean == doctest::Approx(1e12 + 0.5).epsilon(1e-13));
}

TEST_CASE("moments: states of different shifts meet after rebase") {
  moments<2> const near{.shift = 10.0};
  moments<2> const far{.shift = -4.0};
  auto const a = fold_list(near, {9.0, 11.0});
  auto const b = near.rebase(fold_list(far, {12.0, 8.0}), -4.0, 10.0);
  auto const r = near.lower(near.combine(a, b));
  CHECK(r.mean == doctest::Approx(10.0));
  CHECK(r.sum_of_power(2) == doctest::Approx(10.0));
  CHECK(near.rebase({}, 3.0, 10.0).mean == 0.0);
}

TEST_CASE("moments: gradients against central differences") {
  std::vector<double> const x{0.3, -1.2, 2.5, 0.9};
  moments<2> const m;
  moments_gradient const g{0.7, -1.3, 0.4};
  auto const loss = [&](std::vector<double> const& v) {
    auto const r = m.lower(fold_list(m, v));
    return g.mean * r.mean + g.variance * r.variance() + g.sample_variance * r.sample_variance();
  };
  auto const pullback = m.fold_vjp(fold_list(m, x), g);
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto up = x, down = x;
    up[i] += 1e-5;
    down[i] -= 1e-5;
    CHECK(pullback(x[i]) == doctest::Approx((loss(up) - loss(down)) / 2e-5).epsilon(1e-6));
  }
  CHECK(m.fold_vjp({}, g)(1.0) == 0.0);
}

TEST_CASE("weighted mean: gradients of values and weights against central differences") {
  std::vector<weighted<double>> const x{{1.0, 0.5}, {-2.0, 1.5}, {4.0, 0.25}};
  weighted_moments<1> const m;
  auto const mean = [&](std::vector<weighted<double>> const& v) { return 1.7 * m.lower(fold_list(m, v)).mean; };
  auto const pullback = m.fold_vjp(fold_list(m, x), 1.7);
  for (std::size_t i = 0; i < x.size(); ++i) {
    auto up = x, down = x;
    up[i].value += 1e-5, down[i].value -= 1e-5;
    CHECK(pullback(x[i]).value == doctest::Approx((mean(up) - mean(down)) / 2e-5).epsilon(1e-6));
    up = down = x;
    up[i].weight += 1e-5, down[i].weight -= 1e-5;
    CHECK(pullback(x[i]).weight == doctest::Approx((mean(up) - mean(down)) / 2e-5).epsilon(1e-6));
  }
}
