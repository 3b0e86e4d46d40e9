#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::floats;
using support::ids_example;
using support::ints;
using support::matrix;
using support::plan_of;
using support::random_ids;
using support::weights_example;

floats random_floats(std::size_t n, unsigned seed) { return support::randoms<float>(static_cast<std::int64_t>(n), seed); }

// Left folds of runs of 32, then adjacent pairs: the documented bracket, written out recursively.
float tree_sum(std::vector<float> runs) {
  while (runs.size() > 1) {
    std::vector<float> next;
    for (std::size_t i = 0; i < runs.size(); i += 2) next.push_back(i + 1 < runs.size() ? runs[i] + runs[i + 1] : runs[i]);
    runs = next;
  }
  return runs[0];
}
float bracket_sum(std::vector<float> const& items, bool with_init) {
  std::vector<float> runs;
  std::size_t i = 0;
  while (i < items.size()) {
    std::size_t const length = 32 + (i == 0 && with_init ? 1 : 0);
    float s = items[i];
    for (std::size_t j = i + 1; j < items.size() && j < i + length; ++j) s = s + items[j];
    runs.push_back(s);
    i += length;
  }
  return tree_sum(runs);
}

}  // namespace

TEST_CASE("fold_combine: worked example, sum and maximum") {
  auto plan = plan_of(ids_example, 2, 4);
  floats const z{1, 3, 5, 4, 3, 6, 9, 12, 15, 16};
  floats y(5);
  fold_combine(weighted_sum{}, plan.view(), matrix(z, 10, 1), matrix(weights_example, 5, 2), matrix(y, 5, 1));
  floats const expected{2.5f, 5, 5.4f, 15.6f, 13};
  for (std::size_t t = 0; t < 5; ++t) CHECK(y[t] == doctest::Approx(expected[t]).epsilon(1e-6));
  fold_combine(combine_policy{maximum<float>{}, ignore_weight{}}, plan.view(), matrix(z, 10, 1), matrix(weights_example, 5, 2), matrix(y, 5, 1));
  CHECK(y == floats{3, 6, 9, 16, 15});
}

TEST_CASE("fold_combine: the bracket, with and without init, beyond 32 slots") {
  for (std::int64_t slots : {1, 2, 8, 31, 32, 33, 64, 65, 100, 200})
    for (std::int64_t cols : {1, 3, 16, 130}) {
      std::int64_t const tokens = 3;
      auto const ids = random_ids(static_cast<std::size_t>(tokens * slots), 7, static_cast<unsigned>(slots));
      auto plan = plan_of(ids, slots, 7);
      auto const p = plan.view();
      auto const z = random_floats(static_cast<std::size_t>(p.rows() * cols), 5), w = random_floats(ids.size(), 6);
      auto const init = random_floats(static_cast<std::size_t>(tokens * cols), 9);
      floats y(static_cast<std::size_t>(tokens * cols)), onto(y.size());
      fold_combine(weighted_sum{}, p, matrix(z, p.rows(), cols), matrix(w, tokens, slots), matrix(y, tokens, cols));
      fold_combine(weighted_sum{}, p, matrix(z, p.rows(), cols), matrix(w, tokens, slots), matrix(init, tokens, cols), matrix(onto, tokens, cols));
      bool right = true;
      for (std::int64_t t = 0; t < tokens; ++t)
        for (std::int64_t c = 0; c < cols; ++c) {
          floats items, with_init{init[static_cast<std::size_t>(t * cols + c)]};
          for (std::int64_t s = 0; s < slots; ++s) {
            auto const a = static_cast<std::size_t>(t * slots + s);
            std::int32_t const row = p.row_of[a];
            if (row < 0) continue;
            float const product = w[a] * z[static_cast<std::size_t>(row * cols + c)];
            items.push_back(product);
            with_init.push_back(product);
          }
          float const got = y[static_cast<std::size_t>(t * cols + c)], got_onto = onto[static_cast<std::size_t>(t * cols + c)];
          right &= support::same_bits(got, items.empty() ? 0.0f : bracket_sum(items, false));
          right &= support::same_bits(got_onto, bracket_sum(with_init, true));
        }
      CHECK(right);
    }
}

