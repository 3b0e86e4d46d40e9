#include "fold/every_backend.hpp"

#include "fanfold/monoid/extrema.hpp"

TEST_CASE("maxima on every backend") { every_backend::fuzz(fanfold::maximum<float>{}, 3); }
