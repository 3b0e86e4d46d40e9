#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bits.hpp"
#include "support/dispatch.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

namespace {

using support::ints;
using support::matrix;
using support::plan_of;
using support::randoms;

ints skewed_ids(std::int64_t n, std::int64_t experts, unsigned seed) {
  std::mt19937 engine(seed);
  ints v(static_cast<std::size_t>(n));
  // skewed: expert 0 takes half; the last one stays empty
  for (auto& id : v) id = engine() % 2 == 0 ? 0 : static_cast<std::int32_t>(engine() % static_cast<unsigned>(experts)) - 1;
  return v;
}

template <class T>
double value(T const& x) {
  return static_cast<double>(to_arithmetic(x));
}

/// The definition in double, and the hard error bound of each element.
template <class T>
void check_products(plan_view const& p, std::vector<T> const& tokens, std::vector<T> const& weights, std::int64_t inner, std::int64_t outer,
                    std::vector<T> const& bias, std::vector<T> const& rows) {
  using A = arithmetic_t<T>;
  double const eps = std::is_same_v<A, float> ? std::ldexp(1.0, -24) : std::ldexp(1.0, -53);
  double const store = is_half_v<T> ? std::ldexp(1.0, std::is_same_v<T, bfloat16> ? -8 : -11) : eps;
  bool right = true;
  for (std::int64_t e = 0; e < p.experts(); ++e)
    for (std::int64_t r = p.offsets[e]; r < p.offsets[e] + p.kept[e]; ++r)
      for (std::int64_t c = 0; c < outer; ++c) {
        double sum = bias.empty() ? 0 : value(bias[static_cast<std::size_t>(e * outer + c)]), size = std::abs(sum);
        for (std::int64_t k = 0; k < inner; ++k) {
          double const term = value(tokens[static_cast<std::size_t>(p.src_of[r] / p.slots * inner + k)]) *
                              value(weights[static_cast<std::size_t>((e * inner + k) * outer + c)]);
          sum += term, size += std::abs(term);
        }
        double const got = value(rows[static_cast<std::size_t>(r * outer + c)]);
        right &= std::abs(got - sum) <= static_cast<double>(inner + 1) * eps * size + store * std::abs(sum) * 1.01;
      }
  CHECK(right);
}

template <class T>
void check_shapes() {
  using A = arithmetic_t<T>;
  for (auto [tokens, inner, outer] : {std::array<std::int64_t, 3>{37, 5, 3}, {61, 64, 48}, {90, 100, 97}, {5, 1030, 50}, {130, 17, 1}, {3, 1, 200}}) {
    std::int64_t const experts = 4, slots = 2;
    auto const ids = skewed_ids(tokens * slots, experts, 3);
    auto plan = plan_of(packed{4}, ids, slots, experts);
    auto const p = plan.view();
    auto const x = randoms<T>(tokens * inner, 1), w = randoms<T>(experts * inner * outer, 2), bias = randoms<T>(experts * outer, 4);
    weight_bank<T const> const bank(w.data(), experts, inner, outer);
    packed_bank const packed_weights(bank);
    std::vector<T> rows(static_cast<std::size_t>(p.rows() * outer), from_arithmetic<T>(A(77)));
    auto const poison = rows;
    grouped_gemm(serial, p, gathered{matrix(x, tokens, inner)}, packed_weights, row_sink{matrix(rows, p.rows(), outer), matrix(bias, experts, outer)});
    check_products(p, x, w, inner, outer, bias, rows);
    for (std::int64_t r = 0; r < p.rows(); ++r)  // padding is left alone
      if (p.src_of[r] < 0) CHECK(support::same_bits(rows[static_cast<std::size_t>(r * outer)], poison[0]));

    // the same bits from a permuted copy, unpacked weights, transposed storage, threads
    std::vector<T> permuted(static_cast<std::size_t>(p.rows() * inner)), again = poison, turned(w.size());
    gather(p, matrix(x, tokens, inner), matrix(permuted, p.rows(), inner));
    grouped_gemm(serial, p, plan_rows{matrix(permuted, p.rows(), inner)}, bank, row_sink{matrix(again, p.rows(), outer), matrix(bias, experts, outer)});
    CHECK(support::same_bits(again, rows));
    for (std::int64_t e = 0; e < experts; ++e)
      for (std::int64_t k = 0; k < inner; ++k)
        for (std::int64_t c = 0; c < outer; ++c)
          turned[static_cast<std::size_t>((e * outer + c) * inner + k)] = w[static_cast<std::size_t>((e * inner + k) * outer + c)];
    again = poison;
    thread_pool three(3);
    packed_bank const turned_bank(weight_bank<T const>(turned.data(), experts, outer, inner).transposed(), three.ref());
    grouped_gemm(three.ref(), p, gathered{matrix(x, tokens, inner)}, turned_bank, row_sink{matrix(again, p.rows(), outer), matrix(bias, experts, outer)});
    CHECK(support::same_bits(again, rows));
#ifdef _OPENMP
    for (int threads : {1, 2, 3, 8}) {
      again = poison;
      grouped_gemm(openmp_executor{threads}, p, gathered{matrix(x, tokens, inner)}, packed_weights,
                   row_sink{matrix(again, p.rows(), outer), matrix(bias, experts, outer)});
      CHECK(support::same_bits(again, rows));
    }
#endif
  }
}

}  // namespace

