#include "fanfold/ensemble/output.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fanfold/core/random.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;
namespace ensemble = fanfold::ensemble;

double const inf = std::numeric_limits<double>::infinity();
// Three members, two samples, three classes.
std::vector<double> const three{2, 0, 0, 0, 1, 0, /**/ 0, 1, 0, 0, 0, 3, /**/ 1, 1, 0, 1, 0, 0};

template <class T>
std::vector<T> noise(std::size_t n, std::uint64_t seed, float scale = 3) {
  ff::random_stream const s{seed};
  std::vector<T> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = T(scale * (s.u01(i) * 2 - 1));
  return x;
}

template <class T>
ff::matrix_view<T const> rows(std::vector<T> const& x, std::int64_t n) {
  return {x.data(), n, static_cast<std::int64_t>(x.size()) / n};
}

template <class Rule, class T>
std::vector<T> combine(Rule const& rule, std::vector<T> const& stack, std::int64_t members, std::int64_t samples, std::vector<double> const& w = {}) {
  std::int64_t const classes = static_cast<std::int64_t>(stack.size()) / members / samples;
  std::vector<T> out(static_cast<std::size_t>(samples * classes));
  ensemble::output(rule, ensemble::stacked_members(rows(stack, members * samples), members), w, ff::matrix_view<T>(out.data(), samples, classes));
  return out;
}

void close(std::vector<double> const& a, std::vector<double> const& b, double epsilon = 1e-6) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(epsilon));
}

// sum_m w_m softmax(z_m) in double.
std::vector<double> pool(std::vector<double> const& z, std::size_t members, std::size_t classes, std::vector<double> const& w) {
  std::size_t const samples = z.size() / members / classes;
  std::vector<double> out(samples * classes);
  for (std::size_t m = 0; m < members; ++m)
    for (std::size_t n = 0; n < samples; ++n) {
      double sum = 0;
      for (std::size_t c = 0; c < classes; ++c) sum += std::exp(z[(m * samples + n) * classes + c]);
      for (std::size_t c = 0; c < classes; ++c) out[n * classes + c] += w[m] * std::exp(z[(m * samples + n) * classes + c]) / sum;
    }
  return out;
}

}  // namespace

TEST_CASE("ensemble output: three members") {
  close(combine(ensemble::mean_probability{}, three, 3, 2), {.4737488, .3683142, .157937, .277779, .277779, .444442});
  close(combine(ensemble::mean_logit{}, three, 3, 2), {.4797519, .3437573, .1764909, .2533099, .2533099, .4933803});
  CHECK(combine(ensemble::majority_vote{}, three, 3, 2) == std::vector<double>{1, 0, 0, 1, 0, 0});
  close(combine(ensemble::majority_vote{.shares = true}, three, 3, 2), {2.0 / 3, 1.0 / 3, 0, 1.0 / 3, 1.0 / 3, 1.0 / 3});
  CHECK(combine(ensemble::majority_vote{}, three, 3, 2, {1, 5, 1}) == std::vector<double>{0, 1, 0, 0, 0, 1});
  std::vector<double> sum(6);
  for (std::size_t i = 0; i < 18; ++i) sum[i % 6] += three[i];
  close(combine(ensemble::product_of_experts{}, three, 3, 2), combine(ensemble::mean_probability{}, sum, 1, 2));
  std::vector<float> const single(three.begin(), three.end());
  auto const f = combine(ensemble::mean_probability{}, single, 3, 2);
  CHECK(f[0] == doctest::Approx(.4737488).epsilon(1e-6));
}

TEST_CASE("ensemble output: maximum and median of probabilities") {
  std::vector<double> z;
  for (double p : {.5, .3, .2, .1, .6, .3, .3, .3, .4, .25, .25, .5}) z.push_back(std::log(p));  // four members, one sample
  close(combine(ensemble::max_probability{}, z, 4, 1), {.5 / 1.6, .6 / 1.6, .5 / 1.6});
  double const a = (.25 + .3) / 2, b = .3, c = (.3 + .4) / 2;
  close(combine(ensemble::median_probability{}, z, 4, 1), {a / (a + b + c), b / (a + b + c), c / (a + b + c)});
  z.resize(9);
  close(combine(ensemble::median_probability{}, z, 3, 1), {.3 / .9, .3 / .9, .3 / .9});
  std::vector<double> const certain{0, -inf, -inf, -inf, 0, -inf, -inf, -inf, 0};
  close(combine(ensemble::median_probability{}, certain, 3, 1), {1.0 / 3, 1.0 / 3, 1.0 / 3});
}

TEST_CASE("ensemble output: weights, many members, identical members") {
  for (std::size_t members : {1u, 2u, 31u, 33u, 100u}) {
    auto const z = noise<double>(members * 7 * 5, members);
    std::vector<double> w, normal;
    double sum = 0;
    for (std::size_t m = 0; m < members; ++m) w.push_back(m % 3 == 1 ? 0 : 1.0 + static_cast<double>(m)), sum += w.back();
    for (double x : w) normal.push_back(x / sum);
    close(combine(ensemble::mean_probability{}, z, static_cast<std::int64_t>(members), 7, w), pool(z, members, 5, normal), 1e-12);
    std::vector<double> mean(35);
    for (std::size_t i = 0; i < z.size(); ++i) mean[i % 35] += normal[i / 35] * z[i];
    close(combine(ensemble::mean_logit{}, z, static_cast<std::int64_t>(members), 7, w), pool(mean, 1, 5, {1}), 1e-12);
  }
  auto const z = noise<double>(35, 1);
  std::vector<double> twice(z);
  twice.insert(twice.end(), z.begin(), z.end());
  auto const alone = pool(z, 1, 5, {1});
  close(combine(ensemble::mean_probability{}, twice, 2, 7), alone, 1e-12);
  close(combine(ensemble::mean_logit{}, twice, 2, 7), alone, 1e-12);
  close(combine(ensemble::max_probability{}, twice, 2, 7), alone, 1e-12);
  close(combine(ensemble::median_probability{}, twice, 2, 7), alone, 1e-12);
}

