#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"
#include "support/allocations.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"
#include "support/robust_rules.hpp"

using support::table;

namespace {

table<float> rows(std::int64_t n, std::int64_t d) {
  table<float> x(n, d);
  fanfold::random_stream const r{3, 4, 5};
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = r.normal(i);
  return x;
}

}  // namespace

TEST_CASE("robust: the same bits on every executor") {
  using namespace fanfold::aggregate;
  table<float> const x = rows(11, 70001);  // several tasks and blocks of every pass
  auto const check = [&](std::string const& name, auto const& rule) {
    CAPTURE(name);
    auto const expected = support::aggregated(rule, x);
    support::for_each_executor([&](std::string const& executor, auto const& ex) {
      CAPTURE(executor);
      std::vector<float> out(expected.size());
      fanfold::aggregate::robust(ex, rule, x.view(), out);
      CHECK(support::same_bits(out, expected));
    });
  };
  check("trimmed_mean", trimmed_mean{.f = 2});
  check("sign_vote", sign_vote{});
  check("geometric_median", geometric_median{});
  check("clip, mixing, bulyan", compose(adaptive_robust_clip{.f = 2}, nearest_neighbour_mixing{.f = 2}, bulyan{.f = 2}));
}

TEST_CASE("robust: Krum returns one of its inputs bit for bit") {
  table<float> const x = rows(11, 301);
  auto const out = support::aggregated(fanfold::aggregate::krum{.f = 2}, x);
  int equal = 0;
  for (std::int64_t i = 0; i < 11; ++i) equal += support::same_bits(out, std::vector<float>(x.view().row(i).begin(), x.view().row(i).end()));
  CHECK(equal == 1);
}

TEST_CASE("robust: a second call with a warm workspace allocates nothing") {
  using namespace fanfold::aggregate;
  table<float> const x = rows(11, 5000);
  std::vector<float> out(5000);
  fanfold::workspace ws;
  auto const check = [&](auto const& rule) {
    robust(fanfold::serial, rule, x.view(), out, ws);
    support::allocation_count count;
    robust(fanfold::serial, rule, x.view(), out, ws);
    CHECK(count.get() == 0);
  };
  check(trimmed_mean{.f = 2});
  check(krum{.f = 2});
  check(bulyan{.f = 2});
  check(geometric_median{});
  check(centered_clipping{});
  check(minimum_diameter_average{.f = 2});
  check(compose(nearest_neighbour_mixing{.f = 2}, krum{.f = 2}));
  check(compose(nearest_neighbour_mixing{.f = 2}, trimmed_mean{.f = 2}));
}
