#include "support/host_router_contract.hpp"

namespace {

TEST_CASE("router contract: named routers, parts 2 and 3, logits of two bytes") {
  support::check_routers_on_narrow_logits<2>();
  support::check_routers_on_narrow_logits<3>();
}

}  // namespace
