#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm_vjp.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/executors.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::doubles;
using support::matrix;

doubles randoms(std::int64_t n, unsigned seed) { return support::randoms<double>(n, seed); }
dispatch_plan plan_of(support::ints const& ids, std::int64_t slots, std::int64_t experts) { return support::plan_of(packed{4}, ids, slots, experts); }

}  // namespace

TEST_CASE("grouped_gemm_vjp: central differences; an empty expert gets zeros") {
  std::int64_t const experts = 4, inner = 5, outer = 3, tokens = 6, slots = 2;
  auto plan = plan_of({0, 1, 1, 3, -1, 1, 0, 3, 1, 0, 3, -1}, slots, experts);
  auto const p = plan.view();
  auto x = randoms(p.rows() * inner, 1), w = randoms(experts * inner * outer, 2), b = randoms(experts * outer, 3), g = randoms(p.rows() * outer, 4);
  doubles y(g.size());
  auto const loss = [&] {
    grouped_gemm(serial, p, plan_rows{matrix(x, p.rows(), inner)}, weight_bank<double const>(w.data(), experts, inner, outer),
                 row_sink{matrix(y, p.rows(), outer), matrix(b, experts, outer)});
    double s = 0;
    for (std::int64_t r = 0; r < p.rows(); ++r)
      for (std::int64_t c = 0; c < outer; ++c)
        if (p.src_of[r] >= 0) s += y[static_cast<std::size_t>(r * outer + c)] * g[static_cast<std::size_t>(r * outer + c)];
    return s;
  };
  doubles dx(x.size(), 0.0), dw(w.size(), 9.0), db(b.size(), 9.0);
  grouped_gemm_vjp(serial, p, plan_rows{matrix(x, p.rows(), inner)}, weight_bank<double const>(w.data(), experts, inner, outer), matrix(g, p.rows(), outer),
                   matrix(dx, p.rows(), inner), weight_bank<double>(dw.data(), experts, inner, outer), matrix(db, experts, outer));
  auto const check = [&](doubles& v, doubles const& gradient) {
    for (std::size_t i = 0; i < v.size(); ++i) {
      double const at = v[i];
      v[i] = at + 1e-5;
      double const up = loss();
      v[i] = at - 1e-5;
      double const down = loss();
      v[i] = at;
      CHECK(gradient[i] == doctest::Approx((up - down) / 2e-5).epsilon(1e-6));
    }
  };
  check(x, dx), check(w, dw), check(b, db);
  for (std::int64_t i = 0; i < inner * outer; ++i) CHECK(support::same_bits(dw[static_cast<std::size_t>(2 * inner * outer + i)], 0.0));
  CHECK(tokens == p.tokens);
}

TEST_CASE("grouped_gemm_vjp: larger than a block, any strides, equal for every executor") {
  std::int64_t const experts = 3, inner = 70, outer = 65, tokens = 1300;
  std::mt19937 engine(4);
  std::vector<std::int32_t> ids(1300);
  for (auto& id : ids) id = engine() % 8 == 0 ? 2 : 0;
  auto plan = plan_of(ids, 1, experts);
  auto const p = plan.view();
  auto const x = randoms(tokens * inner, 1), g = randoms(p.rows() * outer, 2);
  matrix_view<double const> const X(x.data(), tokens, inner), G(g.data(), p.rows(), outer);
  doubles expected(static_cast<std::size_t>(experts * inner * outer)), bias(static_cast<std::size_t>(experts * outer));
  for (std::int64_t r = 0; r < p.rows(); ++r)
    if (p.src_of[r] >= 0)
      for (std::int64_t k = 0; k < inner; ++k)
        for (std::int64_t c = 0; c < outer; ++c)
          expected[static_cast<std::size_t>((ids[static_cast<std::size_t>(p.src_of[r])] * inner + k) * outer + c)] += X(p.src_of[r], k) * G(r, c);
  doubles first, first_bias;
  support::for_each_executor([&](char const* name, auto const& ex) {
    doubles dw(expected.size(), 3.0);
    // stored transposed
    weight_bank<double> const out = weight_bank<double>(dw.data(), experts, outer, inner).transposed();
    grouped_weight_gradient(ex, p, gathered{X}, G, out);
    grouped_bias_gradient(ex, p, G, matrix(bias, experts, outer));
    if (first.empty()) {
      double worst = 0;
      for (std::int64_t e = 0; e < experts; ++e)
        for (std::int64_t k = 0; k < inner; ++k)
          for (std::int64_t c = 0; c < outer; ++c)
            worst = std::fmax(worst, std::abs(out(e, k, c) - expected[static_cast<std::size_t>((e * inner + k) * outer + c)]));
      CHECK(worst < 1e-10);
      first = dw;
      first_bias = bias;
    }
    CHECK_MESSAGE(support::same_bits(dw, first), name);
    CHECK_MESSAGE(support::same_bits(bias, first_bias), name);
  });
  double sum = 0;
  for (std::int64_t r = 0; r < p.offsets[1]; ++r)
    if (p.src_of[r] >= 0) sum += G(r, 7);
  CHECK(bias[7] == doctest::Approx(sum).epsilon(1e-12));
  CHECK(support::same_bits(bias[static_cast<std::size_t>(outer)], 0.0));
}

