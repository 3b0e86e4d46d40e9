#include "fanfold/core/bundle.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <type_traits>

namespace {

namespace ff = fanfold;

struct equal {
  template <class T>
  constexpr bool operator()(T a, T b) const {
    return a == b;
  }
};

constexpr auto three = ff::make_bundle(1, 2.5, std::int8_t{-3});

static_assert(std::is_same_v<decltype(three), ff::bundle<int, double, std::int8_t> const>);
static_assert(std::is_trivially_copyable_v<decltype(three)> && std::is_aggregate_v<decltype(three)>);
static_assert(ff::get<0>(three) == 1 && ff::get<1>(three) == 2.5 && ff::get<2>(three) == -3);
static_assert(ff::get<0>(ff::make_bundle(7u)) == 7u);
static_assert(three.matches(ff::make_bundle(1, 2.5, std::int8_t{-3}), equal{}));
static_assert(!three.matches(ff::make_bundle(1, 2.5, std::int8_t{-4}), equal{}) && !three.matches(ff::make_bundle(0, 2.5, std::int8_t{-3}), equal{}));

TEST_CASE("bundle: parts are written by get; unset parts are zero") {
  ff::bundle<int, float> b;
  CHECK(ff::get<0>(b) == 0);
  CHECK(ff::get<1>(b) == 0);
  ff::get<1>(b) = 4.5f;
  ff::get<0>(b) = -1;
  auto const copy = b;
  CHECK(ff::get<1>(copy) == 4.5f);
  CHECK(copy.matches(ff::make_bundle(-1, 4.5f), equal{}));
}

}  // namespace
