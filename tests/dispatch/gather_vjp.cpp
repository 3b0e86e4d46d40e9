#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::doubles;

doubles randoms(std::int64_t n, unsigned seed) { return support::randoms<double>(n, seed); }

}  // namespace

TEST_CASE("gather_vjp: adjoint identity and central differences of the weights") {
  std::int64_t const tokens = 40, slots = 3, cols = 70;
  std::mt19937 engine(1);
  std::vector<std::int32_t> ids(120);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 6) - 1;
  dispatch_plan plan(capacity{20}, tokens, slots, 5);
  make_plan(capacity{20}, route::assignment<double const, std::int32_t const>{{ids.data(), tokens, slots}, {}}, plan.view());
  auto const p = plan.view();
  auto x = randoms(static_cast<std::size_t>(tokens * cols), 2), w = randoms(120, 3), g = randoms(static_cast<std::size_t>(p.rows() * cols), 4);
  doubles rows(g.size()), dx(x.size()), dw(120), plain(x.size());
  matrix_view<double> const X(x.data(), tokens, cols), W(w.data(), tokens, slots), R(rows.data(), p.rows(), cols), G(g.data(), p.rows(), cols),
      DX(dx.data(), tokens, cols), DW(dw.data(), tokens, slots), P(plain.data(), tokens, cols);
  auto const loss = [&](auto const& scale) {
    gather(serial, scale, p, X, R);
    double s = 0;
    for (std::size_t i = 0; i < g.size(); ++i) s += rows[i] * g[i];
    return s;
  };
  auto const inner = [&](doubles const& d) {
    double s = 0;
    for (std::size_t i = 0; i < x.size(); ++i) s += x[i] * d[i];
    return s;
  };
  gather_vjp(serial, scaled{W}, p, X, G, DX, DW);
  gather_vjp(serial, unscaled{}, p, G, P);
  CHECK(inner(dx) == doctest::Approx(loss(scaled{W})).epsilon(1e-12));  // linear in x: <x, J'g> = <J x, g>
  CHECK(inner(plain) == doctest::Approx(loss(unscaled{})).epsilon(1e-12));
  for (std::size_t a = 0; a < 120; ++a) {
    double const at = w[a];
    w[a] = at + 1e-5;
    double const up = loss(scaled{W});
    w[a] = at - 1e-5;
    double const down = loss(scaled{W});
    w[a] = at;
    CHECK(dw[a] == doctest::Approx((up - down) / 2e-5).epsilon(1e-6));
    if (p.row_of[a] < 0) CHECK(dw[a] == 0.0);
  }
  thread_pool two(2);
  doubles other_dx(dx.size()), other_dw(dw.size());
  gather_vjp(two.ref(), scaled{W}, p, X, G, matrix_view<double>(other_dx.data(), tokens, cols), matrix_view<double>(other_dw.data(), tokens, slots));
  CHECK(support::same_bits(other_dx, dx));
  CHECK(support::same_bits(other_dw, dw));
}

TEST_CASE("gather_vjp: the dot is the fold of the products") {
  std::vector<std::int32_t> const ids{0};
  dispatch_plan plan(packed{}, 1, 1, 1);
  make_plan(packed{}, route::assignment<double const, std::int32_t const>{{ids.data(), 1, 1}, {}}, plan.view());
  std::int64_t const cols = 5000;
  std::mt19937 engine(9);
  std::vector<float> x(5000), g(5000), product(5000), dx(5000), dw(1), w{1.0f};
  for (std::size_t i = 0; i < 5000; ++i) x[i] = static_cast<float>(engine() % 1000) / 7.0f, g[i] = static_cast<float>(engine() % 1000) / 9.0f - 50.0f, product[i] = x[i] * g[i];
  gather_vjp(serial, scaled{matrix_view<float>(w.data(), 1, 1)}, plan.view(), matrix_view<float>(x.data(), 1, cols), matrix_view<float>(g.data(), 1, cols),
             matrix_view<float>(dx.data(), 1, cols), matrix_view<float>(dw.data(), 1, 1));
  CHECK(support::same_bits(dw[0], fold(plus<float>{}, product)));
}
