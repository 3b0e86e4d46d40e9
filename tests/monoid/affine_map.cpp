#include "fanfold/monoid/affine_map.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/monoid/semiring_matrix.hpp"
#include "fanfold/testing/laws.hpp"

namespace {

using namespace fanfold;
using namespace fanfold::testing;

nasty_values<double> const values{false, false};

template <class M, class Make>
void passes(Make const& make, double eps = 1e-12) {
  law_options o;
  o.lengths = {0, 1, 2, 33, 65};
  law_report const r = check_monoid_laws(M{}, items_from{values, make}, relative{eps, 1.0}, o);
  CHECK_MESSAGE(r.ok(), r.text());
}

double draw(word_stream& words) { return 2.0 * words.uniform() - 1.0; }

}  // namespace

TEST_CASE("affine maps obey their laws") {
  passes<affine_map<double>>([](double, std::int64_t, word_stream& w) { return affine<double>{draw(w), draw(w)}; });
  passes<affine_map<complex_number<double>>>([](double, std::int64_t, word_stream& w) {
    return affine<complex_number<double>>{{0.7 * draw(w), 0.7 * draw(w)}, {draw(w), draw(w)}};
  });
  passes<log_affine_map<double>>([](double, std::int64_t, word_stream& w) { return affine<double>{-w.uniform(), draw(w)}; });
}
TEST_CASE("diagonal and dense affine maps obey their laws") {
  passes<diagonal_affine_map<double, 2>>([](double, std::int64_t, word_stream& w) {
    return affine<small_array<double, 2>>{{{draw(w), draw(w)}}, {{draw(w), draw(w)}}};
  });
  passes<dense_affine_map<double, 2>>([](double, std::int64_t, word_stream& w) {
    return dense_affine<double, 2>{{draw(w) / 2, draw(w) / 2, draw(w) / 2, draw(w) / 2}, {draw(w), draw(w)}};
  });
}
TEST_CASE("semiring matrices obey their laws") {
  auto const make = [](double, std::int64_t, word_stream& w) {
    small_array<double, 4> a{};
    for (double& v : a) v = static_cast<double>(w.below(20)) - 10;
    return a;
  };
  passes<semiring_matrix<max_plus<double>, 2>>(make);
  passes<semiring_matrix<min_plus<double>, 2>>(make);
  passes<semiring_matrix<log_plus<double>, 2>>(make);
}

TEST_CASE("affine scan: worked example and gradients") {
  affine_map<double> const m;
  auto s = m.identity();
  std::vector<double> h;
  for (int t = 0; t < 3; ++t) {
    s = m.combine(s, m.lift({0.5, 1.0}));
    h.push_back(s.offset);
  }
  CHECK(h == std::vector<double>{1.0, 1.5, 1.75});
  std::vector<double> const a(3, 0.5), g{0, 0, 1};
  std::vector<double> da(3), db(3);
  double const dh0 = affine_scan_vjp<double>(view<double const>(a), view<double const>(h), 0.0, view<double const>(g), view<double>(da), view<double>(db));
  CHECK(db == std::vector<double>{0.25, 0.5, 1.0});
  CHECK(da == std::vector<double>{0.0, 0.5, 1.5});
  CHECK(dh0 == 0.125);
  CHECK(affine_scan_vjp<double>({}, {}, 1.0, {}, {}, {}) == 0.0);
}

TEST_CASE("affine maps: the forms agree") {
  log_affine_map<double> const logs;
  affine_map<double> const plain;
  auto const p = logs.combine({std::log(0.5), 1.0}, {std::log(0.25), 2.0});
  auto const q = plain.combine({0.5, 1.0}, {0.25, 2.0});
  CHECK(std::exp(p.slope) == doctest::Approx(q.slope));
  CHECK(p.offset == doctest::Approx(q.offset));
  dense_affine_map<double, 2> const dense;
  auto const r = dense.combine({{0.5, 0, 0, 0.5}, {1, 1}}, {{0.25, 0, 0, 0.25}, {2, 2}});
  CHECK(r.slope[0] == q.slope);
  CHECK(r.offset[1] == q.offset);
}

TEST_CASE("semiring_matrix: shortest paths and sums over paths") {
  semiring_matrix<min_plus<double>, 2> const paths;
  auto const two = paths.combine({{0, 1, 5, 0}}, {{0, 3, 2, 0}});
  CHECK(two[0] == 0.0);
  CHECK(two[1] == 1.0);
  CHECK(two[2] == 2.0);
  semiring_matrix<log_plus<double>, 1> const sum;
  CHECK(sum.combine({{1.5}}, {{2.0}})[0] == doctest::Approx(3.5));
  // an infinite weight meets the zero of the semiring
  double const inf = math::infinity<double>();
  CHECK(max_plus<double>::multiply(-inf, inf) == -inf);
}
