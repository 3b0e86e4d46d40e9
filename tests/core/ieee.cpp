#include "fanfold/core/ieee.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "fanfold/core/random.hpp"
#include "support/bits.hpp"

namespace {

namespace ff = fanfold;
using support::same_bits;

template <class T>
using limits = std::numeric_limits<T>;

/// Ascending in the order of keys.
template <class T>
std::vector<T> ladder() {
  return {-limits<T>::infinity(), limits<T>::lowest(), T(-1), -(limits<T>::min)(), -limits<T>::denorm_min(), -T(0), T(0),
          limits<T>::denorm_min(), (limits<T>::min)(), T(1), (limits<T>::max)(), limits<T>::infinity()};
}

TEST_CASE_TEMPLATE("ieee: kinds of values", T, float, double) {
  for (T x : ladder<T>()) {
    CHECK_FALSE(ff::is_nan(x));
    CHECK(ff::is_finite(x) == (x - x == 0));
    CHECK(same_bits(ff::canonical(x), x));
  }
  T const nan = limits<T>::quiet_NaN();
  CHECK(ff::is_nan(-nan));
  CHECK_FALSE(ff::is_finite(nan));
  CHECK(ff::math::bits_of(ff::canonical(-nan)) == ff::math::bits_of(ff::math::quiet_nan<T>()));
  CHECK(ff::below_all<T>() == -limits<T>::infinity());
  CHECK(ff::above_all<T>() == limits<T>::infinity());
  CHECK((ff::math::bits_of(T(1)) >> ff::ieee<T>::mantissa_bits) == static_cast<typename ff::ieee<T>::bits>(ff::ieee<T>::bias));
}

TEST_CASE_TEMPLATE("monotone_key: ordered like the values, its own inverse", T, float, double) {
  auto const steps = ladder<T>();
  for (std::size_t i = 1; i < steps.size(); ++i) CHECK(ff::monotone_key(steps[i - 1]) < ff::monotone_key(steps[i]));
  T const nan = limits<T>::quiet_NaN();
  CHECK(ff::monotone_key(nan) > ff::monotone_key(limits<T>::infinity()));
  CHECK(ff::monotone_key(-nan) < ff::monotone_key(-limits<T>::infinity()));
  CHECK(ff::monotone_key(T(0)) == 0);
  ff::random_stream const s{.seed = 3};
  for (std::uint64_t i = 0; i < 2000; ++i) {
    using bits = typename ff::ieee<T>::bits;
    T const x = ff::math::from_bits(static_cast<bits>(std::uint64_t{s.word(2 * i)} << 32 | s.word(2 * i + 1)));
    REQUIRE(ff::math::bits_of(ff::from_monotone_key<T>(ff::monotone_key(x))) == ff::math::bits_of(x));
  }
}

TEST_CASE_TEMPLATE("ieee: integers are finite, bounded, and their own key", T, std::int32_t, std::uint64_t) {
  static_assert(ff::below_all<T>() == (limits<T>::min)() && ff::above_all<T>() == (limits<T>::max)());
  static_assert(std::is_same_v<decltype(ff::monotone_key(T(7))), T>);
  for (T x : {(limits<T>::min)(), T(0), (limits<T>::max)()}) {
    CHECK(ff::is_finite(x));
    CHECK_FALSE(ff::is_nan(x));
    CHECK(ff::canonical(x) == x);
    CHECK(ff::from_monotone_key<T>(ff::monotone_key(x)) == x);
  }
}

}  // namespace
