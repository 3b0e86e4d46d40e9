#pragma once

#include "route/central.hpp"
#include "support/named_routers.hpp"

namespace {

/// Gradients of the named routers of a part against central differences, for an even and an odd number of experts.
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

}  // namespace
