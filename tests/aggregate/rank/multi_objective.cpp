#include "fanfold/aggregate/rank/multi_objective.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fanfold/aggregate/rank/hypervolume.hpp"
#include "fanfold/aggregate/rank/pareto.hpp"
#include "fanfold/fold/fold.hpp"
#include "support/executors.hpp"
#include "support/samples.hpp"

namespace {

namespace ag = fanfold::aggregate;
using numbers = std::vector<double>;
double const infinity = std::numeric_limits<double>::infinity();

fanfold::matrix_view<double const> matrix(numbers const& v, std::int64_t cols) {
  return {v.data(), static_cast<std::int64_t>(v.size()) / cols, cols};
}

numbers const points{.2, .9, .5, .8, .9, .3, .4, .7};

/// Measure of the union of boxes by inclusion and exclusion.
double union_of_boxes(numbers const& p, std::int64_t m) {
  std::int64_t const n = static_cast<std::int64_t>(p.size()) / m;
  double sum = 0;
  for (std::int64_t set = 1; set < (std::int64_t{1} << n); ++set) {
    double box = 1;
    int members = 0;
    for (std::int64_t c = 0; c < m; ++c) {
      double least = infinity;
      for (std::int64_t i = 0; i < n; ++i)
        if ((set >> i & 1) != 0) least = std::fmin(least, p[static_cast<std::size_t>(i * m + c)]);
      box *= least;
    }
    for (std::int64_t i = 0; i < n; ++i) members += (set >> i & 1) != 0;
    sum += members % 2 == 1 ? box : -box;
  }
  return sum;
}

template <class T>
bool same_archive(std::vector<ag::solution<T, 3>> const& a, std::vector<ag::solution<T, 3>> const& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].id != b[i].id) return false;
    for (int c = 0; c < 3; ++c)
      if (a[i].value[c] != b[i].value[c]) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("multi-objective: the worked example") {
  numbers const r{.5, .8}, w{.3, .7}, utopia{1, 1}, zero{0, 0}, directions{1, 0, .5, .5, 0, 1};
  CHECK(ag::scalarise(ag::weighted_objectives{}, r, w) == doctest::Approx(.71));
  CHECK(ag::scalarise(ag::geometric_objectives{}, r, w) == doctest::Approx(.694790693).epsilon(1e-8));
  CHECK(ag::scalarise(ag::tchebycheff_distance{utopia}, r, w) == doctest::Approx(.15));
  CHECK(ag::pareto_front(matrix(points, 2)) == std::vector<std::int32_t>{0, 1, 2});
  CHECK(ag::hypervolume(matrix(points, 2), zero) == doctest::Approx(.54));
  CHECK(ag::r2_indicator(fanfold::serial, matrix(points, 2), matrix(directions, 2), utopia, ag::r2_scale::none) == doctest::Approx(.45));
  CHECK(ag::r2_indicator(fanfold::serial, matrix(points, 2), matrix(directions, 2), utopia) == doctest::Approx(.15));
  CHECK(ag::r2_indicator(fanfold::serial, matrix(points, 2), matrix(directions, 2), utopia, ag::r2_scale::frobenius) ==
        doctest::Approx(.284604989).epsilon(1e-8));
}

TEST_CASE("hypervolume against inclusion and exclusion, in 1 to 5 objectives") {
  support::lcg g(3);
  for (std::int64_t m = 1; m <= 5; ++m)
    for (int round = 0; round < 30; ++round) {
      numbers p(static_cast<std::size_t>(m * (1 + g.below(9))));
      for (double& v : p)
        v = round % 3 == 0 ? static_cast<double>(1 + g.below(3)) / 4 : 0.5 + 0.5 * g.real();  // with and without equal coordinates
      for (double& v : p) v = v <= 0 ? 0.1 : v;
      numbers const zero(static_cast<std::size_t>(m), 0.0), half(static_cast<std::size_t>(m), 0.5);
      double const expected = union_of_boxes(p, m), found = ag::hypervolume(matrix(p, m), zero);
      CHECK(found == doctest::Approx(expected).epsilon(1e-10));
      numbers more = p, with_dominated = p;
      for (std::int64_t c = 0; c < m; ++c)
        more.push_back(0.5 + 0.5 * std::fabs(static_cast<double>(g.real()))),
            with_dominated.push_back(0.9 * p[static_cast<std::size_t>(c)]);
      CHECK(ag::hypervolume(matrix(more, m), zero) >= found * (1 - 1e-12));
      CHECK(ag::hypervolume(matrix(with_dominated, m), zero) == doctest::Approx(found).epsilon(1e-12));
      numbers moved = p;
      for (double& v : moved) v -= 0.5;
      CHECK(ag::hypervolume(matrix(p, m), half) == doctest::Approx(ag::hypervolume(matrix(moved, m), zero)).epsilon(1e-9));
    }
  numbers const none, box{2, 3, 4}, zero3{0, 0, 0}, zero{0};
  CHECK(ag::hypervolume(matrix(none, 3), zero3) == 0);
  CHECK(ag::hypervolume(matrix(box, 3), zero3) == 24);
  CHECK(ag::hypervolume(matrix(box, 1), zero) == 4);
  numbers const mixed{2, -1, 3, std::numeric_limits<double>::quiet_NaN()}, zero2{0, 0};
  CHECK(ag::hypervolume(matrix(mixed, 2), zero2) == 0);
  numbers many;  // a front of 2,000 in three objectives
  for (int i = 0; i < 6000; ++i) many.push_back(0.5 + 0.5 * g.real());
  double const v = ag::hypervolume(matrix(many, 3), zero3);
  CHECK(v > 0.8);
  CHECK(v < 1);
  CHECK_THROWS_WITH_AS(ag::hypervolume(matrix(points, 2), zero3), doctest::Contains("points.cols()"), fanfold::argument_error);
}

