#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/emulate/executor.hpp"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/routers.hpp"
#include "fanfold/testing/router_contract.hpp"
#include "support/bits.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;

// Ids, weights, statistics and gradients of the device form against the host's.
template <class Router>
void check_on_device(Router const& router, std::int64_t experts, std::int64_t rows = 12) {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {.block_threads = 64, .resident_blocks = 3, .descending = true});
  auto const loads = fanfold::testing::router_workloads<float>(rows, experts, 5);
  for (std::size_t i = 0; i < loads.size(); i += 3) {
    auto const& load = loads[i];
    CAPTURE(load.name);
    std::int64_t const k = router.slots(experts);
    fanfold::testing::routed_rows<float> want(rows, k, experts), got(rows, k, experts);
    route::assign(router, load.view(), want.out(), want.stats.view());
    route::assign(ex, router, load.view(), got.out(), got.stats.view());
    std::vector<std::string> failures;
    fanfold::testing::detail::compare("device", want, got, failures);
    for (auto const& f : failures) FAIL_CHECK(f);
    std::vector<float> dweight(want.weight.size(), .5f), host(load.logits.size()), device(host.size(), 5);
    for (std::size_t j = 0; j < dweight.size(); j += 2) dweight[j] = -1.25f;
    matrix_view<float const> const dw(dweight.data(), rows, k);
    route::assign_vjp(router, load.view(), want.out(), dw, matrix_view(host.data(), rows, experts));
    route::assign_vjp(ex, router, load.view(), want.out(), dw, matrix_view(device.data(), rows, experts));
    CHECK(support::same_bits(host, device));
  }
}

TEST_CASE("row map: named routers give the host's bits on a device") {
  auto const noise = route::row_noise::of(7, 3, 1);
  std::vector<float> const bias(17, .25f), scale(12 * 17, -.5f);
  std::vector<route::expert_kind> kinds(17, route::expert_kind::real);
  for (std::size_t e = 0; e < 17; e += 3) kinds[e] = route::expert_kind::null;
  check_on_device(route::dynmole(), 17);
  check_on_device(route::gshard(noise), 17);
  check_on_device(route::deepspeed(noise), 17);
  check_on_device(route::blockffn(9), 17);
  check_on_device(route::adamoe(kinds, 4), 17);
  check_on_device(route::moepp_released(kinds, 4), 17);
  check_on_device(route::shazeer(3, matrix_view<float const>(scale.data(), 12, 17), noise), 17);
  check_on_device(route::kairos(bias, 4), 17);
}

}  // namespace
