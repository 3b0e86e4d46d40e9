#include "support/host_router_contract.hpp"

namespace {

TEST_CASE("router contract: named routers, parts 0 and 1, logits of two bytes") {
  support::check_routers_on_narrow_logits<0>();
  support::check_routers_on_narrow_logits<1>();
}

}  // namespace
