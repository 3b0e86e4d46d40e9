#include "fanfold/fold/empty_policy.hpp"

#include <doctest/doctest.h>

#include <type_traits>

namespace {

using namespace fanfold;
static_assert(detail::segment_option<empty_policy::skip_t const&>);
static_assert(detail::segment_option<empty_policy::value<float>>);
static_assert(detail::segment_option<order::any_t>);
static_assert(detail::segment_option<workspace&>);
static_assert(!detail::segment_option<float>);

}  // namespace

TEST_CASE("the empty policy is found among other options") {
  CHECK(std::is_same_v<decltype(detail::find_empty_policy(order::fixed)), empty_policy::answer_t>);
  CHECK(detail::find_empty_policy(order::fixed, empty_policy::value{3}).v == 3);
  CHECK(std::is_same_v<decltype(detail::find_empty_policy(empty_policy::skip, order::any)), empty_policy::skip_t>);
}
