#include "fanfold/monoid/reproducible_moments.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

template <class T>
auto answer(std::vector<T> const& x) {
  reproducible_moments<T> const m;
  auto s = m.identity();
  for (T const v : x) m.absorb(s, v);
  return m.lower(s);
}

template <class T>
void passes() {
  law_options o;
  o.lengths = {0, 1, 2, 33};
  o.samples = 15;
  o.shapes = 1;
  law_report const r = check_monoid_laws(reproducible_moments<T>{}, nasty_values<T>{}, bitwise{}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

}  // namespace

TEST_CASE("reproducible_moments obeys its laws bit for bit") {
  passes<double>();
  passes<float>();
}

TEST_CASE("reproducible_moments: small integers, exactly") {
  auto const y = answer<double>({2, 4, 4, 4, 5, 5, 7, 9});
  CHECK(y.count == 8);
  CHECK(y.mean == 5.0);
  CHECK(y.variance == 4.0);
  CHECK(y.sample_variance() == doctest::Approx(32.0 / 7));
  CHECK(answer<double>({1, 2}).variance == 0.25);
  CHECK(answer<double>({-1, 1, 0}).variance == 2.0 / 3.0);
  CHECK(answer<float>({1.0f, 2.0f, 4.0f}).variance == 14.0 / 9.0);
}

TEST_CASE("reproducible_moments: no digit is lost to a huge offset") {
  std::vector<double> x;
  for (int i = 0; i < 1000; ++i) x.push_back(0x1p51 + i % 4);  // variance 1.25
  CHECK(answer(x).variance == 1.25);
  double const tiny = 0x1p-480;
  CHECK(answer<double>({tiny, 3 * tiny}).variance == tiny * tiny);
  double const huge = 0x1p510;
  CHECK(answer<double>({huge, -huge}).variance == huge * huge);
  // squares that need both doubles: (1 + 2^-52)^2
  CHECK(answer<double>({1.0 + 0x1p-52, 1.0}).variance == 0x1p-106);
}

TEST_CASE("reproducible_moments: equal items, one item, nothing, out of range") {
  CHECK(answer<double>({0.1, 0.1, 0.1}).variance == 0.0);
  CHECK(answer<double>({3.5}).variance == 0.0);
  CHECK(std::isnan(answer<double>({3.5}).sample_variance()));
  CHECK(std::isnan(answer<double>({}).mean));
  auto const y = answer<double>({1.0, 1e300});
  CHECK(y.out_of_range);
  CHECK(std::isnan(y.variance));
  CHECK(y.mean == 5e299);
  CHECK(answer<double>({std::numeric_limits<double>::infinity()}).out_of_range);
  CHECK_FALSE(answer<float>({std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()}).out_of_range);
}
