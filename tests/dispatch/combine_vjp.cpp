#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::differences;
using support::dot;
using support::doubles;
using support::ints;
using support::matrix;

doubles randoms(std::int64_t n, unsigned seed) { return support::randoms<double>(n, seed); }

struct fixture {
  std::int64_t tokens = 6, slots = 3, cols = 5, experts = 4;
  ints ids{2, 0, -1, 1, 1, 3, -1, -1, -1, 0, 2, 3, 0, 0, 1, 3, 2, 1};
  dispatch_plan plan{packed{4}, 6, 3, 4};
  doubles z, w = randoms(18, 2), init = randoms(30, 3), dy = randoms(30, 4);

  fixture() {
    // one assignment is dropped
    make_plan(plan_policy{packed{4}, token_major{}, by_rank{.limit = 3}}, route::assignment<double const, std::int32_t const>{{ids.data(), 6, 3}, {}}, plan.view());
    z = randoms(plan.view().rows() * cols, 1);
  }
  plan_view view() { return plan.view(); }
};

void check_close(doubles const& got, doubles const& expected) {
  REQUIRE(got.size() == expected.size());
  double worst = 0;
  for (std::size_t i = 0; i < got.size(); ++i) worst = std::fmax(worst, std::abs(got[i] - expected[i]) / std::fmax(1.0, std::abs(expected[i])));
  CHECK(worst < 1e-6);
}

template <class Policy>
void check_gradients(Policy const& policy) {
  fixture f;
  auto const p = f.view();
  doubles y(30);
  auto const loss = [&] {
    fold_combine(policy, p, matrix(f.z, p.rows(), f.cols), matrix(f.w, 6, 3), matrix(f.init, 6, 5), matrix(y, 6, 5));
    return dot(y, f.dy);
  };
  doubles dz(f.z.size(), 9.0), dw(18, 9.0), dinit(30, 9.0);
  fold_combine_vjp(serial, policy, p, matrix(f.z, p.rows(), f.cols), matrix(f.w, 6, 3), matrix(f.init, 6, 5), matrix(f.dy, 6, 5),
                   matrix(dz, p.rows(), f.cols), matrix(dw, 6, 3), matrix(dinit, 6, 5));
  check_close(dz, differences(f.z, loss));
  check_close(dw, differences(f.w, loss));
  check_close(dinit, differences(f.init, loss));
}

}  // namespace

TEST_CASE("fold_combine_vjp: central differences for several monoids") {
  check_gradients(weighted_sum{});
  check_gradients(weighted_sum<by_expert>{});
  check_gradients(weighted_sum<by_rank_then_slot>{{.experts_a_rank = 2}});
  check_gradients(combine_policy{maximum<double>{}});
  check_gradients(combine_policy{minimum<double>{}, scale{}, by_expert{}});
  check_gradients(combine_policy{log_sum_exp<double>{}});
  check_gradients(combine_policy{plus<double>{}, ignore_weight{}});
}

TEST_CASE("fold_combine_vjp: worked example") {
  ints const ids{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};
  dispatch_plan plan(packed{}, 5, 2, 4);
  make_plan(packed{}, route::assignment<double const, std::int32_t const>{{ids.data(), 5, 2}, {}}, plan.view());
  doubles const z{1, 3, 5, 4, 3, 6, 9, 12, 15, 16}, w{.75, .25, .5, .5, .6, .4, .9, .1, .8, .2}, dy(5, 1.0), factor{1, 2, 3, 4};
  doubles dz(10), dw(10), dx(5);
  fold_combine_vjp(serial, weighted_sum{}, plan.view(), matrix(z, 10, 1), matrix(w, 5, 2), matrix(dy, 5, 1), matrix(dz, 10, 1), matrix(dw, 5, 2));
  CHECK(dw == doubles{3, 1, 6, 4, 3, 9, 16, 12, 15, 5});
  for (std::size_t r = 0; r < 10; ++r) dz[r] *= factor[static_cast<std::size_t>(ids[static_cast<std::size_t>(plan.view().src_of[r])])];
  gather_vjp(serial, unscaled{}, plan.view(), matrix(dz, 10, 1), matrix(dx, 5, 1));
  doubles const expected{2.5, 2.5, 1.8, 3.9, 2.6};
  for (std::size_t t = 0; t < 5; ++t) CHECK(dx[t] == doctest::Approx(expected[t]).epsilon(1e-14));
}

TEST_CASE("fold_combine_vjp: a tie gives the gradient to the first slot in fold order") {
  ints const ids{1, 0};
  dispatch_plan plan(packed{}, 1, 2, 2);
  make_plan(packed{}, route::assignment<double const, std::int32_t const>{{ids.data(), 1, 2}, {}}, plan.view());
  doubles const z{5, 5}, dy{1};
  matrix_view<double const> const w;
  doubles dz(2);
  matrix_view<double> const no_dw;
  fold_combine_vjp(serial, combine_policy{maximum<double>{}}, plan.view(), matrix(z, 2, 1), w, matrix(dy, 1, 1), matrix(dz, 2, 1), no_dw);
  CHECK(dz == doubles{0, 1});  // slot 0 lies in row 1
  fold_combine_vjp(serial, combine_policy{maximum<double>{}, scale{}, by_expert{}}, plan.view(), matrix(z, 2, 1), w, matrix(dy, 1, 1), matrix(dz, 2, 1), no_dw);
  CHECK(dz == doubles{1, 0});
}
