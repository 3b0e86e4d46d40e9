#pragma once

#include "route/routed.hpp"

// Gradients of a router against central differences; ids must not change within the step.
namespace {

template <class Router>
double router_objective(Router const& router, std::vector<double> const& logits, std::int64_t experts, std::vector<double> const& dweight,
                        std::vector<double> const& dscore) {
  routed<double, double> const r(router, logits, experts);
  double sum = .07 * r.stats.lse_sq_sum() - .4 * r.stats.entropy_sum();
  for (std::size_t i = 0; i < dweight.size(); ++i) sum += dweight[i] * r.weight[i];
  for (std::int64_t e = 0; e < experts; ++e) sum += dscore[static_cast<std::size_t>(e)] * r.stats.score_sum()[e];
  return sum;
}

template <class Router>
void check_router_gradient(Router const& router, std::int64_t experts = 5, std::int64_t rows = 4) {
  std::vector<double> logits, dweight, dscore;
  for (int i = 0; i < rows * experts; ++i) logits.push_back(std::sin(i * 1.7) * 2 + .3);
  for (int i = 0; i < rows * router.slots(experts); ++i) dweight.push_back(std::cos(i * 2.3));
  for (int i = 0; i < experts; ++i) dscore.push_back(std::sin(i * .9 + 1));
  routed<double, double> r(router, logits, experts);
  std::vector<double> dlogits(logits.size());
  route::assign_vjp(router, r.input(), r.out(), matrix_view(dweight.data(), rows, r.slots), matrix_view(dlogits.data(), rows, experts),
                    route::routing_stats_gradient{dscore, .07, -.4});
  for (std::size_t i = 0; i < logits.size(); ++i) {
    double const h = 1e-6;
    auto up = logits, down = logits;
    up[i] += h;
    down[i] -= h;
    double const want = (router_objective(router, up, experts, dweight, dscore) - router_objective(router, down, experts, dweight, dscore)) / (2 * h);
    CAPTURE(i);
    CHECK(dlogits[i] == doctest::Approx(want).epsilon(1e-6).scale(1e-2));
  }
}

// Central difference of f at x[i].
template <class F>
double central(F const& f, std::vector<double> x, std::size_t i, double h = 1e-5) {
  double const at = x[i];
  x[i] = at + h;
  double const up = f(x);
  x[i] = at - h;
  return (up - f(x)) / (2 * h);
}

template <class F>
void check_central(F const& f, std::vector<double> const& x, std::vector<double> const& gradient, double tolerance = 1e-6) {
  REQUIRE(gradient.size() == x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    CAPTURE(i);
    CHECK(gradient[i] == doctest::Approx(central(f, x, i)).epsilon(tolerance).scale(1e-2));
  }
}

}  // namespace