TEST_CASE("ensemble output: infinities, one class, nothing") {
  close(combine(ensemble::mean_probability{}, std::vector<double>{-inf, 0, 0, inf, 5, -inf}, 2, 1), {.5, .25, .25});
  close(combine(ensemble::mean_logit{}, std::vector<double>{-inf, 0, 0, 3, 0, 0}, 2, 1), {0, .5, .5});
  CHECK(combine(ensemble::mean_probability{}, std::vector<double>{7, -9}, 2, 1) == std::vector<double>{1});
  // a member of weight 0 is not read
  close(combine(ensemble::mean_logit{}, std::vector<double>{std::nan(""), 0, 1, 1}, 2, 1, {0, 1}), {.5, .5});
  std::vector<float> none;
  std::vector<ff::matrix_view<float const>> const members{{none.data(), 0, 4}};
  ensemble::output(ensemble::mean_probability{}, members, std::vector<float>{}, ff::matrix_view<float>(none.data(), 0, 4));
}

TEST_CASE_TEMPLATE("ensemble output: equal bits on every executor", T, float, double, ff::bfloat16) {
  std::int64_t const members = 35, samples = 50, classes = 70;
  auto const z = noise<T>(static_cast<std::size_t>(members * samples * classes), 4);
  auto const list = ensemble::stacked_members(rows(z, members * samples), members);
  std::vector<float> w;
  for (int m = 0; m < 35; ++m) w.push_back(static_cast<float>(m % 4));
  auto const check = [&](auto const& rule) {
    std::vector<T> first;
    support::for_each_executor([&](char const* name, auto const& ex) {
      std::vector<T> out(static_cast<std::size_t>(samples * classes));
      ensemble::output(ex, rule, list, w, ff::matrix_view<T>(out.data(), samples, classes));
      if (first.empty()) first = out;
      CHECK_MESSAGE(support::same_bits(out, first), name);
    });
    for (std::size_t n = 0; n < static_cast<std::size_t>(samples); ++n) {
      double sum = 0;
      for (std::size_t c = 0; c < static_cast<std::size_t>(classes); ++c) sum += static_cast<double>(ff::to_arithmetic(first[n * static_cast<std::size_t>(classes) + c]));
      CHECK(sum == doctest::Approx(1).epsilon(ff::is_half_v<T> ? 0.02 : 1e-5));
    }
  };
  check(ensemble::mean_probability{});
  check(ensemble::mean_logit{});
  check(ensemble::majority_vote{.shares = true});
  check(ensemble::median_probability{});
}

TEST_CASE("ensemble output: votes follow the order of the logits only, and member order does not matter") {
  auto z = noise<double>(4 * 6 * 3, 8);
  auto const before = combine(ensemble::majority_vote{}, z, 4, 6);
  auto const pooled = combine(ensemble::mean_probability{}, z, 4, 6);
  std::vector<double> turned;
  for (std::size_t m = 0; m < 4; ++m) turned.insert(turned.end(), z.begin() + static_cast<std::ptrdiff_t>((3 - m) * 18), z.begin() + static_cast<std::ptrdiff_t>((4 - m) * 18));
  close(combine(ensemble::mean_probability{}, turned, 4, 6), pooled, 1e-12);
  for (double& x : z) x = std::exp(x) + 5;
  CHECK(combine(ensemble::majority_vote{}, z, 4, 6) == before);
}

TEST_CASE("ensemble output: errors") {
  using ff::argument_error;
  std::vector<double> const bad_row{std::nan(""), 0};
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, bad_row, 1, 1), doctest::Contains("free of NaN"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, std::vector<double>{0, 0, inf, inf}, 1, 2), doctest::Contains("sample is 1"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, std::vector<double>{-inf, -inf}, 1, 1), doctest::Contains("above -inf"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_logit{}, std::vector<double>{inf, 0, -inf, 0}, 2, 1), doctest::Contains("two members"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_logit{}, std::vector<double>{-inf, 0, 0, -inf}, 2, 1), doctest::Contains("above -inf"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::product_of_experts{}, std::vector<double>{inf, 0, 0, inf}, 2, 1), doctest::Contains("two logits"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, three, 3, 2, {1, -1, 1}), doctest::Contains("a weight"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, three, 3, 2, {0, 0, 0}), doctest::Contains("sum of the weights"), argument_error);
  CHECK_THROWS_WITH_AS(combine(ensemble::mean_probability{}, three, 3, 2, {1, 1}), doctest::Contains("number of weights"), argument_error);
  std::vector<double> out(6);
  std::vector<ff::matrix_view<double const>> const none;
  std::vector<double> const w;
  CHECK_THROWS_WITH_AS(ensemble::output(ensemble::mean_probability{}, none, w, ff::matrix_view<double>(out.data(), 2, 3)), doctest::Contains("number of members"),
                       argument_error);
  CHECK_THROWS_AS(ensemble::output(ensemble::mean_probability{}, ensemble::stacked_members(rows(three, 6), 3), w, ff::matrix_view<double>(out.data(), 3, 2)),
                  argument_error);
  CHECK_THROWS_AS(ensemble::stacked_members(rows(three, 6), 4), argument_error);
}
