#include "fanfold/core/small_array.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <type_traits>

namespace {

namespace ff = fanfold;

struct equal {
  constexpr bool operator()(float a, float b) const { return a == b; }
};

constexpr ff::small_array<float, 3> ascending{{1, 2, 3}};
constexpr ff::maybe<float> some{4, true}, none{};
constexpr ff::indexed<float> third{2.5f, 2}, nowhere{};

static_assert(std::is_trivially_copyable_v<decltype(ascending)> && std::is_standard_layout_v<decltype(ascending)>);
static_assert(ascending.size() == 3 && sizeof(ascending) == 3 * sizeof(float) && ascending[2] == 3);
static_assert(ff::small_array<int, 4>::filled(7)[3] == 7);
static_assert(ascending.matches({{1, 2, 3}}, equal{}) && !ascending.matches({{1, 2, 4}}, equal{}));
static_assert(some && some.has_value() && *some == 4 && some.value_or(1) == 4);
static_assert(!none && !none.has_value() && none.value_or(1) == 1);
static_assert(some.matches({4, true}, equal{}) && !some.matches({5, true}, equal{}) && !some.matches(none, equal{}));
static_assert(third && third.has_value() && !nowhere && nowhere.index == -1);
static_assert(third.matches({2.5f, 2}, equal{}) && !third.matches({2.5f, 1}, equal{}) && !third.matches({2, 2}, equal{}));

TEST_CASE("maybe: absent values match whatever their bytes hold") {
  ff::maybe<float> other{9, false};
  CHECK(none.matches(other, equal{}));
  other.present = true;
  CHECK_FALSE(none.matches(other, equal{}));
}

TEST_CASE("small_array: written through any index type and by iteration") {
  ff::small_array<int, 5> a{};
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = static_cast<int>(i * i);
  a[4u] = 20;
  int sum = 0;
  for (int& x : a) sum += x++;
  CHECK(sum == 0 + 1 + 4 + 9 + 20);
  auto const& read = a;
  sum = 0;
  for (int x : read) sum += x;
  CHECK(sum == 0 + 1 + 4 + 9 + 20 + 5);
  CHECK(read.end() - read.begin() == 5);
}

}  // namespace
