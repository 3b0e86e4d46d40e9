#include "fanfold/monoid/scaled_product.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"
#include "support/bits.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class T>
auto fold_list(std::vector<T> const& x) {
  scaled_product<T> const m;
  auto s = m.identity();
  for (T const v : x) s = m.combine(s, m.lift(v));
  return s;
}

}  // namespace

TEST_CASE_TEMPLATE("scaled_product obeys its laws", T, float, double) {
  law_options o;
  o.commutative_bits = true;
  o.lengths = {0, 1, 2, 33, 65};
  double const eps = sizeof(T) == 4 ? 1e-5 : 1e-14;
  auto const values = items_from{nasty_values<T>{}, [](T x, std::int64_t, word_stream& words) { return words.below(4) == 0 ? x : T(0.5) + static_cast<T>(words.uniform()); }};
  // states, not answers: an answer may round to a subnormal
  struct as_state : scaled_product<T> {
    using output = scaled_number<T>;
    output lower(scaled_number<T> const& s) const { return s.fraction == T(1) ? s : s; }
  };
  struct close {
    double eps;
    bool operator()(T a, T b, double) const { return (std::isnan(a) && std::isnan(b)) || a == b || std::abs(static_cast<double>(a - b)) <= eps; }
  };
  law_report const r = check_monoid_laws(as_state{}, values, close{eps}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

TEST_CASE("scaled_product: worked example") {
  scaled_product<double> const m;
  CHECK(m.lower(fold_list<double>({1e200, 1e200, 1e-300})) == doctest::Approx(1e100).epsilon(1e-14));
  CHECK(std::isinf(1e200 * 1e200 * 1e-300));
}

TEST_CASE("scaled_product: identity, zeros, infinities, NaN") {
  scaled_product<double> const m;
  double const inf = std::numeric_limits<double>::infinity();
  CHECK(empty_answer(m) == 1.0);
  CHECK(m.lower(fold_list<double>({3.0, 0.0, 1e300, 1e300})) == 0.0);
  CHECK(support::same_bits(m.lower(fold_list<double>({-1.0, 0.0})), -0.0));
  CHECK(m.lower(fold_list<double>({-2.0, inf})) == -inf);
  CHECK(std::isnan(m.lower(fold_list<double>({0.0, inf}))));
  CHECK(m.lift(inf).exponent == 0);
  CHECK(m.lower(fold_list<double>({1e300, 1e300})) == inf);
  CHECK(m.lower(fold_list<double>({-1e300, 1e300})) == -inf);
}

TEST_CASE("scaled_product: lower is ldexp, rounding once into the subnormals") {
  scaled_product<double> const m;
  scaled_product<float> const f;
  word_stream words(3);
  for (int i = 0; i < 3000; ++i) {
    double const fraction = 0.5 + words.uniform() / 2;
    auto const e = words.below(2400) - 1200;
    CHECK(support::same_bits(m.lower({fraction, e}), std::ldexp(fraction, static_cast<int>(e))));
    float const half = 0.5f + static_cast<float>(words.below(1 << 23)) * 0x1p-24f;
    auto const g = words.below(360) - 180;
    CHECK(support::same_bits(f.lower({half, g}), std::ldexp(half, static_cast<int>(g))));
  }
  double const tiny = std::numeric_limits<double>::denorm_min();
  CHECK(m.lower(m.lift(tiny)) == tiny);
  CHECK(m.lift(tiny).exponent == -1073);
  CHECK(m.lift(tiny).fraction == 0.5);
  CHECK(m.lower({0.5, 100000}) == std::numeric_limits<double>::infinity());
  CHECK(m.lower({0.5, -100000}) == 0.0);
}

TEST_CASE("scaled_product: the logarithm never overflows") {
  scaled_product<double> const m;
  CHECK(m.log2(fold_list<double>(std::vector<double>(1000, 0x1p1000))) == doctest::Approx(1e6));
  CHECK(m.log2(fold_list<double>({-8.0})) == doctest::Approx(3.0));
}
