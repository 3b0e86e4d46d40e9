#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "fanfold/aggregate/robust/attacks.hpp"
#include "fanfold/testing/robustness.hpp"
#include "support/bits.hpp"
#include "support/robust_rules.hpp"

using namespace fanfold::aggregate;
using support::aggregated;
using support::random_rows;
using support::table;

namespace {

/// Honest rows followed by f faulty ones.
template <class Attack>
table<double> attacked(Attack const& attack, std::int64_t n, std::int64_t f, std::int64_t d, std::uint32_t tag) {
  table<double> x = random_rows(n, d, tag);
  forge(attack, x.view().sub_rows(0, n - f), x.view().sub_rows(n - f, f));
  return x;
}

template <class F>
void for_each_attack(F&& call) {
  call("zero", zero_attack());
  call("sign_flip", sign_flip{});
  call("ipm", inner_product_manipulation{});
  call("ipm 0.5", inner_product_manipulation{0.5});
  call("alie", a_little_is_enough{});
  call("mimic", mimic{});
  call("gauss", gaussian_attack{.deviation = 100, .seed = 5});
  call("constant", constant_attack{1e6});
  call("drop", drop_attack{.fraction = 0.5, .seed = 6});
  call("infinity", infinity_attack());
  call("nan", nan_attack());
}

template <class R, class Bound>
void check_kappa(std::string const& name, R const& rule, Bound const& bound) {
  CAPTURE(name);
  double worst = 0;
  for (std::int64_t f = 1; f <= 2; ++f)
    for_each_attack([&](char const* attack, auto const& a) {
      CAPTURE(attack);
      CAPTURE(f);
      for (std::uint32_t tag = 0; tag < 8; ++tag) {
        std::int64_t const n = 4 * f + 3;
        table<double> const x = attacked(a, n, f, 3, tag);
        auto const out = aggregated(rule(f), x);
        double const ratio = fanfold::testing::robustness_ratio<double>(fanfold::rows_view<double const>(x.view()), out, f);
        CHECK(ratio <= bound(n, f) * (1 + 1e-9));
        worst = ratio > worst ? ratio : worst;
      }
    });
  CHECK(worst > 1e-3);  // the inputs do say something
}

}  // namespace

TEST_CASE("robust: kappa bounds under all attacks") {
  check_kappa("trimmed mean", [](std::int64_t f) { return trimmed_mean{.f = f}; }, trimmed_mean::kappa);
  check_kappa("median", [](std::int64_t) { return coordinate_median{}; }, coordinate_median::kappa);
  check_kappa("krum", [](std::int64_t f) { return krum{.f = f}; }, krum::kappa);
  check_kappa("geometric median", [](std::int64_t) { return geometric_median{}; }, geometric_median::kappa);
  auto const mixed = [](auto rule_kappa) { return [=](std::int64_t n, std::int64_t f) { return nearest_neighbour_mixing::kappa_after(rule_kappa(n, f), n, f); }; };
  check_kappa("mixing + trimmed mean", [](std::int64_t f) { return compose(nearest_neighbour_mixing{.f = f}, trimmed_mean{.f = f}); }, mixed(trimmed_mean::kappa));
  check_kappa("mixing + krum", [](std::int64_t f) { return compose(nearest_neighbour_mixing{.f = f}, krum{.f = f}); }, mixed(krum::kappa));
  check_kappa("mixing + geometric median", [](std::int64_t f) { return compose(nearest_neighbour_mixing{.f = f}, geometric_median{}); }, mixed(geometric_median::kappa));
}

TEST_CASE("robust: the mean has no kappa bound") {
  table<double> const x = attacked(constant_attack{1e6}, 7, 1, 3, 0);
  CHECK(fanfold::testing::robustness_ratio<double>(fanfold::rows_view<double const>(x.view()), aggregated(average{}, x), 1) > 1e6);
}

TEST_CASE("robust: breakdown points") {
  // the largest f that a rule takes keeps it near the honest rows; one more is refused
  auto const check = [&](std::string const& name, auto const& rule, std::int64_t n) {
    CAPTURE(name);
    CAPTURE(n);
    std::int64_t const f = rule(0).most_faulty(n);
    table<double> const x = attacked(constant_attack{1e9}, n, f, 4, 3);
    for (double v : aggregated(rule(f), x)) CHECK(std::fabs(v) < 6);
    CHECK_THROWS_AS(aggregated(rule(f + 1), x), fanfold::argument_error);
  };
  for (std::int64_t n : {7, 8, 11, 15}) {
    check("trimmed_mean", [](std::int64_t f) { return trimmed_mean{.f = f}; }, n);
    check("mean_around_median", [](std::int64_t f) { return mean_around_median{.f = f}; }, n);
    check("krum", [](std::int64_t f) { return krum{.f = f}; }, n);
    check("multi_krum", [](std::int64_t f) { return multi_krum{.f = f}; }, n);
    check("bulyan", [](std::int64_t f) { return bulyan{.f = f}; }, n);
    check("minimum_diameter_average", [](std::int64_t f) { return minimum_diameter_average{.f = f}; }, n);
    check("smallest_eigen_average", [](std::int64_t f) { return smallest_eigen_average{.f = f}; }, n);
    check("nearest_to_trusted", [](std::int64_t f) { return nearest_to_trusted{.f = f, .index = 0}; }, n);
    check("covariance_filter", [](std::int64_t f) { return covariance_filter{.f = f}; }, n);
  }
}
