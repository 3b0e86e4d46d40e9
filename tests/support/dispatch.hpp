#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/dispatch/plan.hpp"

// What tests of dispatch share: the worked example, matrices over vectors, random data, plans, networks, gradient checks.
namespace support {

using floats = std::vector<float>;
using doubles = std::vector<double>;
using ints = std::vector<std::int32_t>;

template <class T>
fanfold::matrix_view<T> matrix(std::vector<T>& v, std::int64_t rows, std::int64_t cols) {
  return {v.data(), rows, cols};
}
template <class T>
fanfold::matrix_view<T const> matrix(std::vector<T> const& v, std::int64_t rows, std::int64_t cols) {
  return {v.data(), rows, cols};
}
template <class T>
std::vector<T> contents(fanfold::view<T> v, std::int64_t n) {
  return {v.data(), v.data() + n};
}

/// Numbers of 11 bits in [-1, 1], exact in every storage type but bfloat16.
template <class T>
std::vector<T> randoms(std::int64_t n, unsigned seed) {
  std::mt19937 engine(seed);
  std::vector<T> v(static_cast<std::size_t>(n));
  for (auto& x : v) x = fanfold::from_arithmetic<T>(static_cast<fanfold::arithmetic_t<T>>(static_cast<int>(engine() % 2001) - 1000) / 1024);
  return v;
}
/// Ids from -1 (unused) to experts - 1.
inline ints random_ids(std::int64_t n, std::int64_t experts, unsigned seed) {
  std::mt19937 engine(seed);
  ints v(static_cast<std::size_t>(n));
  for (auto& id : v) id = static_cast<std::int32_t>(engine() % static_cast<unsigned>(experts + 1)) - 1;
  return v;
}

/// Five tokens of two slots, four experts.
inline ints const ids_example{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};
inline floats const weights_example{.75f, .25f, .5f, .5f, .6f, .4f, .9f, .1f, .8f, .2f};

inline fanfold::route::assignment<float const, std::int32_t const> routes_of(ints const& ids, std::int64_t slots) {
  return {{ids.data(), slots == 0 ? 0 : static_cast<std::int64_t>(ids.size()) / slots, slots}, {}};
}
template <fanfold::dispatch::plan_layout L>
fanfold::dispatch::dispatch_plan plan_of(L const& layout, ints const& ids, std::int64_t slots, std::int64_t experts) {
  auto const routes = routes_of(ids, slots);
  fanfold::dispatch::dispatch_plan plan(layout, routes.rows(), slots, experts);
  fanfold::dispatch::make_plan(layout, routes, plan.view());
  return plan;
}
inline fanfold::dispatch::dispatch_plan plan_of(ints const& ids, std::int64_t slots, std::int64_t experts) {
  return plan_of(fanfold::dispatch::packed{}, ids, slots, experts);
}

/// Gated feed-forward networks with random weights.
template <class T>
struct network {
  std::int64_t experts, inner, wide;
  std::vector<T> gate, up, down;

  network(std::int64_t e, std::int64_t h, std::int64_t i, unsigned seed)
      : experts(e), inner(h), wide(i), gate(randoms<T>(e * h * i, seed)), up(randoms<T>(e * h * i, seed + 1)), down(randoms<T>(e * i * h, seed + 2)) {}
  fanfold::dispatch::ffn_weights<T const> view() const { return part(0, experts); }
  fanfold::dispatch::ffn_weights<T const> part(std::int64_t first, std::int64_t count) const {
    std::int64_t const skip = first * inner * wide;
    return {{gate.data() + skip, count, inner, wide}, {up.data() + skip, count, inner, wide}, {down.data() + skip, count, wide, inner}};
  }
  fanfold::dispatch::ffn_weights<T> view() { return {{gate.data(), experts, inner, wide}, {up.data(), experts, inner, wide}, {down.data(), experts, wide, inner}}; }
  /// Memory for gradients, filled with something else.
  network unset() const {
    network n = *this;
    for (auto* v : {&n.gate, &n.up, &n.down}) v->assign(v->size(), fanfold::from_arithmetic<T>(fanfold::arithmetic_t<T>(9)));
    return n;
  }
};

inline double dot(doubles const& a, doubles const& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

template <class A, class B>
double largest_difference(A const& a, B const& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    double const d = std::abs(static_cast<double>(fanfold::to_arithmetic(a[i])) - static_cast<double>(fanfold::to_arithmetic(b[i])));
    if (!(d <= worst)) worst = d;
  }
  return worst;
}

/// d loss / d x[i] by central differences, for every `step`-th i.
template <class Loss>
doubles differences(doubles& x, Loss const& loss, double h = 1e-6, std::size_t step = 1) {
  doubles g;
  for (std::size_t i = 0; i < x.size(); i += step) {
    double const at = x[i];
    x[i] = at + h;
    double const above = loss();
    x[i] = at - h;
    double const below = loss();
    x[i] = at;
    g.push_back((above - below) / (2 * h));
  }
  return g;
}

/// Whether `gradient` is that of `loss` in x: relative to its largest entry, at some 40 places.
template <class Loss>
void check_gradient(char const* name, doubles& x, doubles const& gradient, Loss const& loss) {
  CAPTURE(name);
  REQUIRE(x.size() == gradient.size());
  std::size_t const step = x.size() < 40 ? 1 : x.size() / 40;
  auto const expected = differences(x, loss, 1e-5, step);
  double size = 1e-3, worst = 0;
  for (double g : gradient) size = std::fmax(size, std::abs(g));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    double const d = std::abs(expected[i] - gradient[i * step]);
    if (!(d <= worst)) worst = d;
  }
  CHECK(worst < 1e-6 * size);
}

}  // namespace support