TEST_CASE("grouped_gemm: float against its definition, equal bits in every form") { check_shapes<float>(); }
TEST_CASE("grouped_gemm: double against its definition, equal bits in every form") { check_shapes<double>(); }
TEST_CASE("grouped_gemm: bfloat16 against its definition, equal bits in every form") { check_shapes<bfloat16>(); }
TEST_CASE("grouped_gemm: float16 against its definition, equal bits in every form") { check_shapes<float16>(); }

TEST_CASE_TEMPLATE("grouped_gemm: a row's bits do not depend on its batch", T, float, bfloat16) {
  std::int64_t const inner = 600, outer = 60, most = 130;
  auto const x = randoms<T>(most * inner, 1), w = randoms<T>(inner * outer, 2);
  packed_bank const bank(weight_bank<T const>(w.data(), 1, inner, outer));
  std::vector<float> whole(static_cast<std::size_t>(most * outer));
  auto const run = [&](std::int64_t first, std::int64_t count, std::vector<float>& rows) {
    auto plan = plan_of(packed{}, ints(static_cast<std::size_t>(count), 0), 1, 1);
    grouped_gemm(serial, plan.view(), gathered{matrix_view<T const>(x.data() + first * inner, count, inner)}, bank, row_sink{matrix(rows, count, outer)});
  };
  run(0, most, whole);
  for (std::int64_t count = 1; count <= 37; ++count) {
    std::vector<float> rows(static_cast<std::size_t>(count * outer));
    std::int64_t const first = 2 * count + 11;
    run(first, count, rows);
    CHECK(support::same_bits(rows, std::vector<float>(whole.begin() + first * outer, whole.begin() + (first + count) * outer)));
  }
}

TEST_CASE("grouped_gemm: folding sink equals rows folded by expert, bit for bit") {
  std::int64_t const tokens = 75, slots = 3, experts = 6, inner = 70, outer = 130;
  auto const ids = skewed_ids(tokens * slots, experts, 9);
  auto plan = plan_of(packed{8}, ids, slots, experts);
  auto const p = plan.view();
  auto const x = randoms<float>(tokens * inner, 1), w = randoms<float>(experts * inner * outer, 2), weight = randoms<float>(tokens * slots, 3),
             init = randoms<float>(tokens * outer, 4);
  packed_bank const bank(weight_bank<float const>(w.data(), experts, inner, outer));
  std::vector<float> rows(static_cast<std::size_t>(p.rows() * outer)), expected(init.size()), y(init.size(), 5.0f);
  grouped_gemm(serial, p, gathered{matrix(x, tokens, inner)}, bank, row_sink{matrix(rows, p.rows(), outer)});
  fold_combine(weighted_sum<by_expert>{}, p, matrix(rows, p.rows(), outer), matrix(weight, tokens, slots), matrix(expected, tokens, outer));
  thread_pool two(2);
  using sink = folding_sink<float>;
  grouped_gemm(two.ref(), p, gathered{matrix(x, tokens, inner)}, bank, sink{matrix(y, tokens, outer), matrix(weight, tokens, slots)});
  CHECK(support::same_bits(y, expected));
  fold_combine(weighted_sum<by_expert>{}, p, matrix(rows, p.rows(), outer), matrix(weight, tokens, slots), matrix(init, tokens, outer), matrix(expected, tokens, outer));
  grouped_gemm(serial, p, gathered{matrix(x, tokens, inner)}, bank, sink{matrix(y, tokens, outer), matrix(weight, tokens, slots), matrix(init, tokens, outer)});
  CHECK(support::same_bits(y, expected));
  // rows rounded to a narrower type on the way
  std::vector<bfloat16> narrow(rows.size());
  grouped_gemm(serial, p, gathered{matrix(x, tokens, inner)}, bank, row_sink{matrix(narrow, p.rows(), outer)});
  fold_combine(weighted_sum<by_expert>{}, p, matrix(narrow, p.rows(), outer), matrix(weight, tokens, slots), matrix(expected, tokens, outer));
  grouped_gemm(serial, p, gathered{matrix(x, tokens, inner)}, bank, folding_sink<float, bfloat16>{matrix(y, tokens, outer), matrix(weight, tokens, slots)});
  CHECK(support::same_bits(y, expected));
}

