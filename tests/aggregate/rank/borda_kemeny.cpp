#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/rank/borda.hpp"
#include "fanfold/aggregate/rank/kemeny.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;
using order = std::vector<std::int32_t>;
double const missing = std::numeric_limits<double>::quiet_NaN();

fanfold::matrix_view<double> matrix(numbers& v, std::int64_t cols) { return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols}; }
fanfold::matrix_view<double const> matrix(numbers const& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

numbers preferences(numbers const& scores, std::int64_t m, ag::ranking_rule const& rule = {}) {
  numbers w(static_cast<std::size_t>(m * m));
  ag::pair_preferences(fanfold::serial, rule, matrix(scores, m), {}, matrix(w, m));
  return w;
}

numbers random_scores(std::int64_t t, std::int64_t m, std::uint64_t seed, int levels) {
  support::lcg g(seed);
  numbers x(static_cast<std::size_t>(t * m));
  for (double& v : x) v = static_cast<double>(g.below(levels));
  return x;
}

/// The least cost over all orders, and how many attain it.
std::pair<double, int> by_enumeration(numbers const& w, std::int64_t m) {
  std::pair<double, int> best{1e300, 0};
  order o;
  std::vector<char> used(static_cast<std::size_t>(m), 0);
  auto const visit = [&](auto const& self) -> void {
    if (static_cast<std::int64_t>(o.size()) == m) {
      double const cost = ag::kemeny_cost(matrix(w, m), o);
      if (cost < best.first) best = {cost, 0};
      best.second += cost == best.first;
      return;
    }
    for (std::int32_t s = 0; s < m; ++s) {
      if (used[static_cast<std::size_t>(s)] != 0) continue;
      used[static_cast<std::size_t>(s)] = 1;
      o.push_back(s);
      self(self);
      o.pop_back();
      used[static_cast<std::size_t>(s)] = 0;
    }
  };
  visit(visit);
  return best;
}

}  // namespace

TEST_CASE("borda and kemeny: the worked example") {
  numbers const scores{.9, .8, .7, 10, 30, 20, 5, 4, 9};
  numbers ranks(9);
  ag::column_ranks(fanfold::serial, ag::ranking_rule{}, matrix(scores, 3), matrix(ranks, 3));
  CHECK(ranks == numbers{2, 1, 0, 0, 2, 1, 1, 0, 2});
  CHECK(ag::borda_count(matrix(scores, 3)) == numbers{3, 3, 3});
  numbers const w = preferences(scores, 3);
  auto const k = ag::kemeny_order(matrix(w, 3));
  CHECK(k.cost == 4);
  CHECK(k.order == order{0, 1, 2});
  CHECK(k.exact);
  CHECK(!k.unique);
  CHECK(k.gap() == 0);

  numbers const instances{3, 2, 1, 3, 2, 1, 1, 3, 2, 1, 2, 3};
  std::vector<std::int64_t> const tasks{0, 3, 4};
  numbers sum(3);
  CHECK(ag::borda_count(matrix(instances, 3)) == numbers{4, 5, 3});
  ag::borda_count(fanfold::serial, ag::ranking_rule{}, matrix(instances, 3), {}, tasks, sum);
  CHECK(sum == numbers{1.5, 2.5, 2});
}

