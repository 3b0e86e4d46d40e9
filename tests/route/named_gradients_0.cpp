#include <doctest/doctest.h>

#include "route/named_gradients.hpp"

TEST_CASE("named routers: central differences, parts 0 and 1") {
  check_gradients<0>();
  check_gradients<1>();
}
