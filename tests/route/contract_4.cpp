#include "support/host_router_contract.hpp"

namespace {

TEST_CASE("router contract: named routers, part 4, on the host") { support::check_routers_on_host<4>(); }

}  // namespace
