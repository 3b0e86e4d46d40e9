#include "support/host_router_contract.hpp"

namespace {

TEST_CASE("router contract: named routers, parts 4 and 5, logits of two bytes") {
  support::check_routers_on_narrow_logits<4>();
  support::check_routers_on_narrow_logits<5>();
}

}  // namespace
