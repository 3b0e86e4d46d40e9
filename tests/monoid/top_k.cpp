#include "fanfold/monoid/top_k.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

float const nan_value = std::numeric_limits<float>::quiet_NaN();
float const inf = std::numeric_limits<float>::infinity();

template <class M, class T>
auto fold_list(M const& m, std::vector<T> const& x) {
  auto s = m.identity();
  for (std::size_t i = 0; i < x.size(); ++i) s = m.combine(s, m.lift({x[i], static_cast<std::int64_t>(i), {}}));
  return m.lower(s);
}
template <class E>
std::vector<std::int64_t> indices_of(E const* entries, std::size_t n) {
  std::vector<std::int64_t> out;
  for (std::size_t i = 0; i < n; ++i) out.push_back(entries[i].index);
  return out;
}
template <class L>
std::vector<std::int64_t> indices(L const& list, std::size_t n) {
  return indices_of(list.entries, n);
}

template <class M, class T>
void passes(M const& m) {
  auto const items = items_from{nasty_values<T>{}, [](T x, std::int64_t i, word_stream&) { return ranked<T>{x, i, {}}; }};
  law_options o;
  o.lengths = {0, 1, 2, 33, 65, 129};
  law_report const r = check_monoid_laws(m, items, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

}  // namespace

TEST_CASE("top_k obeys its laws bit for bit") {
  passes<top_k<float, 4>, float>({});
  passes<top_k<double, 3, no_payload, selection::greatest, nan_place::first>, double>({});
  passes<bottom_k<int, 5>, int>({});
  passes<top_k<float, 0>, float>({});
  passes<top_k<float, 4, no_payload, selection::greatest, nan_place::last, true>, float>({});
}
TEST_CASE("dynamic_top_k obeys its laws bit for bit") {
  passes<dynamic_top_k<float>, float>({.k = 4});
  passes<dynamic_top_k<float>, float>({.k = 0});
}

TEST_CASE("top_k: order, ties, zeros, NaN, infinities") {
  std::vector<float> const x{1.0f, -0.0f, 3.0f, nan_value, 0.0f, 3.0f, -inf};
  CHECK(indices(fold_list(top_k<float, 3>{}, x), 3) == std::vector<std::int64_t>{2, 5, 0});
  auto const all = fold_list(top_k<float, 9>{}, x);
  CHECK(all.size == 7);  // no more than there are
  CHECK(indices(all, 7) == std::vector<std::int64_t>{2, 5, 0, 1, 4, 6, 3});
  CHECK(indices(fold_list(top_k<float, 2, no_payload, selection::greatest, nan_place::first>{}, x), 2) == std::vector<std::int64_t>{3, 2});
  CHECK(indices(fold_list(bottom_k<float, 3>{}, x), 3) == std::vector<std::int64_t>{6, 1, 4});
  CHECK(fold_list(top_k<float, 2>{}, std::vector<float>{}).size == 0);
  CHECK(fold_list(top_k<float, 0>{}, x).size == 0);
  auto const dynamic = fold_list(dynamic_top_k<float>{.k = 9}, x);
  CHECK(indices_of(dynamic.data(), dynamic.size()) == indices(all, 7));
}

TEST_CASE("top_k: NaN as an error, payloads, duplicates") {
  using strict = top_k<float, 2, no_payload, selection::greatest, nan_place::error>;
  CHECK(fold_list(strict{}, std::vector<float>{1, 2, 3}).size == 2);
  CHECK_THROWS_AS(static_cast<void>(fold_list(strict{}, std::vector<float>{nan_value, 1, 2, 3})), argument_error);
  top_k<float, 1, int> const with_payload;
  CHECK(with_payload.combine(with_payload.lift({1.0f, 0, 10}), with_payload.lift({2.0f, 1, 20})).entries[0].payload == 20);
  top_k<float, 3, no_payload, selection::greatest, nan_place::last, true> const set;
  auto const a = set.combine(set.lift({1.0f, 0, {}}), set.lift({2.0f, 1, {}}));
  CHECK(set.combine(a, a).size == 2);
}

TEST_CASE("top_k: inserting by constant places is merging") {
  word_stream words(4);
  auto const compare = [&]<nan_place Nan, bool Dedupe>() {
    constexpr int K = 5;
    using list = top_list<float, K>;
    auto const random_list = [&] {
      top_k<float, K, no_payload, selection::greatest, Nan, Dedupe> const m;
      auto s = m.identity();
      for (std::int64_t n = words.below(9); n > 0; --n) {
        float const key = words.below(9) == 0 ? nan_value : static_cast<float>(words.below(4));
        s = m.combine(s, m.lift({key, words.below(4), {}}));
      }
      return s;
    };
    for (int round = 0; round < 3000; ++round) {
      list const a = random_list(), b = random_list();
      list merged{}, inserted = a;
      merged.size = fanfold::detail::merge_ranked<selection::greatest, Nan, Dedupe>(a.entries, a.size, b.entries, b.size, merged.entries, K);
      inserted.size = fanfold::detail::insert_ranked<selection::greatest, Nan, Dedupe, K>(inserted.entries, a.size, b.entries, b.size);
      REQUIRE(inserted.matches(merged, testing::detail::deep_equal<bitwise>{}));
    }
  };
  compare.operator()<nan_place::last, false>();
  compare.operator()<nan_place::first, false>();
  compare.operator()<nan_place::last, true>();
  compare.operator()<nan_place::first, true>();
}
