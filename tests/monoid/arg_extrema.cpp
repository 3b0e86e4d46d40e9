#include "fanfold/monoid/arg_extrema.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class M, class T>
void passes() {
  auto const generator = items_from{nasty_values<T>{}, [](T x, std::int64_t i, word_stream&) { return indexed<T>{x, i}; }};
  law_report const r = check_monoid_laws(M{}, generator);
  CHECK_MESSAGE(r.ok(), r.text());
}

template <class M, class T>
auto fold_list(M const& m, std::vector<T> const& x) {
  auto s = m.identity();
  for (std::size_t i = 0; i < x.size(); ++i) s = m.combine(s, m.lift({x[i], static_cast<std::int64_t>(i)}));
  return m.lower(s);
}

float const nan_value = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE_TEMPLATE("arg extrema obey their laws bit for bit", T, float, double, std::int32_t) {
  passes<arg_max<T>, T>();
  passes<arg_min<T>, T>();
  passes<arg_max<T, nan_policy::ignore>, T>();
  passes<arg_min<T, nan_policy::propagate, tie::last>, T>();
}

TEST_CASE("arg_max: NaN, ties, zeros, nothing") {
  std::vector<float> const x{3.0f, nan_value, 3.0f, nan_value};
  CHECK(fold_list(arg_max<float>{}, x).index == 1);
  CHECK(fold_list(arg_max<float, nan_policy::ignore>{}, x).index == 0);
  CHECK(fold_list(arg_max<float, nan_policy::ignore, tie::last>{}, x).index == 2);
  CHECK(fold_list(arg_min<float, nan_policy::propagate, tie::last>{}, x).index == 3);
  CHECK(fold_list(arg_max<float>{}, std::vector<float>{-0.0f, 0.0f, 0.0f}).index == 1);
  CHECK(fold_list(arg_min<float>{}, std::vector<float>{0.0f, -0.0f}).index == 1);
  CHECK_FALSE(fold_list(arg_max<float>{}, std::vector<float>{}).has_value());
  CHECK_FALSE(fold_list(arg_max<float, nan_policy::ignore>{}, std::vector<float>{nan_value, nan_value}).has_value());
  float const inf = std::numeric_limits<float>::infinity();
  CHECK(fold_list(arg_max<float>{}, std::vector<float>{-inf, -inf}).index == 0);
}

TEST_CASE("arg extrema agree with extrema") {
  nasty_values<float> const generator;
  for (int kind = 0; kind < generator.kinds(); ++kind) {
    std::vector<float> const x = generator(kind, 100, 3);
    auto const best = fold_list(arg_max<float>{}, x);
    float value = maximum<float>{}.identity();
    for (float const v : x) value = maximum<float>{}.combine(value, v);
    CHECK(support::same_bits(best.value, value));
    CHECK(support::same_bits(x[static_cast<std::size_t>(best.index)], value));
    for (std::int64_t i = 0; i < best.index; ++i) CHECK_FALSE(support::same_bits(x[static_cast<std::size_t>(i)], value));
  }
}

TEST_CASE("arg_max: all of the gradient goes to the reported item") {
  auto const pullback = arg_max<double>{}.fold_vjp({3.0, 2}, 0.75);
  CHECK(pullback(indexed<double>{3.0, 2}) == 0.75);
  CHECK(pullback(indexed<double>{3.0, 4}) == 0.0);
}
