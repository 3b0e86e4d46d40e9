#include <doctest/doctest.h>

#include "route/central.hpp"
#include "support/named_routers.hpp"

namespace {

template <int Part>
void check_gradients() {
  support::for_each_named_router<Part>([](char const* names, auto const& make) {
    CAPTURE(names);
    for (std::int64_t experts : {6, 9}) {
      support::router_inputs const inputs(4, experts, 3);
      check_router_gradient(make(inputs), experts);
    }
  });
}

TEST_CASE("named routers: central differences, parts 2 and 3") {
  check_gradients<2>();
  check_gradients<3>();
}

}  // namespace
