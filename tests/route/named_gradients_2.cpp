#include <doctest/doctest.h>

#include "route/named_gradients.hpp"

TEST_CASE("named routers: central differences, parts 4 and 5") {
  check_gradients<4>();
  check_gradients<5>();
}
