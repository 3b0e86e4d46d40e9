#include "fanfold/route/capacity.hpp"

#include <doctest/doctest.h>

#include <limits>

namespace {

using rule = fanfold::route::capacity_rule;

TEST_CASE("capacity_rule: worked example of every convention") {
  CHECK(rule::switch_transformer(1.25).of(10, 4, 2) == 3);
  CHECK(rule::flaxformer(1.25).of(10, 4, 2) == 4);
  CHECK(rule::gshard(1.25).of(10, 4, 2) == 7);
  CHECK(rule::deepspeed(1.25).of(10, 4, 2) == 7);
  CHECK(rule::vmoe(2.5).of(10, 4, 1) == 8);
  CHECK(rule::tutel(1.25).of(10, 4, 2) == 6);
}

TEST_CASE("capacity_rule: Tutel's automatic and bounded modes") {
  CHECK(rule::tutel(0).of(10, 4, 2, 9) == 9);
  CHECK(rule::tutel(0, 4).of(10, 4, 2, 9) == 12);
  CHECK(rule::tutel(-1).of(10, 4, 2, 9) == 6);
  CHECK(rule::tutel(-1).of(10, 4, 2, 4) == 4);
}

TEST_CASE("capacity_rule: exact arithmetic") {
  CHECK(rule::gshard(1.1).of(100, 2, 1) == 55);
  CHECK(rule::flaxformer(1).of(9, 2, 1) == 4);   // 4.5 to even
  CHECK(rule::flaxformer(1).of(11, 2, 1) == 6);  // 5.5 to even
  CHECK(rule::gshard(1).of(0, 4, 2) == 0);
}

TEST_CASE("capacity_rule: errors") {
  CHECK_THROWS_AS(rule::switch_transformer(1).of(3, 4, 1), fanfold::argument_error);
  CHECK(rule::switch_transformer(1, 1).of(3, 4, 1) == 1);
  CHECK(rule{.kind = rule::form::per_row, .allow_zero = true}.of(3, 4, 1) == 0);
  CHECK_THROWS_AS(rule::gshard(std::numeric_limits<double>::quiet_NaN()).of(3, 4, 1), fanfold::argument_error);
  CHECK_THROWS_AS(rule::gshard(-1).of(3, 4, 1), fanfold::argument_error);
  CHECK_THROWS_AS(rule::gshard(1).of(3, 0, 1), fanfold::argument_error);
}

}  // namespace
