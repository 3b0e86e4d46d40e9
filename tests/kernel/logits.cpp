#include "fanfold/kernel/logits.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/route/logits/cosine.hpp"
#include "fanfold/route/logits/linear.hpp"
#include "fanfold/route/logits/recurrent.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace route = fanfold::route;
using fanfold::matrix_view;
using fanfold::view;

template <class T>
std::vector<T> numbers(std::int64_t n, std::uint64_t seed) {
  std::vector<T> r;
  for (float x : support::reals(static_cast<std::size_t>(n), seed)) r.push_back(fanfold::from_arithmetic<T>(static_cast<fanfold::arithmetic_t<T>>(x)));
  return r;
}
template <class T>
matrix_view<T const> rows_of(std::vector<T> const& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

/// run(executor, out) must leave the same bits in `out` on the device as on the host.
template <class T, class Run>
void check_same(std::vector<T> const& start, Run const& run) {
  std::vector<T> want = start;
  run(fanfold::serial, want);
  support::for_each_geometry([&](auto const& ex) {
    std::vector<T> got = start;
    run(ex, got);
    CHECK(support::same_bits(got, want));
  });
}

template <class X, class W, class Y>
void check_linear(std::int64_t rows, std::int64_t d, std::int64_t n) {
  auto const x = numbers<X>(rows * d, 1);
  auto const w = numbers<W>(n * d, 2), bias = numbers<W>(n, 3);
  for (bool biased : {false, true})
    check_same(std::vector<Y>(static_cast<std::size_t>(rows * n)), [&](auto const& ex, std::vector<Y>& out) {
      route::linear_logits<W> const source{rows_of(w, d), biased ? view<W const>(bias) : view<W const>()};
      route::logits(ex, source, rows_of(x, d), matrix_view<Y>(out.data(), rows, n));
    });
}

}  // namespace

TEST_CASE("logits on a device: linear, of every size") {
  check_linear<float, float, float>(9, 37, 7);
  check_linear<float, float, float>(1, 1, 1);
  check_linear<float, float, float>(5, 64, 33);
  check_linear<double, double, double>(6, 20, 5);
  check_linear<fanfold::bfloat16, fanfold::bfloat16, float>(7, 50, 4);
  check_linear<float, float, fanfold::float16>(4, 16, 6);
  check_linear<float, float, float>(0, 8, 3);
}

TEST_CASE("logits on a device: gradients of linear and residual sources") {
  std::int64_t const rows = 13, d = 21, n = 6;
  auto const x = numbers<float>(rows * d, 1), w = numbers<float>(n * d, 2), gate = numbers<float>(n * n, 3), before = numbers<float>(rows * n, 4);
  auto dlogits = numbers<float>(rows * n, 5);
  dlogits[2] = 0;
  route::residual_logits<float> const source{rows_of(w, d), rows_of(gate, n)};
  check_same(numbers<float>(rows * n, 6), [&](auto const& ex, std::vector<float>& out) {
    route::logits(ex, source, rows_of(x, d), rows_of(before, n), matrix_view<float>(out.data(), rows, n));
  });
  check_same(numbers<float>(rows * d + n * d + n + n * n + rows * n, 7), [&](auto const& ex, std::vector<float>& out) {
    float* const dx = out.data();
    float *const dw = dx + rows * d, *const db = dw + n * d, *const dgate = db + n, *const dbefore = dgate + n * n;
    route::logits_vjp(ex, source, rows_of(x, d), rows_of(before, n), rows_of(dlogits, n),
                      route::linear_gradient<float>{{dx, rows, d}, {dw, n, d}, {db, n}}, matrix_view<float>(dgate, n, n), matrix_view<float>(dbefore, rows, n));
  });
}

TEST_CASE("logits on a device: cosines, prototypes, jitter") {
  std::int64_t const rows = 11, p = 19, n = 5;
  auto x = numbers<float>(rows * p, 1);
  for (std::int64_t i = 0; i < p; ++i) x[static_cast<std::size_t>(3 * p + i)] = 0;
  auto const experts = numbers<float>(n * p, 2);
  check_same(std::vector<float>(static_cast<std::size_t>(rows * n)), [&](auto const& ex, std::vector<float>& out) {
    route::logits(ex, route::cosine_logits<float>{rows_of(experts, p)}, rows_of(x, p), matrix_view<float>(out.data(), rows, n));
  });
  check_same(std::vector<float>(static_cast<std::size_t>(rows * n)), [&](auto const& ex, std::vector<float>& out) {
    route::logits(ex, route::prototype_logits<float>{rows_of(experts, p)}, rows_of(x, p), matrix_view<float>(out.data(), rows, n));
  });
  check_same(std::vector<float>(x.size()), [&](auto const& ex, std::vector<float>& out) {
    route::jitter(ex, route::row_noise::of(4, 2, 1), .1f, rows_of(x, p), matrix_view<float>(out.data(), rows, p));
  });
}

TEST_CASE("logits on a device: recurrent states, layer after layer in place") {
  std::int64_t const rows = 10, p = 9;
  auto const x = numbers<float>(rows * p, 1), input = numbers<float>(3 * p * p, 2), hidden = numbers<float>(3 * p * p, 3), bias = numbers<float>(3 * p, 4);
  for (bool biased : {false, true}) {
    view<float const> const b = biased ? view<float const>(bias) : view<float const>();
    route::recurrent_state<float> const state{rows_of(input, p), rows_of(hidden, p), b, b};
    check_same(std::vector<float>(static_cast<std::size_t>(rows * p)), [&](auto const& ex, std::vector<float>& h) {
      matrix_view<float> const at(h.data(), rows, p);
      for (int layer = 0; layer < 3; ++layer) route::advance(ex, state, rows_of(x, p), fanfold::as_const(at), at);
    });
  }
}
