#include "fanfold/ensemble/parscale.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/core/half.hpp"
#include "support/bits.hpp"
#include "support/central_differences.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace en = fanfold::ensemble;
using numbers = std::vector<double>;

template <class T>
fanfold::matrix_view<T> matrix(std::vector<T>& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}
fanfold::matrix_view<double> const nowhere{};

numbers random_numbers(std::int64_t n, std::uint64_t seed) {
  support::lcg g(seed);
  numbers x(static_cast<std::size_t>(n));
  for (double& v : x) v = g.real();
  return x;
}
numbers random_parameters(std::int64_t d, std::int64_t streams, std::uint64_t seed) { return random_numbers(en::parscale<double>::parameters_of(d, streams), seed); }

/// A layer whose logits are `logits`, whatever the streams hold: all weights 0.
numbers fixed_logits(std::int64_t d, numbers const& logits) {
  auto const streams = static_cast<std::int64_t>(logits.size());
  numbers p(static_cast<std::size_t>(en::parscale<double>::parameters_of(d, streams)), 0.0);
  for (std::size_t i = 0; i < logits.size(); ++i) p[p.size() - logits.size() + i] = logits[i];
  return p;
}

/// The definition, one token at a time.
numbers reference_weights(numbers const& h, numbers const& p, std::int64_t d, std::int64_t streams, std::int64_t tokens, std::int64_t t, double smoothing) {
  auto const at = [](numbers const& v, std::int64_t i) { return v[static_cast<std::size_t>(i)]; };
  std::int64_t const inputs = streams * d;
  numbers hidden, w;
  for (std::int64_t r = 0; r < d; ++r) {
    double x = at(p, d * inputs + r);
    for (std::int64_t f = 0; f < d; ++f)
      for (std::int64_t s = 0; s < streams; ++s) x += at(p, r * inputs + f * streams + s) * at(h, (s * tokens + t) * d + f);
    hidden.push_back(x / (1 + std::exp(-x)));
  }
  std::int64_t const second = d * (inputs + 1);
  double sum = 0;
  for (std::int64_t s = 0; s < streams; ++s) {
    double z = at(p, second + streams * d + s);
    for (std::int64_t c = 0; c < d; ++c) z += at(p, second + s * d + c) * at(hidden, c);
    w.push_back(std::exp(z));
    sum += w.back();
  }
  for (double& x : w) x = (1 - smoothing) * x / sum + smoothing / static_cast<double>(streams);
  return w;
}

}  // namespace

TEST_CASE("parscale: the worked example, its gradient included") {
  numbers const p = fixed_logits(2, {1.2, -.3});
  numbers h{1, 2, 3, -1}, y(2), w(2), dy{1, 1}, dh(4), dp(p.size());
  en::parscale<double> const layer{.size = 2, .streams = 2, .parameter = p};
  en::parscale_aggregate(fanfold::serial, layer, matrix(h, 2), matrix(y, 2), matrix(w, 2));
  CHECK(w[0] == doctest::Approx(0.814398731).epsilon(1e-8));
  CHECK(w[1] == doctest::Approx(0.185601269).epsilon(1e-8));
  CHECK(y[0] == doctest::Approx(1.371202537).epsilon(1e-9));
  CHECK(y[1] == doctest::Approx(1.443196194).epsilon(1e-9));
  en::parscale_aggregate_vjp(fanfold::serial, layer, matrix(h, 2), matrix(dy, 2), matrix(dh, 2), dp);
  CHECK(dp[dp.size() - 2] == doctest::Approx(0.147654988).epsilon(1e-8));  // of b_2: dL/dlogit
  CHECK(dp[dp.size() - 1] == doctest::Approx(-0.147654988).epsilon(1e-8));
  for (std::size_t i = 0; i < 4; ++i) CHECK(dh[i] == doctest::Approx(w[i / 2]));
  en::parscale<double> const sharp{.size = 2, .streams = 2, .smoothing = 0, .parameter = p};
  en::parscale_aggregate(fanfold::serial, sharp, matrix(h, 2), matrix(y, 2), matrix(w, 2));
  CHECK(w[0] == doctest::Approx(0.817574476).epsilon(1e-8));
  CHECK(w[1] == doctest::Approx(0.182425524).epsilon(1e-8));
}