TEST_CASE("ties, directions, weights and missing scores") {
  numbers const ties{5, 7, 5, 9, 5};
  numbers r(5);
  ag::column_ranks(fanfold::serial, ag::ranking_rule{}, matrix(ties, 5), matrix(r, 5));
  CHECK(r == numbers{1, 3, 1, 4, 1});
  ag::column_ranks(fanfold::serial, ag::ranking_rule{.ties = ag::tied_ranks::ordinal}, matrix(ties, 5), matrix(r, 5));
  CHECK(r == numbers{0, 3, 1, 4, 2});
  std::vector<std::uint8_t> const turned{1};
  ag::column_ranks(fanfold::serial, ag::ranking_rule{.lower_is_better = turned}, matrix(ties, 5), matrix(r, 5));
  CHECK(r == numbers{3, 1, 3, 0, 3});
  numbers const equal{2, 2, 2, 2};
  numbers r4(4);
  ag::column_ranks(fanfold::serial, ag::ranking_rule{}, matrix(equal, 4), matrix(r4, 4));
  CHECK(r4 == numbers{1.5, 1.5, 1.5, 1.5});
  ag::ranking_rule const neutral{.missing = ag::missing_scores::neutral};
  numbers const gaps{missing, 3, 1, missing, 2};
  ag::column_ranks(fanfold::serial, neutral, matrix(gaps, 5), matrix(r, 5));
  CHECK(r == numbers{2, 4, 0, 2, 2});  // three present, stretched by 4/2
  numbers const one{missing, 3, missing, missing, missing};
  ag::column_ranks(fanfold::serial, neutral, matrix(one, 5), matrix(r, 5));
  CHECK(r == numbers{2, 2, 2, 2, 2});
  numbers const w = preferences(gaps, 5, neutral);
  CHECK(w[1 * 5 + 2] == 1);
  for (std::size_t s = 0; s < 5; ++s) CHECK((w[s] == 0 && w[s * 5] == 0));
  numbers const two{1, 2, 2, 1}, weight{3, 0.5};
  numbers sum(2);
  ag::borda_count(fanfold::serial, ag::ranking_rule{}, matrix(two, 2), weight, {}, sum);
  CHECK(sum == numbers{0.5, 3});
}

TEST_CASE("invariances: increasing maps of a column, order of the columns, unanimity, threads") {
  std::int64_t const t = 70, m = 9;
  numbers const scores = random_scores(t, m, 3, 6);
  numbers mapped = scores, turned;
  for (std::int64_t c = 0; c < t; ++c)
    for (std::int64_t s = 0; s < m; ++s)
      mapped[static_cast<std::size_t>(c * m + s)] = std::exp(0.1 * static_cast<double>(c) * scores[static_cast<std::size_t>(c * m + s)] +
                                                             (c == 0 ? scores[static_cast<std::size_t>(s)] : 0));
  for (std::int64_t c = t - 1; c >= 0; --c) turned.insert(turned.end(), scores.begin() + c * m, scores.begin() + (c + 1) * m);
  numbers const sum = ag::borda_count(matrix(scores, m)), w = preferences(scores, m);
  CHECK(support::same_bits(ag::borda_count(matrix(mapped, m)), sum));
  CHECK(support::same_bits(ag::borda_count(matrix(turned, m)), sum));
  CHECK(support::same_bits(preferences(turned, m), w));
  double total = 0;
  for (double v : sum) total += v;
  CHECK(total == static_cast<double>(t * m * (m - 1) / 2));
  support::for_each_executor([&](char const*, auto const& ex) {
    numbers again(sum.size()), w2(w.size());
    ag::borda_count(ex, ag::ranking_rule{}, matrix(scores, m), {}, {}, again);
    ag::pair_preferences(ex, ag::ranking_rule{}, matrix(scores, m), {}, matrix(w2, m));
    CHECK(support::same_bits(again, sum));
    CHECK(support::same_bits(w2, w));
  });
  // other names for the systems: the sums and the least cost go with them
  numbers renamed(scores.size());
  for (std::int64_t c = 0; c < t; ++c)
    for (std::int64_t s = 0; s < m; ++s) renamed[static_cast<std::size_t>(c * m + (s * 4 + 1) % m)] = scores[static_cast<std::size_t>(c * m + s)];
  numbers const named = ag::borda_count(matrix(renamed, m)), w3 = preferences(renamed, m);
  for (std::int64_t s = 0; s < m; ++s) CHECK(named[static_cast<std::size_t>((s * 4 + 1) % m)] == sum[static_cast<std::size_t>(s)]);
  CHECK(ag::kemeny_order(matrix(w3, m)).cost == ag::kemeny_order(matrix(w, m)).cost);
  numbers unanimous;
  for (int c = 0; c < 5; ++c)
    for (double v : {2., 5., 1., 4.}) unanimous.push_back(v * (c + 1));
  CHECK(ag::best_first(ag::borda_count(matrix(unanimous, 4))) == order{1, 3, 0, 2});
  auto const k = ag::kemeny_order(matrix(preferences(unanimous, 4), 4));
  CHECK(k.order == order{1, 3, 0, 2});
  CHECK(k.cost == 0);
  CHECK(k.unique);
}

