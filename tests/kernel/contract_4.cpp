#include "support/device_router_contract.hpp"

namespace {

TEST_CASE("router contract: named routers, part 4, on an emulated device") { support::check_routers_on_device<4>(); }

}  // namespace