TEST_CASE("parscale: the definition, streams interleaved feature by feature; weights on the simplex above their floor") {
  std::int64_t const d = 5, tokens = 7;
  for (std::int64_t streams : {2, 3, 8, 40}) {
    CAPTURE(streams);
    numbers const p = random_parameters(d, streams, 3);
    numbers h = random_numbers(streams * tokens * d, 4), y(static_cast<std::size_t>(tokens * d)), w(static_cast<std::size_t>(tokens * streams));
    en::parscale<double> const layer{.size = d, .streams = streams, .smoothing = 0.1, .parameter = p};
    en::parscale_aggregate(fanfold::serial, layer, matrix(h, d), matrix(y, d), matrix(w, streams));
    for (std::int64_t t = 0; t < tokens; ++t) {
      numbers const expected = reference_weights(h, p, d, streams, tokens, t, 0.1);
      double sum = 0;
      for (std::int64_t s = 0; s < streams; ++s) {
        double const x = matrix(w, streams)(t, s);
        CHECK(x == doctest::Approx(expected[static_cast<std::size_t>(s)]).epsilon(1e-12));
        CHECK(x >= 0.1 / static_cast<double>(streams));
        sum += x;
      }
      CHECK(sum == doctest::Approx(1).epsilon(1e-14));
      for (std::int64_t c = 0; c < d; ++c) {
        double total = 0;
        for (std::int64_t s = 0; s < streams; ++s) total += expected[static_cast<std::size_t>(s)] * matrix(h, d)(s * tokens + t, c);
        CHECK(matrix(y, d)(t, c) == doctest::Approx(total).epsilon(1e-11).scale(1));
      }
    }
    numbers alone(y.size());
    en::parscale_aggregate(fanfold::serial, layer, matrix(h, d), matrix(alone, d), nowhere);
    CHECK(support::same_bits(alone, y));
  }
}

TEST_CASE("parscale: equal logits are the mean, equal streams that stream, smoothing near 1 the mean") {
  numbers h = random_numbers(3 * 4 * 2, 5), y(8), w(12);
  auto const mean = [&](std::int64_t t, std::int64_t c) { return (matrix(h, 2)(t, c) + matrix(h, 2)(4 + t, c) + matrix(h, 2)(8 + t, c)) / 3; };
  numbers const even = fixed_logits(2, {.7, .7, .7}), any = random_parameters(2, 3, 6);
  auto const close_to_mean = [&](en::parscale<double> const& layer, double tolerance) {
    en::parscale_aggregate(fanfold::serial, layer, matrix(h, 2), matrix(y, 2), matrix(w, 3));
    for (std::int64_t t = 0; t < 4; ++t)
      for (std::int64_t c = 0; c < 2; ++c) CHECK(std::fabs(matrix(y, 2)(t, c) - mean(t, c)) < tolerance);
  };
  close_to_mean({.size = 2, .streams = 3, .parameter = even}, 1e-15);
  close_to_mean({.size = 2, .streams = 3, .smoothing = 1 - 1e-9, .parameter = any}, 1e-8);
  for (std::size_t i = 8; i < 24; ++i) h[i] = h[i - 8];
  en::parscale_aggregate(fanfold::serial, en::parscale<double>{.size = 2, .streams = 3, .parameter = any}, matrix(h, 2), matrix(y, 2), matrix(w, 3));
  for (std::size_t i = 0; i < 8; ++i) CHECK(y[i] == doctest::Approx(h[i]).epsilon(1e-14));
}

