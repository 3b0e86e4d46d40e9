#include "fanfold/core/check.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>

namespace {

using fanfold::argument_error;
using fanfold::check_argument;

template <class V>
std::string message(V const& value) {
  try {
    check_argument(false, "fold", "out", value, "something else");
  } catch (argument_error const& error) {
    return error.what();
  }
  return "no error";
}

TEST_CASE("check_argument: says function, argument, value and limit") {
  CHECK_NOTHROW(check_argument(true, "fold", "k", 3, "1 to 8"));
  CHECK_THROWS_WITH_AS(check_argument(false, "route::assign", "k", 9, "1 to 8"), "fanfold::route::assign: k is 9, must be 1 to 8",
                       argument_error);
  CHECK_THROWS_AS(check_argument(false, "fold", "k", 9, "1 to 8"), std::invalid_argument);
}

TEST_CASE("check_argument: values of every kind can be read") {
  int const here = 0;
  CHECK(message(true) == "fanfold::fold: out is true, must be something else");
  CHECK(message(false).find("out is false,") != std::string::npos);
  CHECK(message(std::numeric_limits<std::int64_t>::min()).find("out is -9223372036854775808,") != std::string::npos);
  CHECK(message(std::uint8_t{200}).find("out is 200,") != std::string::npos);
  CHECK(message(0.25f).find("out is 0.25,") != std::string::npos);
  CHECK(message(1e-9).find("out is 1e-09,") != std::string::npos);
  CHECK(message(-std::numeric_limits<double>::infinity()).find("out is -inf,") != std::string::npos);
  CHECK(message(std::numeric_limits<float>::quiet_NaN()).find("nan,") != std::string::npos);
  CHECK(message("a text").find("out is a text,") != std::string::npos);
  CHECK(message(std::string("a string")).find("out is a string,") != std::string::npos);
  CHECK(message(static_cast<float const*>(nullptr)).find("out is null,") != std::string::npos);
  CHECK(message(&here).find("out is a pointer,") != std::string::npos);
}

TEST_CASE("FANFOLD_ASSERT: throws in checked builds, costs nothing in others") {
  int evaluated = 0;
#if FANFOLD_CHECKED
  CHECK_NOTHROW(FANFOLD_ASSERT(++evaluated == 1));
  CHECK(evaluated == 1);
  CHECK_THROWS_WITH_AS(FANFOLD_ASSERT(evaluated == 2), "fanfold assertion failed: evaluated == 2", fanfold::assertion_error);
#else
  CHECK_NOTHROW(FANFOLD_ASSERT(++evaluated == 2));
  CHECK(evaluated == 0);
#endif
}

}  // namespace
