#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "support/bits.hpp"
#include "support/robust_rules.hpp"

TEST_CASE("robust: plain rules give the same bits on three threads as on one") {
  auto const exact = support::random_rows(11, 70001, 6);
  support::table<float> x(11, 70001);
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(exact.data[i]);
  fanfold::thread_pool pool(3);
  support::for_each_plain_rule(11, 2, [&](std::string const& name, auto const& rule) {
    CAPTURE(name);
    std::vector<float> out(70001);
    fanfold::aggregate::robust(pool.ref(), rule, x.view(), out);
    CHECK(support::same_bits(out, support::aggregated(rule, x)));
  });
}