TEST_CASE("parscale: streams permuted together with the columns and rows that belong to them permute the weights") {
  std::int64_t const d = 3, streams = 3, tokens = 2, inputs = 9;
  numbers p = random_parameters(d, streams, 7), turned_p = p;
  numbers h = random_numbers(streams * tokens * d, 8), turned = h, y(6), w(6), turned_y(6), turned_w(6);
  auto const from = [](std::int64_t s) { return (s + 1) % 3; };
  auto const at = [](numbers& v, std::int64_t i) -> double& { return v[static_cast<std::size_t>(i)]; };
  for (std::int64_t s = 0; s < streams; ++s) {
    for (std::int64_t i = 0; i < tokens * d; ++i) at(turned, s * tokens * d + i) = at(h, from(s) * tokens * d + i);
    for (std::int64_t r = 0; r < d; ++r)
      for (std::int64_t f = 0; f < d; ++f) at(turned_p, r * inputs + f * streams + s) = at(p, r * inputs + f * streams + from(s));
    for (std::int64_t c = 0; c < d; ++c) at(turned_p, d * (inputs + 1) + s * d + c) = at(p, d * (inputs + 1) + from(s) * d + c);
    at(turned_p, d * (inputs + 1) + streams * d + s) = at(p, d * (inputs + 1) + streams * d + from(s));
  }
  en::parscale_aggregate(fanfold::serial, en::parscale<double>{.size = d, .streams = streams, .parameter = p}, matrix(h, d), matrix(y, d), matrix(w, streams));
  en::parscale_aggregate(fanfold::serial, en::parscale<double>{.size = d, .streams = streams, .parameter = turned_p}, matrix(turned, d), matrix(turned_y, d),
                         matrix(turned_w, streams));
  CHECK(std::fabs(w[0] - w[1]) > 1e-3);
  for (std::int64_t t = 0; t < tokens; ++t)
    for (std::int64_t s = 0; s < streams; ++s) CHECK(matrix(turned_w, streams)(t, s) == doctest::Approx(matrix(w, streams)(t, from(s))).epsilon(1e-13));
  for (std::size_t i = 0; i < 6; ++i) CHECK(turned_y[i] == doctest::Approx(y[i]).epsilon(1e-13));
}

TEST_CASE("parscale: gradients agree with central differences") {
  std::int64_t const d = 3, streams = 4, tokens = 3;
  numbers p = random_parameters(d, streams, 9), h = random_numbers(streams * tokens * d, 10), g = random_numbers(tokens * d, 11);
  auto const layer = [&] { return en::parscale<double>{.size = d, .streams = streams, .smoothing = 0.2, .parameter = p}; };
  auto const loss = [&] {
    numbers y(g.size());
    en::parscale_aggregate(fanfold::serial, layer(), matrix(h, d), matrix(y, d), nowhere);
    double s = 0;
    for (std::size_t i = 0; i < y.size(); ++i) s += g[i] * y[i];
    return s;
  };
  numbers dh(h.size()), dp(p.size());
  en::parscale_aggregate_vjp(fanfold::serial, layer(), matrix(h, d), matrix(g, d), matrix(dh, d), dp);
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(loss, at, gradient, 1e-7, 0.1); };
  check(h, dh), check(p, dp);
  numbers in_place = h, again(p.size());
  en::parscale_aggregate_vjp(fanfold::serial, layer(), matrix(in_place, d), matrix(g, d), matrix(in_place, d), again);
  CHECK(support::same_bits(in_place, dh));
}