TEST_CASE("the archive is a commutative, idempotent monoid and equals the front") {
  using archive = ag::pareto_archive<double, 3>;
  support::lcg g(8);
  std::vector<ag::solution<double, 3>> all;
  numbers flat;
  for (std::int32_t i = 0; i < 300; ++i) {
    ag::solution<double, 3> s{{}, i};
    for (int c = 0; c < 3; ++c) s.value[c] = static_cast<double>(g.below(12));
    all.push_back(s);
    for (double v : s.value) flat.push_back(v);
  }
  archive const a{};
  auto const whole = fanfold::fold(a, all);
  auto const front = ag::pareto_front(matrix(flat, 3));
  CHECK(front.size() == whole.size());
  for (auto const& s : whole) {
    bool found = false;
    for (std::int32_t i : front) found |= i == s.id;
    CHECK(found);
  }
  CHECK(same_archive(a.combine(whole, whole), whole));
  auto turned = all;
  for (std::size_t i = 0; i < all.size(); ++i) turned[i] = all[all.size() - 1 - i];
  CHECK(same_archive(fanfold::fold(a, turned, fanfold::order::reproducible), whole));
  auto const part = [&](std::size_t from, std::size_t to) {
    return fanfold::fold(a, fanfold::view<ag::solution<double, 3> const>(all.data() + from, static_cast<std::int64_t>(to - from)));
  };
  auto const x = part(0, 100), y = part(100, 170), z = part(170, 300);
  CHECK(same_archive(a.combine(a.combine(x, y), z), whole));
  CHECK(same_archive(a.combine(z, a.combine(y, x)), whole));
  CHECK(same_archive(a.combine(x, a.identity()), x));
  support::for_each_executor([&](char const*, auto const& ex) { CHECK(same_archive(fanfold::fold(ex, a, all), whole)); });
  ag::solution<double, 3> const broken{{{1, std::numeric_limits<double>::quiet_NaN(), 1}}, 0};
  CHECK(a.lift(broken).empty());
}

TEST_CASE("scalarisations, R2 and generational distance at the edges") {
  numbers const zero_objective{0, 5}, w{.5, .5}, negative{-1, 1}, utopia{1, 1}, one{1, 2, 3};
  CHECK(ag::scalarise(ag::geometric_objectives{}, zero_objective, w) == 0);
  CHECK(std::isnan(ag::scalarise(ag::geometric_objectives{}, negative, w)));
  CHECK_THROWS_WITH_AS(ag::scalarise(ag::weighted_objectives{}, one, w), doctest::Contains("weights.size()"), fanfold::argument_error);
  numbers const none, lattice = ag::simplex_lattice(2, 20);
  CHECK(lattice.size() == 42);
  CHECK(ag::simplex_lattice(3, 4).size() == 3 * 15);
  CHECK(ag::r2_indicator(fanfold::serial, matrix(none, 2), matrix(lattice, 2), utopia) == infinity);
  numbers const few(points.begin(), points.begin() + 2);
  double const all = ag::r2_indicator(fanfold::serial, matrix(points, 2), matrix(lattice, 2), utopia);
  CHECK(all <= ag::r2_indicator(fanfold::serial, matrix(few, 2), matrix(lattice, 2), utopia));
  support::for_each_executor(
      [&](char const*, auto const& ex) { CHECK(ag::r2_indicator(ex, matrix(points, 2), matrix(lattice, 2), utopia) == all); });

  numbers const faces = ag::cube_faces(2);
  CHECK(faces.size() == 2 * 19);
  CHECK(ag::inverted_generational_distance(fanfold::serial, matrix(faces, 2), matrix(faces, 2)) == 0);
  numbers const origin{0, 0}, square{3, 4, 0, 0};
  CHECK(ag::inverted_generational_distance(fanfold::serial, matrix(origin, 2), matrix(square, 2)) == 2.5);
  CHECK(ag::inverted_generational_distance(fanfold::serial, matrix(none, 2), matrix(square, 2)) == infinity);

  numbers preference(300);
  ag::sample_preferences(fanfold::random_stream{1, fanfold::streams::dirichlet_point, 0},
                         fanfold::matrix_view<double>(preference.data(), 100, 3));
  double mean = 0;
  for (std::size_t r = 0; r < 100; ++r) {
    CHECK(preference[3 * r] + preference[3 * r + 1] + preference[3 * r + 2] == doctest::Approx(1));
    CHECK(preference[3 * r] > 0);
    mean += preference[3 * r] / 100;
  }
  CHECK(mean == doctest::Approx(1.0 / 3).epsilon(0.25));

  ag::focus_cone const cone{.cosine = 0.8, .limit = 0.2};
  numbers const axis{1, 0}, edge{0.8, 0.6}, outside{0.5, 0.9}, zero{0, 0};
  CHECK(cone.weight(axis, axis) == 1);
  CHECK(cone.weight(numbers{0.81, std::sqrt(1 - 0.81 * 0.81)}, axis) > 0.2);
  CHECK(cone.weight(outside, axis) == 0);
  CHECK(cone.weight(zero, axis) == 0);
}
