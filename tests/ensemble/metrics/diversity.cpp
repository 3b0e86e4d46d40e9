#include "fanfold/ensemble/metrics/diversity.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

namespace {

namespace ff = fanfold;
namespace ensemble = fanfold::ensemble;
using flags = std::vector<unsigned char>;

flags const three{1, 1, 1, 0, 1, 0, 1, 1, /**/ 1, 1, 0, 0, 1, 1, 1, 0, /**/ 0, 1, 1, 0, 1, 1, 1, 1};

ensemble::diversity_counts counted(flags const& c, std::int64_t members) {
  ensemble::diversity_counts d(members);
  d.update(ff::matrix_view<unsigned char const>(c.data(), members, static_cast<std::int64_t>(c.size()) / members));
  return d;
}

flags random_flags(std::size_t n, std::uint32_t seed, unsigned percent) {
  flags f;
  for (std::size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    f.push_back((seed >> 16) % 100 < percent);
  }
  return f;
}

}  // namespace

TEST_CASE("diversity: three members on eight samples") {
  auto const d = counted(three, 3);
  std::int64_t const expected[3][4] = {{4, 2, 1, 1}, {5, 1, 1, 1}, {4, 1, 2, 1}};
  double const q[3] = {1.0 / 3, 2.0 / 3, 1.0 / 3}, rho[3] = {.1490712, .3333333, .1490712}, dis[3] = {.375, .25, .375};
  int k = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = i + 1; j < 3; ++j, ++k) {
      auto const p = d.pair(i, j);
      CHECK((p.both == expected[k][0] && p.first == expected[k][1] && p.second == expected[k][2] && p.neither == expected[k][3]));
      CHECK(p.q_statistic() == doctest::Approx(q[k]));
      CHECK(p.correlation() == doctest::Approx(rho[k]).epsilon(1e-6));
      CHECK(p.disagreement() == dis[k]);
      CHECK(p.double_fault() == .125);
      CHECK(d.pair(j, i).first == p.second);
    }
  CHECK(d.kohavi_wolpert() == doctest::Approx(.1111111).epsilon(1e-6));
  CHECK(d.interrater_kappa() == doctest::Approx(.1932773).epsilon(1e-6));
  CHECK(d.entropy() == doctest::Approx(.5));
  CHECK(d.difficulty() == doctest::Approx(.0954861).epsilon(1e-6));
  CHECK(d.generalised_diversity() == doctest::Approx(.5714286).epsilon(1e-6));
  CHECK(d.coincident_failure() == doctest::Approx(.8));
  CHECK(d.accuracy(0) == .75);
}

TEST_CASE("diversity: identities, batches and sample order") {
  for (std::int64_t members : {2, 3, 5, 8})
    for (std::size_t samples : {1u, 63u, 64u, 65u, 1000u}) {
      auto const f = random_flags(static_cast<std::size_t>(members) * samples, 7, 70);
      auto const d = counted(f, members);
      double const l = static_cast<double>(members), a = d.mean_accuracy();
      CHECK(d.kohavi_wolpert() == doctest::Approx((l - 1) / (2 * l) * d.mean_disagreement()));
      if (a > 0 && a < 1) CHECK(d.interrater_kappa() == doctest::Approx(1 - d.mean_disagreement() / (2 * a * (1 - a))));
      ensemble::diversity_counts left(members), right(members);
      std::int64_t const n = static_cast<std::int64_t>(samples), cut = n / 3;
      left.update(ff::matrix_view<unsigned char const>(f.data(), members, cut, n));
      right.update(ff::matrix_view<unsigned char const>(f.data() + cut, members, n - cut, n));
      right.merge(left);
      CHECK(right.samples() == n);
      CHECK(right.difficulty() == d.difficulty());
      CHECK(right.pair(0, 1).both == d.pair(0, 1).both);
      CHECK(right.coincident_failure() == d.coincident_failure());
    }
}

TEST_CASE("diversity: undefined measures are NaN") {
  auto const one = counted({1, 0, 1}, 1);
  CHECK(std::isnan(one.mean_disagreement()));
  CHECK(std::isnan(one.interrater_kappa()));
  CHECK(std::isnan(one.entropy()));
  auto const perfect = counted({1, 1, 1, 1}, 2);
  CHECK(std::isnan(perfect.interrater_kappa()));
  CHECK(std::isnan(perfect.generalised_diversity()));
  CHECK(std::isnan(perfect.pair(0, 1).q_statistic()));
  CHECK(std::isnan(perfect.pair(0, 1).correlation()));
  CHECK(perfect.coincident_failure() == 0);
  ensemble::diversity_counts const none(3);
  CHECK(std::isnan(none.kohavi_wolpert()));
  CHECK(std::isnan(none.pair(0, 1).disagreement()));
  CHECK(std::isnan(none.accuracy(0)));
  CHECK(std::isnan(none.coincident_failure()));
}

TEST_CASE("diversity: agreement of labels") {
  std::vector<int> const a{0, 1, 2, 0, 1, 2}, b{0, 1, 2, 1, 1, 0};
  auto const r = ensemble::compare_labels(a, b, 3);
  CHECK(r.disagreement == doctest::Approx(1.0 / 3));
  CHECK(r.kappa == doctest::Approx((2.0 / 3 - 1.0 / 3) / (1 - 1.0 / 3)));
  CHECK(ensemble::compare_labels(a, a, 3).kappa == doctest::Approx(1));
  std::vector<int> const same(4, 1), none;
  CHECK(std::isnan(ensemble::compare_labels(same, same, 3).kappa));
  CHECK(std::isnan(ensemble::compare_labels(none, none, 3).disagreement));
}

TEST_CASE("diversity: errors") {
  using ff::argument_error;
  CHECK_THROWS_AS(ensemble::diversity_counts(0), argument_error);
  ensemble::diversity_counts d(2);
  CHECK_THROWS_WITH_AS(d.update(ff::matrix_view<unsigned char const>(three.data(), 3, 8)), doctest::Contains("number of rows"), argument_error);
  CHECK_THROWS_AS(d.merge(ensemble::diversity_counts(3)), argument_error);
  CHECK_THROWS_AS((void)d.pair(0, 2), argument_error);
  std::vector<int> const a{0, 3}, b{0, 1}, c{0};
  CHECK_THROWS_AS(ensemble::compare_labels(a, b, 3), argument_error);
  CHECK_THROWS_AS(ensemble::compare_labels(b, c, 3), argument_error);
}