TEST_CASE("parscale: equal bits on every executor, for tokens alone, and in half") {
  std::int64_t const d = 24, streams = 5, tokens = 150;
  auto const floats = [](numbers const& x) { return std::vector<float>(x.begin(), x.end()); };
  std::vector<float> const p = floats(random_parameters(d, streams, 12)), g = floats(random_numbers(tokens * d, 13));
  std::vector<float> h = floats(random_numbers(streams * tokens * d, 14)), gradient = g, first_y, first_w, first_dh, first_dp;
  en::parscale<float> const layer{.size = d, .streams = streams, .parameter = p};
  support::for_each_executor([&](char const* name, auto const& ex) {
    CAPTURE(name);
    std::vector<float> y(g.size()), w(static_cast<std::size_t>(tokens * streams)), dh(h.size()), dp(p.size());
    en::parscale_aggregate(ex, layer, matrix(h, d), matrix(y, d), matrix(w, streams));
    en::parscale_aggregate_vjp(ex, layer, matrix(h, d), matrix(gradient, d), matrix(dh, d), dp);
    if (first_y.empty()) first_y = y, first_w = w, first_dh = dh, first_dp = dp;
    CHECK(support::same_bits(y, first_y));
    CHECK(support::same_bits(w, first_w));
    CHECK(support::same_bits(dh, first_dh));
    CHECK(support::same_bits(dp, first_dp));
  });
  std::int64_t const token = 97;
  std::vector<float> one, y(static_cast<std::size_t>(d));
  for (std::int64_t s = 0; s < streams; ++s)
    for (std::int64_t c = 0; c < d; ++c) one.push_back(matrix(h, d)(s * tokens + token, c));
  en::parscale_aggregate(fanfold::serial, layer, matrix(one, d), matrix(y, d), fanfold::matrix_view<float>());
  for (std::int64_t c = 0; c < d; ++c) CHECK(support::same_bits(y[static_cast<std::size_t>(c)], matrix(first_y, d)(token, c)));

  std::vector<fanfold::bfloat16> narrow, narrow_y(g.size()), narrow_dh(h.size());
  for (float& x : h) narrow.push_back(fanfold::bfloat16(x)), x = static_cast<float>(narrow.back());
  std::vector<float> wide_y(g.size()), wide_dh(h.size()), dp(p.size());
  en::parscale_aggregate(fanfold::serial, layer, matrix(narrow, d), matrix(narrow_y, d), fanfold::matrix_view<float>());
  en::parscale_aggregate(fanfold::serial, layer, matrix(h, d), matrix(wide_y, d), fanfold::matrix_view<float>());
  for (std::size_t i = 0; i < g.size(); ++i) CHECK(narrow_y[i].bits == fanfold::bfloat16(wide_y[i]).bits);
  en::parscale_aggregate_vjp(fanfold::serial, layer, matrix(narrow, d), matrix(gradient, d), matrix(narrow_dh, d), dp);
  en::parscale_aggregate_vjp(fanfold::serial, layer, matrix(h, d), matrix(gradient, d), matrix(wide_dh, d), dp);
  for (std::size_t i = 0; i < h.size(); ++i) CHECK(narrow_dh[i].bits == fanfold::bfloat16(wide_dh[i]).bits);
}

TEST_CASE("parscale: one stream, no tokens, NaN") {
  numbers const none;
  numbers h{1, -2, 3, 4}, y(4), w(2), dh(4), empty;
  en::parscale<double> const single{.size = 2, .streams = 1, .parameter = none};
  en::parscale_aggregate(fanfold::serial, single, matrix(h, 2), matrix(y, 2), matrix(w, 1));
  CHECK(y == h);
  CHECK(w == numbers{1, 1});
  en::parscale_aggregate_vjp(fanfold::serial, single, matrix(h, 2), matrix(y, 2), matrix(dh, 2), empty);
  CHECK(dh == y);

  numbers const p = random_parameters(2, 2, 15);
  numbers dp(p.size(), 9.0);
  en::parscale<double> const layer{.size = 2, .streams = 2, .parameter = p};
  fanfold::matrix_view<double> const no_rows(y.data(), 0, 2);
  en::parscale_aggregate(fanfold::serial, layer, no_rows, no_rows, nowhere);
  en::parscale_aggregate_vjp(fanfold::serial, layer, no_rows, no_rows, no_rows, dp);
  CHECK(dp == numbers(p.size(), 0.0));

  double const infinity = std::numeric_limits<double>::infinity();
  for (double other : {0.5, infinity}) {
    numbers const broken = fixed_logits(2, {std::nan(""), other, 1.0});
    numbers streams{1, 2, 3, 4, 5, 6}, all(3);
    en::parscale_aggregate(fanfold::serial, en::parscale<double>{.size = 2, .streams = 3, .parameter = broken}, matrix(streams, 2),
                           fanfold::matrix_view<double>(y.data(), 1, 2), matrix(all, 3));
    for (double x : all) CHECK(std::isnan(x));
    CHECK(std::isnan(y[0]));
  }
}

