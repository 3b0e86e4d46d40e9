#include "fold/every_backend.hpp"

#include "fanfold/monoid/log_sum_exp.hpp"

TEST_CASE("log-sum-exp on every backend") { every_backend::fuzz(fanfold::log_sum_exp<float>{}, 4); }
