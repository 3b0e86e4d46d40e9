#include "fanfold/monoid/arithmetic.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

law_options bits_of_commutativity() {
  law_options o;
  o.commutative_bits = true;
  return o;
}

static_assert(aggregator<plus<float>> && aggregator<product<double>>);
static_assert(std::is_same_v<plus<int>::state, std::int64_t> && std::is_same_v<plus<std::uint8_t>::state, std::uint64_t>);
static_assert(std::is_same_v<plus<float16>::output, float> && std::is_same_v<plus<float, double>::output, double>);
static_assert(has_law(plus<int>::laws, law::bitwise | law::invertible) && !has_law(plus<float>::laws, law::bitwise));

}  // namespace

TEST_CASE_TEMPLATE("plus obeys its laws", T, float, double) {
  law_report const r = check_monoid_laws(plus<T>{}, nasty_values<T>{}, relative_to_items{64 * std::ldexp(1.0, sizeof(T) == 4 ? -23 : -52)}, bits_of_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE_TEMPLATE("integer plus and product obey their laws bit for bit", T, std::int32_t, std::int64_t, std::uint32_t) {
  law_report const sum = check_monoid_laws(plus<T>{}, nasty_values<T>{});
  CHECK_MESSAGE(sum.ok(), sum.text());
  law_report const times = check_monoid_laws(product<T>{}, nasty_values<T>{});
  CHECK_MESSAGE(times.ok(), times.text());
}

TEST_CASE("plus: signed zeros, nothing, storage types") {
  plus<float> const sum;
  CHECK(std::signbit(sum.combine(sum.identity(), -0.0f)));
  CHECK_FALSE(std::signbit(sum.combine(sum.identity(), 0.0f)));
  CHECK_FALSE(std::signbit(empty_answer(sum)));
  CHECK(plus<float16>{}.lift(float16(1.5f)) == 1.5f);
  CHECK(plus<int>{}.empty() == 0);
}

TEST_CASE("plus: a left fold of floats loses what the tree keeps") {
  float const x[] = {1.0f, 16777216.0f, 1.0f, 1.0f, 1.0f};
  plus<float> const sum;
  float left = x[0];
  for (int i = 1; i < 5; ++i) left = sum.combine(left, x[i]);
  CHECK(left == 16777216.0f);
  CHECK(sum.combine(sum.combine(sum.combine(x[0], x[1]), sum.combine(x[2], x[3])), x[4]) == 16777220.0f);
}

TEST_CASE("product obeys its laws where nothing over- or underflows") {
  auto const near_one = items_from{nasty_values<double>{false, false}, [](double, std::int64_t, word_stream& words) { return 0.9 + 0.2 * words.uniform(); }};
  law_report const r = check_monoid_laws(product<double>{}, near_one, relative{1e-13}, bits_of_commutativity());
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("product_vjp: central differences, and zeros") {
  std::vector<double> x{1.5, -2.0, 0.25, 3.0, -0.5}, dx(5);
  product_vjp(view<double const>(x), 1.25, view<double>(dx));
  auto const value = [](std::vector<double> const& v) {
    double p = 1.0;
    for (double const a : v) p *= a;
    return 1.25 * p;
  };
  for (std::size_t i = 0; i < x.size(); ++i) {
    std::vector<double> up = x, down = x;
    up[i] += 1e-6;
    down[i] -= 1e-6;
    CHECK(dx[i] == doctest::Approx((value(up) - value(down)) / 2e-6).epsilon(1e-6));
  }
  std::vector<double> const z{2.0, 0.0, 5.0};
  std::vector<double> dz(3);
  product_vjp(view<double const>(z), 1.0, view<double>(dz));
  CHECK(dz == std::vector<double>{0.0, 10.0, 0.0});
}

TEST_CASE("plus: the gradient of every item is g") {
  auto const pullback = plus<double>{}.fold_vjp(3.0, 0.5);
  CHECK(pullback(17.0) == 0.5);
}
