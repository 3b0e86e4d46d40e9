#include "fanfold/monoid/attention_state.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/monoid/attention_rows.hpp"
#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

using unnormalised = attention_state<double, 2>;
using merge = attention_merge<double, 2>;
using item = attention_item<double, 2>;
using result = attention_result<double, 2>;

double const inf = std::numeric_limits<double>::infinity();

template <class M, class X>
auto fold_state(M const& m, std::vector<X> const& x) {
  auto s = m.identity();
  for (auto const& v : x) s = m.combine(s, m.lift(v));
  return s;
}

law_options exact_commutativity() {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 2, 33, 65};
  return o;
}

template <class T>
struct scored_item {
  attention_item<T, 2> operator()(T x, std::int64_t, word_stream& words) const {
    return {x, {static_cast<T>(words.uniform()), -static_cast<T>(words.uniform())}};
  }
};

}  // namespace

TEST_CASE_TEMPLATE("attention_state obeys its laws, commutativity bit for bit", T, float, double) {
  double const eps = sizeof(T) == 4 ? 1e-5 : 1e-13;
  law_report const r = check_monoid_laws(attention_state<T, 2>{}, items_from{nasty_values<T>{}, scored_item<T>{}}, relative{eps, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("attention_merge obeys its laws, commutativity bit for bit") {
  auto const items = items_from{nasty_values<double>{false, false}, [](double x, std::int64_t, word_stream& words) {
                                  // a large lse has few digits left for what the merge adds to it
                                  double const lse = std::abs(x) < 1e3 ? x : 100 * words.uniform();
                                  return result{words.below(9) == 0 ? -inf : lse, {words.uniform(), -words.uniform()}};
                                }};
  law_report const r = check_monoid_laws(merge{}, items, relative{1e-12, 1.0}, exact_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("attention: worked example, merged = direct") {
  std::vector<item> const left{{0, {1, 0}}, {1, {0, 1}}}, right{{2, {1, 1}}, {-1, {2, -1}}};
  unnormalised const m;
  auto const a = fold_state(m, left), b = fold_state(m, right);
  auto const ra = m.lower(a), rb = m.lower(b), direct = m.lower(m.combine(a, b));
  CHECK(ra.out[0] == doctest::Approx(0.26894142).epsilon(1e-8));
  CHECK(ra.out[1] == doctest::Approx(0.73105858).epsilon(1e-8));
  CHECK(ra.lse == doctest::Approx(1.31326169).epsilon(1e-8));
  CHECK(rb.out[0] == doctest::Approx(1.04742587).epsilon(1e-8));
  CHECK(rb.out[1] == doctest::Approx(0.90514825).epsilon(1e-8));
  CHECK(rb.lse == doctest::Approx(2.04858735).epsilon(1e-8));
  auto const merged = merge{}.combine(ra, rb);
  for (auto const& y : {direct, merged}) {
    CHECK(y.out[0] == doctest::Approx(0.79517579).epsilon(1e-8));
    CHECK(y.out[1] == doctest::Approx(0.84873847).epsilon(1e-8));
    CHECK(y.lse == doctest::Approx(2.44018970).epsilon(1e-8));
  }
  result ga{}, gb{};
  merge{}.combine_vjp(ra, rb, {0.5, {1.0, -2.0}}, ga, gb);
  CHECK(ga.lse == doctest::Approx(0.06776231).epsilon(1e-6));
  CHECK(gb.lse == doctest::Approx(0.43223769).epsilon(1e-6));
}

TEST_CASE("attention: masked items and blocks are absent, whatever their values") {
  unnormalised const m;
  auto const s = m.lift({1.0, {2.0, 3.0}});
  auto const masked = m.lift({-inf, {std::nan(""), inf}});
  CHECK(m.combine(s, masked).matches(s, [](double a, double b) { return support::same_bits(a, b); }));
  auto const none = m.lower(masked);
  CHECK(none.lse == -inf);
  CHECK(none.out[0] == 0.0);
  merge const n;
  result const block{-inf, {std::nan(""), 1.0}};
  CHECK(n.combine(m.lower(s), n.lift(block)).out[0] == 2.0);
  CHECK(n.combine(n.identity(), n.identity()).lse == -inf);
  CHECK(n.combine(n.identity(), n.identity()).out[1] == 0.0);
}

TEST_CASE("attention: a shift of all scores shifts lse and leaves out") {
  std::vector<item> const x{{0.5, {1, 0}}, {1.5, {0, 1}}};
  std::vector<item> const y{{100.5, {1, 0}}, {101.5, {0, 1}}};
  unnormalised const m;
  auto const a = m.lower(fold_state(m, x)), b = m.lower(fold_state(m, y));
  CHECK(b.lse == doctest::Approx(a.lse + 100).epsilon(1e-14));
  CHECK(b.out[0] == doctest::Approx(a.out[0]).epsilon(1e-14));
}

TEST_CASE_TEMPLATE("attention: item gradients against central differences", Base, natural_base, binary_base) {
  using M = attention_state<double, 2, Base>;
  std::vector<item> const x{{0.5, {1, -2}}, {-1.0, {0.3, 1}}, {1.7, {-1, 0.5}}};
  M const m;
  attention_result<double, 2, Base> const g{0.5, {1.0, -2.0}};
  auto const loss = [&](std::vector<item> const& v) {
    auto const y = m.lower(fold_state(m, v));
    return g.lse * y.lse + g.out[0] * y.out[0] + g.out[1] * y.out[1];
  };
  auto const pullback = m.fold_vjp(fold_state(m, x), g);
  auto const difference = [&](std::size_t i, double item::*, int j) {
    auto up = x, down = x;
    (j < 0 ? up[i].score : up[i].value[j]) += 1e-5;
    (j < 0 ? down[i].score : down[i].value[j]) -= 1e-5;
    return (loss(up) - loss(down)) / 2e-5;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(pullback(x[i]).score == doctest::Approx(difference(i, &item::score, -1)).epsilon(1e-6));
    CHECK(pullback(x[i]).value[0] == doctest::Approx(difference(i, &item::score, 0)).epsilon(1e-6));
    CHECK(pullback(x[i]).value[1] == doctest::Approx(difference(i, &item::score, 1)).epsilon(1e-6));
  }
  CHECK(pullback({-inf, {1, 1}}).value[0] == 0.0);
}

TEST_CASE("attention_merge: combine_vjp against central differences") {
  merge const m;
  result const a{0.3, {1.0, -1.0}}, b{1.1, {0.5, 2.0}}, g{0.7, {1.5, -0.2}};
  result ga{}, gb{};
  m.combine_vjp(a, b, g, ga, gb);
  auto const loss = [&](result const& p, result const& q) {
    auto const y = m.combine(p, q);
    return g.lse * y.lse + g.out[0] * y.out[0] + g.out[1] * y.out[1];
  };
  auto up = a, down = a;
  up.lse += 1e-5, down.lse -= 1e-5;
  CHECK(ga.lse == doctest::Approx((loss(up, b) - loss(down, b)) / 2e-5).epsilon(1e-6));
  up = down = b;
  up.out[1] += 1e-5, down.out[1] -= 1e-5;
  CHECK(gb.out[1] == doctest::Approx((loss(a, up) - loss(a, down)) / 2e-5).epsilon(1e-6));
}

TEST_CASE("attention_rows: a row merge is the merge of its columns") {
  attention_rows<double> const rows;
  merge const m;
  word_stream words(4);
  for (int i = 0; i < 200; ++i) {
    auto const draw = [&] { return result{words.below(6) == 0 ? -inf : words.uniform() * 200 - 100, {words.uniform(), words.uniform() - 1}}; };
    result const a = draw(), b = draw();
    auto const expected = m.combine(m.lift(a), m.lift(b));
    attention_factors<double> f;
    double const lse = rows.join(a.lse, b.lse, f);
    CHECK(support::same_bits(rows.lower_head(lse), expected.lse));
    for (int j = 0; j < 2; ++j) CHECK(support::same_bits(rows.lower(lse, rows.combine(a.out[j], b.out[j], f)), expected.out[j]));
  }
  CHECK(rows.empty() == 0.0);
  CHECK(rows.empty_head() == -inf);
  double const data[] = {1, 2, 3, 4};
  double const lse[] = {5, 6};
  attention_sources<double> const sources{matrix_view<double const>(data, 2, 2), view<double const>(lse)};
  CHECK(rows.lift_head(sources.row(0, 1, 0)) == 6.0);
  CHECK(sources.row(0, 1, 0)[1] == 4.0);
}
