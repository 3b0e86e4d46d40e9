#include "fanfold/core/config.hpp"

#include <doctest/doctest.h>

#include <string>
#include <type_traits>

#include "fanfold/core/view.hpp"
#include "fanfold/version.hpp"

namespace {

static_assert(FANFOLD_CHECKED == 0 || FANFOLD_CHECKED == 1);
static_assert(FANFOLD_ON_DEVICE == 0);
static_assert(FANFOLD_VECTOR_BYTES == 16 || FANFOLD_VECTOR_BYTES == 32 || FANFOLD_VECTOR_BYTES == 64);
static_assert(FANFOLD_VERSION_MAJOR == 0 && FANFOLD_VERSION_MINOR >= 1 && FANFOLD_VERSION_PATCH >= 0);

#if FANFOLD_CHECKED
static_assert(std::is_same_v<fanfold::view<int>, fanfold::v0_checked::view<int>>);
#else
static_assert(std::is_same_v<fanfold::view<int>, fanfold::v0::view<int>>);
#endif

FANFOLD_INLINE int inlined(int x) { return x + 1; }
FANFOLD_NOINLINE int not_inlined(int const* FANFOLD_RESTRICT x) { return *x + 1; }

TEST_CASE("config: the function attributes keep the meaning of a function") {
  int const one = inlined(0);
  CHECK(not_inlined(&one) == 2);
}

}  // namespace
