#include "fanfold/ensemble/metrics/quality.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/ensemble/metrics/calibration.hpp"
#include "fanfold/ensemble/metrics/uncertainty.hpp"
#include "fanfold/ensemble/output.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;
namespace ensemble = fanfold::ensemble;
using matrix = ff::matrix_view<double const>;

std::vector<double> const logits{2, 0, 0, 0, 1, 0, /**/ 0, 1, 0, 0, 0, 3, /**/ 1, 1, 0, 1, 0, 0};
std::vector<int> const labels{0, 2};

std::vector<double> probabilities(std::vector<double> const& z, std::int64_t rows) {
  std::vector<double> p(z.size());
  std::vector<matrix> const one{{z.data(), rows, 3}};
  ensemble::output(ensemble::mean_probability{}, one, std::vector<double>{}, ff::matrix_view<double>(p.data(), rows, 3));
  return p;
}
template <class Rule>
std::vector<double> combined(Rule const& rule) {
  std::vector<double> p(6);
  ensemble::output(rule, ensemble::stacked_members(matrix(logits.data(), 6, 3), 3), std::vector<double>{}, ff::matrix_view<double>(p.data(), 2, 3));
  return p;
}
template <class M>
auto score(M const& metric, std::vector<double> const& p) {
  return ensemble::evaluate(metric, matrix(p.data(), 2, 3), labels);
}

}  // namespace

TEST_CASE("ensemble metrics: likelihood, Brier score and accuracy of three members") {
  ensemble::negative_log_likelihood<double> const nll;
  ensemble::brier_score<double> const brier;
  auto const p = probabilities(logits, 6);
  double const expected[3] = {.8954947, .8231838, 1.2067198};
  double mean_nll = 0, mean_brier = 0, variance = 0;
  auto const pool = combined(ensemble::mean_probability{});
  for (std::size_t m = 0; m < 3; ++m) {
    std::vector<double> const member(p.begin() + static_cast<std::ptrdiff_t>(6 * m), p.begin() + static_cast<std::ptrdiff_t>(6 * m + 6));
    CHECK(score(nll, member) == doctest::Approx(expected[m]).epsilon(1e-6));
    mean_nll += score(nll, member) / 3;
    mean_brier += score(brier, member) / 3;
    for (std::size_t i = 0; i < 6; ++i) variance += (member[i] - pool[i]) * (member[i] - pool[i]) / 6;
  }
  CHECK(score(nll, pool) == doctest::Approx(.7790068).epsilon(1e-6));
  CHECK(score(nll, combined(ensemble::mean_logit{})) == doctest::Approx(.7204806).epsilon(1e-6));
  CHECK(mean_nll - score(nll, pool) == doctest::Approx(.1961259).epsilon(1e-6));
  CHECK(score(brier, pool) == doctest::Approx(.4502534).epsilon(1e-6));
  CHECK(score(brier, pool) == doctest::Approx(mean_brier - variance).epsilon(1e-12));
  CHECK(score(ensemble::accuracy<double>{}, pool) == 1);
  CHECK(score(ensemble::accuracy<double>{}, std::vector<double>{.5, .5, 0, .5, 0, .5}) == .5);  // the lower class first
  CHECK(score(ensemble::accuracy<double>{{}, 2}, std::vector<double>{.5, .5, 0, .5, 0, .5}) == 1);
  CHECK(std::isinf(score(nll, std::vector<double>{1, 0, 0, 1, 0, 0})));
  CHECK(score(ensemble::negative_log_likelihood<double>{{}, 1e-3}, std::vector<double>{1, 0, 0, 1, 0, 0}) == doctest::Approx(-std::log(1e-3) / 2));
}

TEST_CASE("ensemble metrics: uncertainty of three members") {
  auto const p = probabilities(logits, 6);
  auto const list = ensemble::stacked_members(matrix(p.data(), 6, 3), 3);
  CHECK(ensemble::uncertainty(list, 0).mutual_information == doctest::Approx(.1272027).epsilon(1e-6));
  CHECK(ensemble::uncertainty(list, 1).mutual_information == doctest::Approx(.2996279).epsilon(1e-6));
  auto const u = ensemble::uncertainty(ensemble::stacked_members(matrix(p.data(), 2, 3), 1), 0);
  CHECK(u.total == doctest::Approx(u.aleatoric));
  CHECK_THROWS_AS(ensemble::uncertainty(list, 2), ff::argument_error);
}