TEST_CASE("grouped_gemm_vjp: no rows at all") {
  auto plan = plan_of({-1, -1}, 1, 2);
  doubles x(6), g, dw(12, 4.0), db(4, 4.0);
  grouped_weight_gradient(serial, plan.view(), gathered{matrix(x, 2, 3)}, matrix(g, 0, 2), weight_bank<double>(dw.data(), 2, 3, 2));
  grouped_bias_gradient(serial, plan.view(), matrix(g, 0, 2), matrix(db, 2, 2));
  CHECK(dw == doubles(12, 0.0));
  CHECK(db == doubles(4, 0.0));
}

TEST_CASE("grouped_gemm_vjp: <dY, Y> = <dX, X>, and the products are those of one block-diagonal matrix") {
  std::int64_t const experts = 3, inner = 4, outer = 5;
  auto plan = plan_of(support::random_ids(20, experts, 4), 2, experts);
  auto const p = plan.view();
  auto x = randoms(p.rows() * inner, 1);
  auto const w = randoms(experts * inner * outer, 2), dy = randoms(p.rows() * outer, 3);
  doubles y(static_cast<std::size_t>(p.rows() * outer)), dx(x.size());
  weight_bank<double const> const bank(w.data(), experts, inner, outer);
  grouped_gemm(serial, p, plan_rows{matrix(x, p.rows(), inner)}, bank, row_sink{matrix(y, p.rows(), outer)});
  grouped_gemm_vjp(serial, p, plan_rows{matrix(x, p.rows(), inner)}, bank, matrix(dy, p.rows(), outer), matrix(dx, p.rows(), inner), weight_bank<double>(), matrix_view<double>());
  double left = 0, right = 0;
  for (std::int64_t e = 0; e < experts; ++e)
    for (std::int64_t r = p.offsets[e]; r < p.offsets[e] + p.kept[e]; ++r) {
      for (std::int64_t c = 0; c < outer; ++c) left += dy[static_cast<std::size_t>(r * outer + c)] * y[static_cast<std::size_t>(r * outer + c)];
      for (std::int64_t k = 0; k < inner; ++k) right += dx[static_cast<std::size_t>(r * inner + k)] * x[static_cast<std::size_t>(r * inner + k)];
      // row r of the block-row matrix has its tokens in the columns of expert e; the block matrix has W_e in those rows
      for (std::int64_t c = 0; c < outer; ++c) {
        double sum = 0;
        for (std::int64_t k = 0; k < experts * inner; ++k) sum += (k / inner == e ? x[static_cast<std::size_t>(r * inner + k % inner)] : 0) * bank(k / inner, k % inner, c);
        CHECK(y[static_cast<std::size_t>(r * outer + c)] == doctest::Approx(sum).epsilon(1e-13));
      }
    }
  CHECK(left == doctest::Approx(right).epsilon(1e-12));
}