TEST_CASE("parscale: the scaling law") {
  en::parscale_law const law{.irreducible = 1.2, .scale = 0.1, .exponent = 0.2, .gain = 0.4};
  CHECK(en::parscale_loss(1.6e9, 1, law) == doctest::Approx(1.2 + std::pow(0.1 / 1.6, 0.2)).epsilon(1e-14));
  CHECK(en::parscale_loss(1.6e9, 8, law) == doctest::Approx(1.2 + std::pow(0.1 / (1.6 * (1 + 0.4 * std::log(8.0))), 0.2)).epsilon(1e-14));
  CHECK(en::parscale_loss(1.6e9, 8, law) < en::parscale_loss(1.6e9, 4, law));
  CHECK_THROWS_WITH_AS(en::parscale_loss(0, 1, law), doctest::Contains("parameters"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(en::parscale_loss(1e9, 0, law), doctest::Contains("streams"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(en::parscale_loss(1e9, 1, {.scale = 0}), doctest::Contains("scale"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(en::parscale_loss(1e9, 1, {.gain = -1}), doctest::Contains("gain"), fanfold::argument_error);
}

TEST_CASE("parscale: arguments are checked before anything is written") {
  numbers const p = random_parameters(2, 2, 16);
  numbers h{1, 2, 3, 4}, y{7, 7}, w{7, 7}, dh(4), dp(p.size());
  auto const fails = [&](en::parscale<double> const& layer, auto const& streams, auto const& to, auto const& weights, char const* text) {
    CHECK_THROWS_WITH_AS(en::parscale_aggregate(fanfold::serial, layer, streams, to, weights), doctest::Contains(text), fanfold::argument_error);
  };
  en::parscale<double> const layer{.size = 2, .streams = 2, .parameter = p};
  auto const in = matrix(h, 2), out = matrix(y, 2), weights = matrix(w, 2);
  fails({.size = 0, .streams = 2, .parameter = p}, in, out, weights, "size");
  fails({.size = 2, .streams = 0, .parameter = p}, in, out, weights, "streams");
  fails({.size = 2, .streams = 2, .smoothing = 1, .parameter = p}, in, out, weights, "smoothing");
  fails({.size = 2, .streams = 2, .smoothing = -0.1, .parameter = p}, in, out, weights, "smoothing");
  fails({.size = 2, .streams = 2, .smoothing = std::nan(""), .parameter = p}, in, out, weights, "smoothing");
  fails({.size = 2, .streams = 2}, in, out, weights, "parameter.size()");
  fails({.size = 2, .streams = 1, .parameter = p}, in, out, weights, "parameter.size()");
  fails(layer, matrix(h, 4), out, weights, "columns of the streams");
  fails(layer, in.sub_rows(0, 1), out, weights, "rows of the streams");
  fails(layer, in, in, weights, "rows of the result");
  fails(layer, in, matrix(y, 1).sub_rows(0, 1), weights, "columns of the result");
  fails(layer, in, out, matrix(w, 1), "shape of the weights");
  fails(layer, in, in.sub_rows(0, 1), weights, "streams and y");
  auto const vjp_fails = [&](auto const& to, numbers& parameters, char const* text) {
    CHECK_THROWS_WITH_AS(en::parscale_aggregate_vjp(fanfold::serial, layer, in, out, to, parameters), doctest::Contains(text), fanfold::argument_error);
  };
  numbers few(3);
  vjp_fails(matrix(dh, 2).sub_rows(0, 1), dp, "shape of dstreams");
  vjp_fails(matrix(dh, 2), few, "dparameter.size()");
  CHECK(y == numbers{7, 7});
  CHECK(w == numbers{7, 7});
}
