#include <doctest/doctest.h>

#include "everything.hpp"

fanfold::workspace* second_workspace();

namespace {

TEST_CASE("headers: two translation units that include everything link together") {
  fanfold::workspace first;
  CHECK(second_workspace() != &first);
}

}  // namespace
