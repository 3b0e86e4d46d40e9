#include <doctest/doctest.h>

#include "route/named_gradients.hpp"

TEST_CASE("named routers: central differences, parts 2 and 3") {
  check_gradients<2>();
  check_gradients<3>();
}
