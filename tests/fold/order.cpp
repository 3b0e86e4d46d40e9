#include "fanfold/fold/order.hpp"

#include <doctest/doctest.h>

#include <type_traits>

namespace {

namespace order = fanfold::order;
using fanfold::workspace;
using fanfold::detail::call_workspace;
using fanfold::detail::order_of;

static_assert(fanfold::order_policy<order::fixed_t> && fanfold::order_policy<order::any_t const&> && fanfold::order_policy<order::reproducible_t>);
static_assert(!fanfold::order_policy<int> && !fanfold::order_policy<workspace>);

static_assert(std::is_same_v<order_of<>, order::fixed_t>);
static_assert(std::is_same_v<order_of<workspace&>, order::fixed_t>);
static_assert(std::is_same_v<order_of<order::any_t const&, workspace&>, order::any_t>);
static_assert(std::is_same_v<order_of<workspace&, order::reproducible_t const&>, order::reproducible_t>);

static_assert(fanfold::detail::call_option<workspace&> && fanfold::detail::call_option<order::any_t const&>);
static_assert(!fanfold::detail::call_option<workspace const&> && !fanfold::detail::call_option<int>);

struct exact_sum {
  using state = int;
  static constexpr fanfold::law laws = fanfold::law::associative | fanfold::law::commutative | fanfold::law::bitwise;
  int identity() const { return 0; }
  int combine(int a, int b) const { return a + b; }
};
struct lawless : exact_sum {
  static constexpr fanfold::law laws = fanfold::law::none;
};

constexpr bool accepted() {
  fanfold::require_laws<order::fixed_t, exact_sum>();
  fanfold::require_laws<order::reproducible_t, exact_sum>();
  fanfold::require_laws<order::any_t, exact_sum>();
  fanfold::require_laws<order::any_t, lawless>();
  return true;
}
static_assert(accepted());

struct device {
  struct device_executor_tag {};
  workspace* memory;
  workspace& scratch() const { return *memory; }
};
static_assert(fanfold::device_executor<device> && fanfold::executor<device> && !fanfold::host_executor<device>);

TEST_CASE("call_workspace: the one given, else the device's, else a temporary one") {
  workspace given, of_device;
  device const gpu{&of_device};
  order::any_t const any{};
  CHECK(&call_workspace(fanfold::serial, given).get() == &given);
  CHECK(&call_workspace(fanfold::serial, any, given).get() == &given);
  CHECK(&call_workspace(gpu, given, any).get() == &given);
  CHECK(&call_workspace(gpu, any).get() == &of_device);
  CHECK(&call_workspace(gpu).get() == &of_device);
  call_workspace<fanfold::serial_executor> temporary(fanfold::serial);
  workspace::frame frame(temporary.get());
  CHECK(frame.take<int>(4).size() == 4);
}

}  // namespace
