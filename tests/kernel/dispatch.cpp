#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/gather_quantised.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::ints;
using support::matrix;

floats random_floats(std::int64_t n, unsigned seed) { return support::randoms<float>(n, seed); }

struct problem {
  std::int64_t tokens, slots, experts, cols;
  ints ids;
  floats x, w, init;

  problem(std::int64_t t, std::int64_t k, std::int64_t e, std::int64_t d, unsigned seed)
      : tokens(t), slots(k), experts(e), cols(d), ids(support::random_ids(t * k, e, seed)), x(random_floats(t * d, seed)), w(random_floats(t * k, seed + 1)), init(random_floats(t * d, seed + 2)) {}
  route::assignment<float const, std::int32_t const> routes() const { return {{ids.data(), tokens, slots}, {w.data(), tokens, slots}}; }
};

template <class Policy>
void check_combine(problem const& q, plan_view const& p, Policy const& policy) {
  auto const z = random_floats(p.rows() * q.cols, 9);
  floats expected(q.x.size()), onto(q.x.size());
  fold_combine(policy, p, matrix(z, p.rows(), q.cols), matrix(q.w, q.tokens, q.slots), matrix(expected, q.tokens, q.cols));
  fold_combine(policy, p, matrix(z, p.rows(), q.cols), matrix(q.w, q.tokens, q.slots), matrix(q.init, q.tokens, q.cols), matrix(onto, q.tokens, q.cols));
  // device buffers have their bound
  floats bound(static_cast<std::size_t>(p.row_bound() * q.cols), 1e30f);
  for (std::size_t i = 0; i < z.size(); ++i) bound[i] = z[i];
  support::for_each_geometry([&](auto const& ex) {
    floats y(q.x.size(), 3.0f);
    fold_combine(ex, policy, p, matrix(bound, p.row_bound(), q.cols), matrix(q.w, q.tokens, q.slots), matrix(y, q.tokens, q.cols));
    CHECK(support::same_bits(y, expected));
    fold_combine(ex, policy, p, matrix(bound, p.row_bound(), q.cols), matrix(q.w, q.tokens, q.slots), matrix(q.init, q.tokens, q.cols), matrix(y, q.tokens, q.cols));
    CHECK(support::same_bits(y, onto));
  });
}

}  // namespace

TEST_CASE("emulated gather equals the host's") {
  for (std::int64_t cols : {1, 7, 32})
    for (int kind = 0; kind < 3; ++kind) {
      problem const q(40, 3, 6, cols, 5);
      dispatch_plan plan = kind == 2 ? dispatch_plan(masked{9}, 40, 3, 6) : dispatch_plan(packed{8}, 40, 3, 6);
      if (kind == 2)
        make_plan(masked{9}, q.routes(), plan.view());
      else
        make_plan(packed{8}, q.routes(), plan.view());
      auto const p = plan.view();
      floats expected(static_cast<std::size_t>(p.row_bound() * cols), 5.0f), got = expected;
      std::vector<bfloat16> narrow(got.size(), bfloat16(5.0f)), narrow_got = narrow;
      auto const weighted = scaled{matrix(q.w, 40, 3)};
      if (kind == 1)
        gather(serial, weighted, p, matrix(q.x, 40, cols), matrix(expected, p.row_bound(), cols));
      else
        gather(p, matrix(q.x, 40, cols), matrix(expected, p.row_bound(), cols));
      gather(p, matrix(q.x, 40, cols), matrix(narrow, p.row_bound(), cols));
      support::for_each_geometry([&](auto const& ex) {
        got.assign(got.size(), 5.0f);
        if (kind == 1)
          gather(ex, weighted, p, matrix(q.x, 40, cols), matrix(got, p.row_bound(), cols));
        else
          gather(ex, p, matrix(q.x, 40, cols), matrix(got, p.row_bound(), cols));
        CHECK(support::same_bits(got, expected));
        gather(ex, p, matrix(q.x, 40, cols), matrix(narrow_got, p.row_bound(), cols));
        CHECK(support::same_bits(narrow_got, narrow));
      });
    }
}

TEST_CASE("emulated fold_combine equals the host's in every bracket") {
  for (auto [slots, cols] : {std::pair<std::int64_t, std::int64_t>{1, 5}, {4, 12}, {33, 3}, {100, 4}}) {
    problem const q(9, slots, 6, cols, 7);
    dispatch_plan plan(packed{4}, 9, slots, 6);
    make_plan(packed{4}, q.routes(), plan.view());
    auto const p = plan.view();
    check_combine(q, p, weighted_sum{});
    check_combine(q, p, weighted_sum<by_expert>{});
    check_combine(q, p, weighted_sum<by_rank_then_slot>{{.experts_a_rank = 2}});
    check_combine(q, p, combine_policy{maximum<float>{}, ignore_weight{}});
  }
}

TEST_CASE("emulated gather of quantised rows equals the host's") {
  for (std::int64_t cols : {1, 40, 200})
    for (std::int64_t a_scale : {0, 32})
      for (bool leaves : {false, true}) {
        problem q(30, 3, 6, cols, 5);
        q.x[0] = std::numeric_limits<float>::infinity();
        dispatch_plan plan = leaves ? dispatch_plan(masked{9}, 30, 3, 6) : dispatch_plan(packed{8}, 30, 3, 6);
        if (leaves)
          make_plan(masked{9}, q.routes(), plan.view());
        else
          make_plan(packed{8}, q.routes(), plan.view());
        auto const p = plan.view();
        quantised<> const policy{{}, a_scale};
        std::int64_t const groups = policy.scales_a_row(cols);
        std::vector<std::int8_t> expected(static_cast<std::size_t>(p.row_bound() * cols), 5), got;
        floats scales(static_cast<std::size_t>(p.row_bound() * groups), 5.0f), got_scales;
        auto const before = scales;
        auto const codes_before = expected;
        gather(serial, policy, p, matrix(q.x, 30, cols), matrix(expected, p.row_bound(), cols), matrix(scales, p.row_bound(), groups));
        support::for_each_geometry([&](auto const& ex) {
          got = codes_before, got_scales = before;
          gather(ex, policy, p, matrix(q.x, 30, cols), matrix(got, p.row_bound(), cols), matrix(got_scales, p.row_bound(), groups));
          CHECK(got == expected);
          CHECK(support::same_bits(got_scales, scales));
        });
      }
}

TEST_CASE("device traffic: gather and combine") {
  CHECK(gather_traffic(10, 8, 4, 2) == 10 * 8 * 6 + 40);
  CHECK(combine_traffic(5, 10, 8, 2, 4) == 10 * 8 * 2 + 5 * 8 * 4);
}
