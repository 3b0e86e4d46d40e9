#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan.hpp"
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
using support::weights_example;

}  // namespace

TEST_CASE("gather: capacity layout, the worked example of encode and decode") {
  auto plan = plan_of(capacity{3}, ids_example, 2, 4);
  floats const x{1, 2, 3, 4, 5};
  floats rows(12, 99.0f), y(5);
  gather(plan.view(), matrix(x, 5, 1), matrix(rows, 12, 1));
  CHECK(rows == floats{1, 3, 5, 2, 0, 0, 1, 2, 3, 4, 0, 0});
  fold_combine(weighted_sum{}, plan.view(), matrix(rows, 12, 1), matrix(weights_example, 5, 2), matrix(y, 5, 1));
  floats const expected{1, 2, 3, 3.6f, 1};
  for (std::size_t t = 0; t < 5; ++t) CHECK(y[t] == doctest::Approx(expected[t]).epsilon(1e-6));
}

TEST_CASE("gather: padding, masked layout, weights before the experts, conversion") {
  floats const x{1, 2, 3, 4, 5};
  auto aligned = plan_of(packed{4}, ids_example, 2, 4);
  floats rows(static_cast<std::size_t>(aligned.view().rows()), 99.0f);
  gather(aligned.view(), matrix(x, 5, 1), matrix(rows, 20, 1));
  CHECK(rows == floats{1, 3, 5, 0, 2, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0, 4, 0, 0, 0});
  auto untouched = plan_of(masked{3}, ids_example, 2, 4);
  floats some(12, 99.0f);
  gather(untouched.view(), matrix(x, 5, 1), matrix(some, 12, 1));
  CHECK(some == floats{1, 3, 5, 2, 99, 99, 1, 2, 3, 4, 99, 99});
  auto dense = plan_of(packed{}, ids_example, 2, 4);
  floats weighted(10);
  gather(serial, scaled{matrix(weights_example, 5, 2)}, dense.view(), matrix(x, 5, 1), matrix(weighted, 10, 1));
  for (std::size_t r = 0; r < 10; ++r) {
    auto const a = static_cast<std::size_t>(dense.view().src_of[r]);
    CHECK(weighted[r] == weights_example[a] * x[a / 2]);
  }
  std::vector<bfloat16> narrow(10);
  gather(dense.view(), matrix(x, 5, 1), matrix(narrow, 10, 1));
  for (std::size_t r = 0; r < 10; ++r) CHECK(static_cast<float>(narrow[r]) == x[static_cast<std::size_t>(dense.view().src_of[r] / 2)]);
}

TEST_CASE("gather then combine with equal weights is the identity, bit for bit, where 1, 2 or 4 slots are kept") {
  std::mt19937 engine(2);
  std::int64_t const tokens = 64, slots = 4, cols = 65;
  ints ids(256);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 9) - 1;
  floats x(static_cast<std::size_t>(tokens * cols)), y(x.size()), w(256);
  for (auto& v : x) v = static_cast<float>(engine() % 10007) / 77.0f;
  auto plan = plan_of(packed{16}, ids, slots, 8);
  auto const p = plan.view();
  floats rows(static_cast<std::size_t>(p.rows() * cols));
  std::vector<int> kept(64);
  for (std::size_t a = 0; a < 256; ++a) kept[a / 4] += ids[a] >= 0;
  for (std::size_t a = 0; a < 256; ++a) w[a] = kept[a / 4] == 0 ? 0.0f : 1.0f / static_cast<float>(kept[a / 4]);
  gather(p, matrix(x, tokens, cols), matrix(rows, p.rows(), cols));
  fold_combine(weighted_sum{}, p, matrix(rows, p.rows(), cols), matrix(w, tokens, slots), matrix(y, tokens, cols));
  int exact = 0;
  for (std::size_t t = 0; t < 64; ++t) {
    if (kept[t] != 1 && kept[t] != 2 && kept[t] != 4) continue;
    ++exact;
    for (std::size_t c = 0; c < 65; ++c) CHECK(y[t * 65 + c] == x[t * 65 + c]);
  }
  CHECK(exact > 20);
}

TEST_CASE("gather: empty inputs, executors, errors") {
  auto none = plan_of(packed{}, ints{-1, -1, -1}, 1, 4);
  floats x(3), rows;
  gather(none.view(), matrix(x, 3, 1), matrix(rows, 0, 1));
  auto dense = plan_of(packed{}, ids_example, 2, 4);
  floats empty;
  gather(dense.view(), matrix(empty, 5, 0), matrix(empty, 10, 0));

  std::mt19937 engine(4);
  std::int64_t const tokens = 2000, cols = 50;
  ints ids(4000);
  for (auto& id : ids) id = static_cast<std::int32_t>(engine() % 6);
  floats source(static_cast<std::size_t>(tokens * cols));
  for (auto& v : source) v = static_cast<float>(engine());
  auto plan = plan_of(packed{16}, ids, 2, 6);
  auto const p = plan.view();
  floats expected(static_cast<std::size_t>(p.rows() * cols));
  gather(p, matrix(source, tokens, cols), matrix(expected, p.rows(), cols));
  thread_pool two(2), three(3);
  auto const check = [&](auto const& ex) {
    floats got(expected.size(), -1.0f);
    gather(ex, p, matrix(source, tokens, cols), matrix(got, p.rows(), cols));
    CHECK(support::same_bits(got, expected));
  };
  check(two.ref()), check(three.ref());
#ifdef _OPENMP
  for (int threads : {1, 2, 3, 8}) check(openmp_executor{threads});
#endif
  floats five(5), ten(10);
  CHECK_THROWS_AS(gather(dense.view(), matrix(five, 4, 1), matrix(ten, 10, 1)), argument_error);
  CHECK_THROWS_AS(gather(dense.view(), matrix(five, 5, 1), matrix(ten, 9, 1)), argument_error);
  CHECK_THROWS_AS(gather(dense.view(), matrix(five, 5, 1), matrix(ten, 5, 2)), argument_error);
  CHECK_THROWS_AS(gather(dense.view(), matrix(ten, 5, 1), matrix(ten, 10, 1)), argument_error);
}
