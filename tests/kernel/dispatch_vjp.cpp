#include "fanfold/kernel/dispatch_vjp.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/dispatch/combine_vjp.hpp"
#include "fanfold/dispatch/encode.hpp"
#include "fanfold/dispatch/gather_vjp.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/plan.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"
#include "support/emulated.hpp"
#include "support/sparse_memory.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;
using support::floats;
using support::matrix;
using support::randoms;
using support::same_bits;

namespace {

template <class T>
struct problem {
  std::int64_t tokens, slots, cols;
  dispatch_plan plan;
  std::vector<T> rows;
  floats w, init, dy;

  template <class L>
  problem(L const& layout, std::int64_t t, std::int64_t k, std::int64_t d, unsigned seed)
      : tokens(t), slots(k), cols(d), plan(support::plan_of(layout, support::random_ids(t * k, 6, seed), k, 6)),
        rows(randoms<T>(plan.view().row_bound() * d, seed)), w(randoms<float>(t * k, seed + 1)), init(randoms<float>(t * d, seed + 2)), dy(randoms<float>(t * d, seed + 3)) {}
};

template <class T>
struct gradients {
  std::vector<T> rows;
  floats w, init;
  gradients(problem<T> const& q) : rows(q.rows.size(), from_arithmetic<T>(5)), w(q.w.size(), 5.0f), init(q.init.size(), 5.0f) {}
};

template <class T, class Policy>
void check_combine(problem<T>& q, Policy const& policy, bool with_init) {
  plan_view const p = q.plan.view();
  auto const run = [&](auto const& ex) {
    gradients<T> g(q);
    matrix_view<float const> const init = with_init ? matrix(std::as_const(q.init), q.tokens, q.cols) : matrix_view<float const>();
    fold_combine_vjp(ex, policy, p, matrix(q.rows, p.row_bound(), q.cols), matrix(q.w, q.tokens, q.slots), init, matrix(q.dy, q.tokens, q.cols),
                     matrix(g.rows, p.row_bound(), q.cols), matrix(g.w, q.tokens, q.slots), matrix(g.init, q.tokens, q.cols));
    return g;
  };
  auto const expected = run(serial);
  support::for_each_geometry([&](auto const& ex) {
    auto const got = run(ex);
    CHECK(same_bits(got.rows, expected.rows));
    CHECK(same_bits(got.w, expected.w));
    CHECK(same_bits(got.init, expected.init));
  });
}

}  // namespace

TEST_CASE("emulated gather_vjp equals the host's") {
  for (auto [slots, cols] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 7}, {2, 64}, {3, 66}, {2, 130}}) {
    problem<float> q(packed{4}, 20, slots, cols, 3);
    plan_view const p = q.plan.view();
    auto const check = [&](auto const& ex, floats& dx, floats& dw, floats& plain) {
      gather_vjp(ex, scaled{matrix(q.w, 20, slots)}, p, matrix(q.dy, 20, cols), matrix(q.rows, p.row_bound(), cols), matrix(dx, 20, cols), matrix(dw, 20, slots));
      gather_vjp(ex, unscaled{}, p, matrix(q.rows, p.row_bound(), cols), matrix(plain, 20, cols));
    };
    floats dx(q.dy.size(), 5.0f), dw(q.w.size(), 5.0f), plain = dx;
    check(serial, dx, dw, plain);
    support::for_each_geometry([&](auto const& ex) {
      floats a(dx.size(), 7.0f), b(dw.size(), 7.0f), c(dx.size(), 7.0f);
      check(ex, a, b, c);
      CHECK(same_bits(a, dx));
      CHECK(same_bits(b, dw));
      CHECK(same_bits(c, plain));
    });
  }
}

TEST_CASE("emulated fold_combine_vjp of sums equals the host's: layouts, brackets, columns across a tile") {
  for (std::int64_t cols : {1, 6, 64, 67}) {
    problem<float> packed_rows(packed{4}, 14, 3, cols, 5), kept_rows(masked{3}, 14, 3, cols, 6), limited(capacity{4}, 9, 2, cols, 7);
    for (bool with_init : {false, true}) {
      check_combine(packed_rows, weighted_sum{}, with_init);
      check_combine(kept_rows, weighted_sum<by_expert>{}, with_init);
      check_combine(limited, combine_policy<plus<float>, ignore_weight>{}, with_init);
    }
  }
  problem<float> wide(packed{}, 3, 2, 4100, 8);
  check_combine(wide, weighted_sum{}, false);
  problem<bfloat16> narrow(packed{4}, 12, 2, 10, 9);
  check_combine(narrow, weighted_sum{}, true);
}