TEST_CASE("fold_combine: brackets by expert and by rank") {
  // one token, five slots, magnitudes that make every bracket's rounding visible
  ints const ids{5, 0, 3, 1, 4};
  auto plan = plan_of(ids, 5, 6);
  floats const value{1e8f, 3.0f, -1e8f, 5.0f, 0.25f};  // by slot
  floats z(5), w(5, 1.0f), y(1);
  for (std::size_t s = 0; s < 5; ++s) z[static_cast<std::size_t>(plan.view().row_of[s])] = value[s];
  auto const run = [&](auto const& policy) {
    fold_combine(policy, plan.view(), matrix(z, 5, 1), matrix(w, 1, 5), matrix(y, 1, 1));
    return y[0];
  };
  volatile float const a = value[0], b = value[1], c = value[2], d = value[3], e = value[4];
  float const slot_order = (((a + b) + c) + d) + e, expert_order = (((b + d) + c) + e) + a, rank_order = (b + d) + c + (a + e);
  CHECK(run(weighted_sum{}) == slot_order);
  CHECK(run(weighted_sum<by_expert>{}) == expert_order);
  CHECK(run(weighted_sum<by_rank_then_slot>{{.experts_a_rank = 2}}) == rank_order);  // ranks {0,1} {2,3} {4,5}
  ints const owner{1, 1, 9, 0, 0, 1};                                                // rank 0: slots 2, 4; rank 1: slots 0, 1, 3
  float const rank0 = c + e, rank1 = (a + b) + d, owned = rank0 + rank1;
  CHECK(run(weighted_sum<by_rank_then_slot>{{.owner = owner}}) == owned);
  floats const init{7.0f};
  fold_combine(weighted_sum<by_rank_then_slot>{{.owner = owner}}, plan.view(), matrix(z, 5, 1), matrix(w, 1, 5), matrix(init, 1, 1), matrix(y, 1, 1));
  float const onto = (7.0f + rank0) + rank1;
  CHECK(y[0] == onto);
  // one rank alone is folded before it meets init
  floats const large{1e8f};
  fold_combine(weighted_sum<by_rank_then_slot>{{.experts_a_rank = 6}}, plan.view(), matrix(z, 5, 1), matrix(w, 1, 5), matrix(large, 1, 1), matrix(y, 1, 1));
  float const alone = 1e8f + slot_order;
  CHECK(y[0] == alone);
}

TEST_CASE("fold_combine: tokens without a kept slot, signed zeros, absent weights") {
  ints const ids{-1, -1, 0, -1};
  auto plan = plan_of(ids, 2, 3);
  floats const z{-0.0f, 2.0f}, init{3, 4, 5, 6};
  floats y(4, 99.0f);
  matrix_view<float const> const no_weight;
  fold_combine(weighted_sum{}, plan.view(), matrix(z, 1, 2), no_weight, matrix(y, 2, 2));
  CHECK(support::same_bits(y, floats{0.0f, 0.0f, -0.0f, 2.0f}));
  fold_combine(weighted_sum{}, plan.view(), matrix(z, 1, 2), no_weight, matrix(init, 2, 2), matrix(y, 2, 2));
  CHECK(y == floats{3, 4, 5, 8});
  fold_combine(combine_policy{maximum<float>{}}, plan.view(), matrix(z, 1, 2), no_weight, matrix(y, 2, 2));
  CHECK(y[0] == -std::numeric_limits<float>::infinity());
  floats in_place = init;
  fold_combine(weighted_sum{}, plan.view(), matrix(z, 1, 2), no_weight, matrix(in_place, 2, 2), matrix(in_place, 2, 2));
  CHECK(in_place == floats{3, 4, 5, 8});
}