TEST_CASE("the exact order is the best of all orders; Borda and the heuristic stay within their bounds") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::int64_t const m = 2 + static_cast<std::int64_t>(seed % 5);
    numbers const scores = random_scores(3 + static_cast<std::int64_t>(seed % 4), m, seed, seed % 2 == 0 ? 4 : 1000);
    numbers const w = preferences(scores, m);
    auto const [least, optima] = by_enumeration(w, m);
    auto const k = ag::kemeny_order(matrix(w, m));
    CHECK(k.cost == least);
    CHECK(ag::kemeny_cost(matrix(w, m), k.order) == least);
    CHECK(k.unique == (optima == 1));
    CHECK(ag::kemeny_cost(matrix(w, m), ag::best_first(ag::borda_count(matrix(scores, m)))) <= 5 * least);
    auto const h = ag::kemeny_order(matrix(w, m), {.exact_up_to = 0});
    CHECK(h.lower_bound <= least);
    CHECK(h.cost >= least);
    CHECK(h.cost == ag::kemeny_cost(matrix(w, m), h.order));
    CHECK((!h.exact || h.cost == least));
  }
  // a Condorcet order is found, also by the heuristic, which can prove it
  support::lcg g(5);
  std::int64_t const m = 40;
  numbers noisy;
  for (int c = 0; c < 31; ++c)
    for (std::int64_t s = 0; s < m; ++s) noisy.push_back(static_cast<double>((s * 7) % m) + 0.9 * g.real());
  numbers const w = preferences(noisy, m);
  auto const h = ag::kemeny_order(matrix(w, m));
  CHECK(h.exact);
  for (std::size_t i = 0; i + 1 < h.order.size(); ++i) CHECK((h.order[i] * 7) % m > (h.order[i + 1] * 7) % m);
}

TEST_CASE("edges and errors") {
  numbers none, sum(3, 9.0);
  ag::borda_count(fanfold::serial, ag::ranking_rule{}, fanfold::matrix_view<double const>(none.data(), 0, 3), {}, {}, sum);
  CHECK(sum == numbers{0, 0, 0});
  CHECK(ag::borda_count(matrix(numbers{7, 8}, 1)) == numbers{0});
  auto const single = ag::kemeny_order(matrix(numbers{0}, 1));
  CHECK(single.order == order{0});
  CHECK(single.unique);
  CHECK(ag::kemeny_order(fanfold::matrix_view<double const>()).order.empty());
  CHECK(ag::best_first(numbers{missing, 1, 3, missing, 1}) == order{2, 1, 4, 0, 3});
  numbers const bad{1, missing};
  CHECK_THROWS_WITH_AS(ag::borda_count(matrix(bad, 2)), doctest::Contains("missing_scores::neutral"), fanfold::argument_error);
  numbers const fine{1, 2}, negative{-1};
  numbers two(2), w(4);
  CHECK_THROWS_WITH_AS(ag::borda_count(fanfold::serial, ag::ranking_rule{}, matrix(fine, 2), negative, {}, two),
                       doctest::Contains("a weight"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::borda_count(fanfold::serial, ag::ranking_rule{}, matrix(fine, 2), {}, {}, sum), doctest::Contains("sum.size()"),
                       fanfold::argument_error);
  std::vector<std::int64_t> const groups{0, 2};
  CHECK_THROWS_WITH_AS(ag::borda_count(fanfold::serial, ag::ranking_rule{}, matrix(fine, 2), {}, groups, two), doctest::Contains("groups"),
                       fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::kemeny_order(matrix(numbers{0, -1, 1, 0}, 2)), doctest::Contains("a preference"), fanfold::argument_error);
}
