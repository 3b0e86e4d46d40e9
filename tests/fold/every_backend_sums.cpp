#include "fold/every_backend.hpp"

#include "fanfold/monoid/arithmetic.hpp"

TEST_CASE("sums on every backend") { every_backend::fuzz(fanfold::plus<float>{}, 1); }