TEST_CASE("grouped_gemm: weights before the experts equal a scaled gather") {
  std::int64_t const tokens = 20, slots = 2, experts = 3, inner = 33, outer = 17;
  auto const ids = skewed_ids(tokens * slots, experts, 9);
  auto plan = plan_of(packed{}, ids, slots, experts);
  auto const p = plan.view();
  auto const x = randoms<float>(tokens * inner, 1), w = randoms<float>(experts * inner * outer, 2), weight = randoms<float>(tokens * slots, 3);
  weight_bank<float const> const bank(w.data(), experts, inner, outer);
  std::vector<float> scaled_rows(static_cast<std::size_t>(p.rows() * inner)), a(static_cast<std::size_t>(p.rows() * outer)), b(a.size());
  gather(serial, scaled{matrix(weight, tokens, slots)}, p, matrix(x, tokens, inner), matrix(scaled_rows, p.rows(), inner));
  grouped_gemm(serial, p, plan_rows{matrix(scaled_rows, p.rows(), inner)}, bank, row_sink{matrix(a, p.rows(), outer)});
  grouped_gemm(serial, p, gathered{matrix(x, tokens, inner), matrix(weight, tokens, slots)}, bank, row_sink{matrix(b, p.rows(), outer)});
  CHECK(support::same_bits(a, b));
}

TEST_CASE("grouped_gemm: empty sizes") {
  auto plan = plan_of(packed{}, ints{0, 1, -1}, 1, 2);
  auto const p = plan.view();
  std::vector<float> none, y(4, 3.0f), bias{1, 2, 3, 4};
  weight_bank<float const> const no_terms(none.data(), 2, 0, 2);
  grouped_gemm(serial, p, gathered{matrix_view<float const>(nullptr, 3, 0)}, no_terms, row_sink{matrix(y, 2, 2), matrix(bias, 2, 2)});
  CHECK(y == bias);  // rows of experts 0 and 1
  grouped_gemm(serial, p, gathered{matrix_view<float const>(nullptr, 3, 0)}, packed_bank(no_terms), row_sink{matrix(y, 2, 2)});
  CHECK(y == std::vector<float>(4, 0.0f));
  auto empty = plan_of(packed{}, ints{-1, -1}, 1, 2);
  std::vector<float> const x{1, 2}, w{1, 2};
  std::vector<float> z(2, 9.0f);
  weight_bank<float const> const bank(w.data(), 2, 1, 1);
  grouped_gemm(serial, empty.view(), gathered{matrix(x, 2, 1)}, bank, row_sink{matrix(none, 0, 1)});
  grouped_gemm(serial, empty.view(), gathered{matrix(x, 2, 1)}, bank, folding_sink<float>{matrix(z, 2, 1)});
  CHECK(support::same_bits(z, std::vector<float>(2, 0.0f)));
}

TEST_CASE("grouped_gemm: errors") {
  auto plan = plan_of(packed{}, ints{0, 1, 1}, 1, 2);
  std::vector<float> x(9), w(24), y(12);
  weight_bank<float const> const bank(w.data(), 2, 3, 4);
  auto const p = plan.view();
  CHECK_THROWS_AS(grouped_gemm(serial, p, gathered{matrix(x, 3, 2)}, bank, row_sink{matrix(y, 3, 4)}), argument_error);
  CHECK_THROWS_AS(grouped_gemm(serial, p, gathered{matrix(x, 2, 3)}, bank, row_sink{matrix(y, 3, 4)}), argument_error);
  CHECK_THROWS_AS(grouped_gemm(serial, p, gathered{matrix(x, 3, 3)}, bank, row_sink{matrix(y, 3, 3)}), argument_error);
  CHECK_THROWS_AS(grouped_gemm(serial, p, gathered{matrix(x, 3, 3)}, bank, row_sink{matrix(y, 2, 4)}), argument_error);
  CHECK_THROWS_AS(grouped_gemm(serial, p, gathered{matrix(x, 3, 3)}, weight_bank<float const>(w.data(), 1, 3, 4), row_sink{matrix(y, 3, 4)}), argument_error);
}