TEST_CASE("emulated fold_combine_vjp of other monoids equals the host's in every bracket") {
  for (auto [slots, cols] : {std::pair<std::int64_t, std::int64_t>{3, 8}, {4, 5}, {40, 2}}) {
    problem<float> q(packed{2}, 7, slots, cols, 4);
    for (auto& x : q.rows) x = static_cast<float>(static_cast<int>(x * 2)) / 2;  // ties
    for (bool with_init : {false, true}) {
      check_combine(q, combine_policy{maximum<float>{}, ignore_weight{}}, with_init);
      check_combine(q, combine_policy{maximum<float>{}, scale{}, by_expert{}}, with_init);
      check_combine(q, combine_policy{minimum<float>{}, scale{}, by_rank_then_slot{.experts_a_rank = 2}}, with_init);
      check_combine(q, combine_policy{log_sum_exp<float>{}}, with_init);
    }
  }
}

TEST_CASE("emulated fold_combine_vjp: absent gradients of weights and init; encode and decode") {
  problem<float> q(capacity{3}, 10, 2, 6, 4);
  plan_view const p = q.plan.view();
  auto const buffer = [&](floats& v) { return matrix(v, p.row_bound(), 6); };
  floats expected(q.rows.size()), code(q.rows.size()), y(60), dbuffer(q.rows.size()), dw(20);
  fold_combine_vjp(serial, weighted_sum{}, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(q.dy, 10, 6), buffer(expected), matrix_view<float>());
  encode(serial, p, matrix(q.dy, 10, 6), buffer(code));
  decode(serial, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(y, 10, 6));
  decode_vjp(serial, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(q.dy, 10, 6), buffer(dbuffer), matrix(dw, 10, 2));
  support::for_each_geometry([&](auto const& ex) {
    floats a(expected.size(), 1.0f), b = a, c(60, 1.0f), d = a, e(20, 1.0f);
    fold_combine_vjp(ex, weighted_sum{}, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(q.dy, 10, 6), buffer(a), matrix_view<float>());
    encode(ex, p, matrix(q.dy, 10, 6), buffer(b));
    decode(ex, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(c, 10, 6));
    decode_vjp(ex, p, buffer(q.rows), matrix(q.w, 10, 2), matrix(q.dy, 10, 6), buffer(d), matrix(e, 10, 2));
    CHECK(same_bits(a, expected));
    CHECK(same_bits(b, code));
    CHECK(same_bits(c, y));
    CHECK(same_bits(d, dbuffer));
    CHECK(same_bits(e, dw));
  });
}

TEST_CASE("emulated: rows past 2^31 elements are addressed in 64 bits") {
  std::int64_t const far_apart = std::int64_t{1} << 30, cols = 4;  // row 3 begins 12 GiB behind row 0
  std::size_t const bytes = static_cast<std::size_t>(3 * far_apart + 64) * sizeof(float);
  support::sparse_memory const first(bytes), second(bytes);
  if (!first || !second) {
    MESSAGE("no address space for this test");
    return;
  }
  matrix_view<float> const x(first.floats(), 4, cols, far_apart), rows(second.floats(), 4, cols, far_apart);
  auto plan = support::plan_of({1, 0, 1, 0}, 1, 2);
  floats const w{2, 3, 4, 5};
  workspace ws;
  emulate::executor const ex(ws, {.block_threads = 64});
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t c = 0; c < cols; ++c) x(t, c) = static_cast<float>(10 * t + c);
  std::int64_t const order[] = {1, 3, 0, 2};
  gather(ex, plan.view(), x, rows);
  for (std::int64_t r = 0; r < 4; ++r)
    for (std::int64_t c = 0; c < cols; ++c) CHECK(rows(r, c) == static_cast<float>(10 * order[r] + c));
  floats dw(4);
  fold_combine_vjp(ex, weighted_sum{}, plan.view(), rows, matrix(w, 4, 1), x, rows, matrix(dw, 4, 1));
  for (std::int64_t t = 0; t < 4; ++t) {
    double dot = 0;
    for (std::int64_t c = 0; c < cols; ++c) dot += static_cast<double>((10 * t + c) * (10 * t + c));
    CHECK(dw[static_cast<std::size_t>(t)] == static_cast<float>(dot));
  }
  for (std::int64_t r = 0; r < 4; ++r)
    for (std::int64_t c = 0; c < cols; ++c) CHECK(rows(r, c) == w[static_cast<std::size_t>(order[r])] * static_cast<float>(10 * order[r] + c));
  fold_combine(ex, combine_policy{plus<float>{}, ignore_weight{}}, plan.view(), rows, matrix_view<float>(), x);
  for (std::int64_t t = 0; t < 4; ++t)
    for (std::int64_t c = 0; c < cols; ++c) CHECK(x(t, c) == w[static_cast<std::size_t>(t)] * static_cast<float>(10 * t + c));
}

TEST_CASE("device traffic: gradients of gather and combine") {
  CHECK(gather_vjp_traffic(10, 12, 8, 4, 2, 4) == 10 * 8 * 6 + 12 * 8);
  CHECK(combine_vjp_traffic(10, 12, 8, 2, 4, 4, 4) == 10 * (8 * 10 + 8) + 12 * 8);
}
