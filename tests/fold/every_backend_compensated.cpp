#include "fold/every_backend.hpp"

#include "fanfold/monoid/compensated.hpp"

TEST_CASE("compensated sums on every backend") { every_backend::fuzz(fanfold::sum_neumaier<float>{}, 2); }