TEST_CASE("fold_combine: bits depend neither on executor nor on the rest of the batch") {
  std::int64_t const tokens = 301, slots = 4, cols = 150;
  auto const ids = random_ids(static_cast<std::size_t>(tokens * slots), 9, 3);
  auto plan = plan_of(ids, slots, 9);
  auto const p = plan.view();
  auto const x = random_floats(static_cast<std::size_t>(tokens * cols), 1), w = random_floats(ids.size(), 2);
  floats rows(static_cast<std::size_t>(p.rows() * cols)), expected(x.size());
  gather(p, matrix(x, tokens, cols), matrix(rows, p.rows(), cols));
  fold_combine(weighted_sum{}, p, matrix(rows, p.rows(), cols), matrix(w, tokens, slots), matrix(expected, tokens, cols));
  thread_pool two(2), three(3);
  auto const check = [&](auto const& ex) {
    floats y(x.size(), -1.0f);
    fold_combine(ex, weighted_sum{}, p, matrix(rows, p.rows(), cols), matrix(w, tokens, slots), matrix(y, tokens, cols));
    CHECK(support::same_bits(y, expected));
  };
  check(two.ref()), check(three.ref());
#ifdef _OPENMP
  for (int threads : {1, 2, 3, 8}) check(openmp_executor{threads});
#endif
  ints const tail(ids.begin() + 100 * slots, ids.begin() + 110 * slots);
  auto part = plan_of(tail, slots, 9);
  auto const q = part.view();
  floats few(static_cast<std::size_t>(q.rows() * cols)), y(static_cast<std::size_t>(10 * cols));
  gather(q, matrix_view<float const>(x.data() + 100 * cols, 10, cols), matrix(few, q.rows(), cols));
  fold_combine(weighted_sum{}, q, matrix(few, q.rows(), cols), matrix_view<float const>(w.data() + 100 * slots, 10, slots), matrix(y, 10, cols));
  CHECK(support::same_bits(y, floats(expected.begin() + 100 * cols, expected.begin() + 110 * cols)));
}

TEST_CASE("fold_combine: storage types are folded in float and rounded once") {
  std::int64_t const tokens = 20, slots = 3, cols = 21;
  auto const ids = random_ids(60, 5, 8);
  auto plan = plan_of(ids, slots, 5);
  auto const p = plan.view();
  auto const source = random_floats(static_cast<std::size_t>(p.rows() * cols), 1), w = random_floats(60, 2);
  auto const check = [&]<class T>(T) {
    std::vector<T> rows(source.size()), y(static_cast<std::size_t>(tokens * cols));
    floats wide(source.size()), wide_y(y.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = from_arithmetic<T>(static_cast<arithmetic_t<T>>(source[i])), wide[i] = static_cast<float>(to_arithmetic(rows[i]));
    fold_combine(weighted_sum{}, p, matrix(rows, p.rows(), cols), matrix(w, tokens, slots), matrix(y, tokens, cols));
    fold_combine(weighted_sum{}, p, matrix(wide, p.rows(), cols), matrix(w, tokens, slots), matrix(wide_y, tokens, cols));
    for (std::size_t i = 0; i < y.size(); ++i) CHECK(support::same_bits(y[i], from_arithmetic<T>(wide_y[i])));
  };
  check(bfloat16{}), check(float16{}), check(float{});
}

TEST_CASE("fold_combine: errors") {
  auto plan = plan_of(ids_example, 2, 4);
  floats z(10), y(5), w(10);
  CHECK_THROWS_AS(fold_combine(weighted_sum{}, plan.view(), matrix(z, 9, 1), matrix(w, 5, 2), matrix(y, 5, 1)), argument_error);
  CHECK_THROWS_AS(fold_combine(weighted_sum{}, plan.view(), matrix(z, 10, 1), matrix(w, 2, 5), matrix(y, 5, 1)), argument_error);
  CHECK_THROWS_AS(fold_combine(weighted_sum{}, plan.view(), matrix(z, 10, 1), matrix(w, 5, 2), matrix(y, 4, 1)), argument_error);
  CHECK_THROWS_AS(fold_combine(weighted_sum{}, plan.view(), matrix(z, 10, 1), matrix(w, 5, 2), matrix(z, 5, 1)), argument_error);
  CHECK_THROWS_AS(fold_combine(weighted_sum<by_rank_then_slot>{{.experts_a_rank = 0}}, plan.view(), matrix(z, 10, 1), matrix(w, 5, 2), matrix(y, 5, 1)),
                  argument_error);
}
