#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <type_traits>

#include "fanfold/testing/router_contract.hpp"
#include "support/named_routers.hpp"

// The contract of routers for each named one: any number of experts and choices, every workload.
namespace support {

struct router_shape {
  std::int64_t rows, experts, slots;
};

/// Each `step`-th workload of a shape, from a start that differs from shape to shape.
template <class L, class Make, class ForEach>
void check_shape(Make const& make, router_shape const& s, std::size_t step, ForEach const& each) {
  router_inputs const inputs(s.rows, s.experts, s.slots);
  auto const router = make(inputs);
  auto const loads = fanfold::testing::router_workloads<L>(s.rows, s.experts, 11);
  for (std::size_t i = static_cast<std::size_t>(s.experts) % step; i < loads.size(); i += step) {
    auto failures = fanfold::testing::check_router(router, loads[i], each);
    auto const more = fanfold::testing::check_router_vjp(router, loads[i], each);
    failures.insert(failures.end(), more.begin(), more.end());
    std::string const first = failures.empty() ? std::string() : failures.front();
    CAPTURE(first);
    CHECK(failures.empty());
  }
}

}  // namespace support
