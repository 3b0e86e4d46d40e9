#include "fanfold/aggregate/set/mixing_matrix.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "support/bits.hpp"
#include "support/central_differences.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;
numbers const none;

fanfold::matrix_view<double> matrix(numbers& v, std::int64_t cols) { return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols}; }
fanfold::matrix_view<double const> matrix(numbers const& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

numbers random_numbers(std::size_t n, std::uint64_t seed) {
  support::lcg g(seed);
  numbers x(n);
  for (double& v : x) v = g.real();
  return x;
}

/// y by the definition, from materialised matrices.
template <class M>
numbers by_definition(M const& mixer, std::int64_t batch, numbers const& x, std::int64_t channels, numbers const& bias) {
  std::int64_t const out = mixer.outputs(), in = mixer.inputs(), width = channels / mixer.heads();
  numbers y(static_cast<std::size_t>(batch * out * channels)), m(static_cast<std::size_t>(out * in));
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t c = 0; c < channels; ++c) {
      ag::materialise(mixer, b, c / width, matrix(m, in));
      for (std::int64_t t = 0; t < out; ++t) {
        double sum = bias.empty() ? 0 : bias[static_cast<std::size_t>(t)];
        for (std::int64_t s = 0; s < in; ++s) sum += matrix(m, in)(t, s) * matrix(x, channels)(b * in + s, c);
        matrix(y, channels)(b * out + t, c) = sum;
      }
    }
  return y;
}

template <class M>
void check_mixer(M const& mixer, std::int64_t batch, std::int64_t channels) {
  numbers const x = random_numbers(static_cast<std::size_t>(batch * mixer.inputs() * channels), 7),
                bias = random_numbers(static_cast<std::size_t>(mixer.outputs()), 8);
  numbers const expected = by_definition(mixer, batch, x, channels, bias);
  numbers y(expected.size());
  ag::mix_sequences(fanfold::serial, mixer, batch, matrix(x, channels), bias, matrix(y, channels));
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(y[i] == doctest::Approx(expected[i]).epsilon(1e-12).scale(1));
}

}  // namespace

TEST_CASE("mixing matrix: the worked example") {
  numbers const m{.5, .5, 0, 0, .5, .5}, x{1, 2, 3, 4, 5, 6};
  numbers y(4);
  ag::mix_sequences(fanfold::serial, ag::dense_mixer<double>{.weight = matrix(m, 3)}, 1, matrix(x, 2), none, matrix(y, 2));
  CHECK(y == numbers{2, 3, 4, 5});
}

TEST_CASE("every structure equals its dense matrix") {
  numbers const w = random_numbers(2 * 3 * 5, 1), scores = random_numbers(3 * 2 * 4 * 4, 2), kernel = random_numbers(8, 3),
                a = random_numbers(8, 4), b = random_numbers(8, 5), c = random_numbers(8, 6);
  check_mixer(ag::dense_mixer<double>{.weight = matrix(w, 5), .head_count = 2}, 3, 6);
  check_mixer(ag::identity_mixer<double>{.length = 4}, 3, 2);
  check_mixer(ag::attention_mixer<double>{.score = matrix(scores, 4), .head_count = 2}, 3, 6);
  check_mixer(ag::attention_mixer<double>{.score = matrix(scores, 4), .head_count = 2, .causal = true}, 3, 6);
  check_mixer(ag::toeplitz_mixer<double>{.kernel = matrix(kernel, 4)}, 2, 4);
  check_mixer(ag::semiseparable_mixer<double>{.decay = matrix(a, 4), .in = matrix(b, 4), .out = matrix(c, 4)}, 2, 4);
  numbers far = b;
  for (double& v : far) v += 3;
  check_mixer(ag::cauchy_mixer<double>{.p = matrix(far, 4), .q = matrix(a, 4)}, 2, 4);
  check_mixer(ag::vandermonde_mixer<double>{.p = matrix(a, 4), .length = 3}, 2, 4);
}

TEST_CASE("attention rows sum to 1 and nothing comes from the future where causal") {
  numbers const scores = random_numbers(2 * 5 * 5, 2);
  numbers m(25);
  for (bool causal : {false, true}) {
    ag::materialise(ag::attention_mixer<double>{.score = matrix(scores, 5), .causal = causal}, 1, 0, matrix(m, 5));
    for (std::int64_t t = 0; t < 5; ++t) {
      double sum = 0;
      for (std::int64_t s = 0; s < 5; ++s) {
        sum += matrix(m, 5)(t, s);
        if (causal && s > t) CHECK(matrix(m, 5)(t, s) == 0);
      }
      CHECK(sum == doctest::Approx(1));
    }
  }
}

