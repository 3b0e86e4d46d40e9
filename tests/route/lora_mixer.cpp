#include "fanfold/route/lora_mixer.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "fanfold/route/routers.hpp"
#include "route/central.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

using vec = std::vector<double>;
matrix_view<double const> mat(vec const& x, std::int64_t cols) { return {x.data(), static_cast<std::int64_t>(x.size()) / cols, cols}; }
matrix_view<double> mat(vec& x, std::int64_t cols) { return {x.data(), static_cast<std::int64_t>(x.size()) / cols, cols}; }
vec waves(std::size_t n, double step) {
  vec x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = std::sin(static_cast<double>(i) * step + step);
  return x;
}

TEST_CASE("lora_mixer_projection: worked example") {
  vec const base{1, 0, 0, 1}, down{1, 0, 0, 1}, up{1, 0, 0, 2}, x{1, 2};
  std::vector<std::int32_t> id{0, 1};
  vec weight{.7, .3}, y(2);
  route::lora_mixer_projection<double> const p{mat(base, 2), mat(down, 2), mat(up, 1)};
  route::assignment<double> const a{{id.data(), 1, 2}, {weight.data(), 1, 2}};
  route::project(fanfold::serial, p, mat(x, 2), a, mat(y, 2));
  check_near(y, vec{1.7, 3.2}, 1e-14);
  id[1] = 2;
  CHECK_THROWS_AS(route::project(fanfold::serial, p, mat(x, 2), a, mat(y, 2)), fanfold::argument_error);
  CHECK_THROWS_AS(route::project(fanfold::serial, route::lora_mixer_projection<double>{.down = mat(down, 2), .up = mat(up, 1), .rank = 0}, mat(x, 2), a, mat(y, 2)),
                  fanfold::argument_error);
}

TEST_CASE("lora_mixer_projection: central differences of everything, the same bits on every executor") {
  // 70 rows of 5, 3 experts of rank 2, 4 outputs, 2 slots of which some are empty
  vec const x = waves(350, .37), dout = waves(280, .71);
  vec const base = waves(20, .9), down = waves(30, 1.3), up = waves(24, .53);
  vec weight = waves(140, 1.1);
  std::vector<std::int32_t> id(140);
  for (std::size_t i = 0; i < id.size(); ++i) {
    id[i] = static_cast<std::int32_t>(i * 5 % 4) - 1;
    if (id[i] < 0) weight[i] = 0;
  }
  auto const value = [&](vec const& X, vec const& w, vec const& b, vec const& d, vec const& u) {
    vec y(280), own = w;
    auto ids = id;
    route::project(fanfold::serial, route::lora_mixer_projection<double>{mat(b, 5), mat(d, 5), mat(u, 2), 2, .5}, mat(X, 5),
                   route::assignment<double>{{ids.data(), 70, 2}, {own.data(), 70, 2}}, mat(y, 4));
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dout[i];
    return sum;
  };
  struct gradients {
    vec x = vec(350), weight = vec(140), base = vec(20), down = vec(30), up = vec(24);
  };
  auto const run = [&](auto const& ex) {
    gradients g;
    route::project_vjp(ex, route::lora_mixer_projection<double>{mat(base, 5), mat(down, 5), mat(up, 2), 2, .5}, mat(x, 5),
                       route::assignment<double>{{id.data(), 70, 2}, {weight.data(), 70, 2}}, mat(dout, 4),
                       {mat(g.x, 5), mat(g.weight, 2), mat(g.base, 5), mat(g.down, 5), mat(g.up, 2)});
    return g;
  };
  gradients const g = run(fanfold::serial);
  check_central([&](vec const& v) { return value(v, weight, base, down, up); }, x, g.x);
  check_central([&](vec const& v) { return value(x, weight, v, down, up); }, base, g.base);
  check_central([&](vec const& v) { return value(x, weight, base, v, up); }, down, g.down);
  check_central([&](vec const& v) { return value(x, weight, base, down, v); }, up, g.up);
  for (std::size_t i = 0; i < weight.size(); ++i) {
    double const want = id[i] < 0 ? 0 : central([&](vec const& v) { return value(x, v, base, down, up); }, weight, i);
    CHECK(g.weight[i] == doctest::Approx(want).epsilon(1e-6).scale(1e-2));
  }
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    gradients const h = run(ex);
    CHECK(support::same_bits(g.x, h.x));
    CHECK(support::same_bits(g.weight, h.weight));
    CHECK(support::same_bits(g.down, h.down));
    CHECK(support::same_bits(g.up, h.up));
  });
}

TEST_CASE("lora_mixer_hard: the soft router's choice where a row is one-hot; labels out of range take none") {
  std::vector<std::int32_t> const label{2, 0, 7, -3};
  routed<float> const hard(route::lora_mixer_hard(label), {0, 0, 90, 90, 0, 0, 1, 2, 3, 1, 2, 3}, 3);
  CHECK(hard.id == std::vector<std::int32_t>{2, 0, -1, -1});
  CHECK(hard.weight == std::vector<float>{1, 1, 0, 0});
  routed<float> const soft(route::lora_mixer_training(), {0, 0, 90, 90, 0, 0}, 3);
  CHECK(soft.id[0] == 2);
  CHECK(soft.weight[0] == 1);
  CHECK(soft.id[3] == 0);
}

TEST_CASE("preservation_loss: value and gradient") {
  vec const at{1, 2, -1}, start{1, 1, 1};
  vec g(3, 10);
  CHECK(route::preservation_loss<double>(.5, at, start, fanfold::view<double>(g)) == doctest::Approx(2.5));
  CHECK(g == vec{10, 11, 8});
}

}  // namespace