TEST_CASE("ensemble metrics: calibration") {
  double const conf[8] = {.95, .9, .8, .6, .55, .99, .3, .7};
  int const right[8] = {1, 1, 0, 1, 0, 1, 0, 1};
  std::vector<double> p;
  std::vector<int> y;
  for (int i = 0; i < 8; ++i) {
    for (int c = 0; c < 5; ++c) p.push_back(c == 0 ? conf[i] : (1 - conf[i]) / 4);
    y.push_back(right[i] == 1 ? 0 : 1);
  }
  auto const e = ensemble::evaluate(ensemble::calibration<double, 5>{}, matrix(p.data(), 8, 5), y);
  CHECK(e.expected == doctest::Approx(.13875));
  CHECK(e.maximum == doctest::Approx(.3));
  auto const adaptive = ensemble::adaptive_calibration(matrix(p.data(), 8, 5), y, 4);
  // sorted: .3x .55x | .6v .7v | .8x .9v | .95v .99v
  CHECK(adaptive.expected == doctest::Approx((.85 + .7 + .7 + .06) / 8));
  CHECK(adaptive.maximum == doctest::Approx(.425));
  CHECK(ensemble::adaptive_calibration(matrix(p.data(), 8, 5), y, 1).expected == doctest::Approx(std::fabs(5 - 5.79) / 8));
  // two classes, one bin: both classes have the same gap
  std::vector<double> const two{.8, .2, .6, .4};
  CHECK(ensemble::classwise_calibration_error<1>(matrix(two.data(), 2, 2), std::vector<int>{0, 0}) == doctest::Approx(.3));
  std::vector<double> const edge{0.2, 0.2, 0.2, 0.2, 0.2};  // (b/B, (b+1)/B]: the upper end belongs to the bin
  CHECK(ensemble::evaluate(ensemble::calibration<double, 5>{}, matrix(edge.data(), 1, 5), std::vector<int>{0}).expected == doctest::Approx(.8));
}

TEST_CASE("ensemble metrics: no samples, errors, equal bits and merging") {
  std::vector<double> const none;
  std::vector<int> const no_labels;
  CHECK(std::isnan(ensemble::evaluate(ensemble::brier_score<double>{}, matrix(none.data(), 0, 3), no_labels)));
  CHECK(std::isnan(ensemble::evaluate(ensemble::calibration<double>{}, matrix(none.data(), 0, 3), no_labels).expected));
  CHECK(std::isnan(ensemble::adaptive_calibration(matrix(none.data(), 0, 3), no_labels).expected));
  std::vector<double> const p{.2, .8};
  CHECK_THROWS_WITH_AS(ensemble::evaluate(ensemble::brier_score<double>{}, matrix(p.data(), 1, 2), std::vector<int>{2}), doctest::Contains("a label"), ff::argument_error);
  CHECK_THROWS_AS(ensemble::evaluate(ensemble::brier_score<double>{}, matrix(p.data(), 1, 2), std::vector<int>{-1}), ff::argument_error);
  CHECK_THROWS_WITH_AS(ensemble::evaluate(ensemble::brier_score<double>{}, matrix(p.data(), 1, 2), std::vector<int>{0, 1}), doctest::Contains("number of labels"),
                       ff::argument_error);
  CHECK_THROWS_AS(ensemble::adaptive_calibration(matrix(p.data(), 1, 2), std::vector<int>{0}, 0), ff::argument_error);

  std::vector<double> many;
  std::vector<int> y;
  for (int n = 0; n < 5000; ++n) {
    double const a = (n * 37 % 101) / 101.0;
    many.push_back(a);
    many.push_back(1 - a);
    y.push_back(n % 3 == 0);
  }
  ensemble::negative_log_likelihood<double> const nll{{}, 1e-9};
  ensemble::calibration<double> const cal;
  double const first = ensemble::evaluate(nll, matrix(many.data(), 5000, 2), y);
  auto const first_cal = ensemble::evaluate(cal, matrix(many.data(), 5000, 2), y);
  support::for_each_executor([&](char const* name, auto const& ex) {
    CHECK_MESSAGE(support::same_bits(ensemble::evaluate(ex, nll, matrix(many.data(), 5000, 2), y), first), name);
    CHECK_MESSAGE(support::same_bits(ensemble::evaluate(ex, cal, matrix(many.data(), 5000, 2), y).expected, first_cal.expected), name);
  });
  auto halves = cal.identity();
  auto sum = nll.identity();
  for (std::size_t n = 0; n < 5000; ++n) {
    ensemble::labelled_sample<double> const s{many.data() + 2 * n, 2, y[n]};
    halves = cal.combine(halves, cal.lift(s));
    sum = nll.combine(sum, nll.lift(s));
  }
  CHECK(cal.lower(halves).expected == doctest::Approx(first_cal.expected).epsilon(1e-12));
  CHECK(nll.lower(sum) == doctest::Approx(first).epsilon(1e-12));
}