TEST_CASE("attention moves with its items") {
  std::size_t const n = 5;
  numbers const scores = random_numbers(n * n, 12), x = random_numbers(2 * n, 13);
  auto const turn = [&](std::size_t i) { return (3 * i + 2) % n; };
  numbers turned_scores(n * n), turned_x(2 * n), y(2 * n), turned_y(2 * n);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t c = 0; c < 2; ++c) turned_x[2 * turn(i) + c] = x[2 * i + c];
    for (std::size_t j = 0; j < n; ++j) turned_scores[turn(i) * n + turn(j)] = scores[i * n + j];
  }
  ag::mix_sequences(fanfold::serial, ag::attention_mixer<double>{.score = matrix(scores, 5)}, 1, matrix(x, 2), none, matrix(y, 2));
  ag::mix_sequences(fanfold::serial, ag::attention_mixer<double>{.score = matrix(turned_scores, 5)}, 1, matrix(turned_x, 2), none, matrix(turned_y, 2));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t c = 0; c < 2; ++c) CHECK(turned_y[2 * turn(i) + c] == doctest::Approx(y[2 * i + c]).epsilon(1e-12));
}

TEST_CASE("the semiseparable matrix is the scan of an affine recurrence") {
  std::int64_t const n = 40;
  numbers const a = random_numbers(40, 4), b = random_numbers(40, 5), c = random_numbers(40, 6), x = random_numbers(40, 7);
  numbers y(40);
  ag::mix_sequences(fanfold::serial, ag::semiseparable_mixer<double>{.decay = matrix(a, n), .in = matrix(b, n), .out = matrix(c, n)}, 1,
                    matrix(x, 1), none, matrix(y, 1));
  double u = 0;
  for (std::size_t t = 0; t < 40; ++t) {
    u = a[t] * u + b[t] * x[t];
    CHECK(y[t] == doctest::Approx(c[t] * u).epsilon(1e-12).scale(1));
  }
}

TEST_CASE("gradients agree with central differences and do not depend on threads") {
  std::int64_t const batch = 3, channels = 4;
  numbers w = random_numbers(2 * 3 * 5, 1), x = random_numbers(static_cast<std::size_t>(batch * 5 * channels), 2),
          bias = random_numbers(3, 3), g = random_numbers(static_cast<std::size_t>(batch * 3 * channels), 4);
  auto const loss = [&] {
    numbers y(g.size());
    ag::mix_sequences(fanfold::serial, ag::dense_mixer<double>{.weight = fanfold::as_const(matrix(w, 5)), .head_count = 2}, batch,
                      matrix(x, channels), bias, matrix(y, channels));
    double s = 0;
    for (std::size_t i = 0; i < y.size(); ++i) s += g[i] * y[i];
    return s;
  };
  numbers first_w, dx(x.size()), dw(w.size()), db(3);
  support::for_each_executor([&](char const*, auto const& ex) {
    ag::mix_sequences_vjp(ex, ag::dense_mixer<double>{.weight = fanfold::as_const(matrix(w, 5)), .head_count = 2}, batch,
                          matrix(x, channels), matrix(g, channels), matrix(dx, channels), matrix(dw, 5), db);
    if (first_w.empty()) first_w = dw;
    CHECK(support::same_bits(dw, first_w));
  });
  auto const check = [&](numbers& at, numbers const& gradient) { support::check_central_differences(loss, at, gradient, 1e-6, 1); };
  check(x, dx), check(w, dw), check(bias, db);
  // one matrix a batch item: its gradient is the plain product
  numbers const scores = random_numbers(static_cast<std::size_t>(batch * 4 * 4), 9);
  numbers z = random_numbers(static_cast<std::size_t>(batch * 4 * 2), 8), dz(z.size()), dm(scores.size()),
          gz = random_numbers(z.size(), 10), no_bias;
  ag::mix_sequences_vjp(fanfold::serial, ag::attention_mixer<double>{.score = matrix(scores, 4)}, batch, matrix(z, 2), matrix(gz, 2),
                        matrix(dz, 2), matrix(dm, 4), no_bias);
  for (std::int64_t b = 0; b < batch; ++b)
    for (std::int64_t t = 0; t < 4; ++t)
      for (std::int64_t s = 0; s < 4; ++s)
        CHECK(matrix(dm, 4)(b * 4 + t, s) == doctest::Approx(matrix(gz, 2)(b * 4 + t, 0) * matrix(z, 2)(b * 4 + s, 0) +
                                                             matrix(gz, 2)(b * 4 + t, 1) * matrix(z, 2)(b * 4 + s, 1))
                                                 .scale(1));
}

TEST_CASE("what does not fit is refused") {
  numbers const m(6), x(6);
  numbers y(4);
  ag::dense_mixer<double> const mixer{.weight = matrix(m, 3)};
  CHECK_THROWS_WITH_AS(ag::mix_sequences(fanfold::serial, mixer, 2, matrix(x, 2), none, matrix(y, 2)), doctest::Contains("x.rows()"),
                       fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::mix_sequences(fanfold::serial, ag::identity_mixer<double>{}, 0, matrix(none, 2), none, matrix(y, 2)),
                       doctest::Contains("inputs"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ag::mix_sequences(fanfold::serial, mixer, 1, matrix(x, 2), x, matrix(y, 2)), doctest::Contains("bias.size()"),
                       fanfold::argument_error);
}
