#include "fanfold/gossip/metrics.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/gossip/topology.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;
namespace gossip = fanfold::gossip;

}  // namespace

TEST_CASE("gossip metrics: resistances of the path of four") {
  auto const path = gossip::path(4);
  gossip::resistance const r(path);
  CHECK(r(0, 3) == doctest::Approx(3));
  CHECK(r(1, 2) == doctest::Approx(1));
  CHECK(r(2, 2) == 0);
  CHECK(r.kirchhoff_index() == doctest::Approx(10));
  std::vector<double> const third(3, 1.0 / 3);
  CHECK(gossip::chi1(path, third) == doctest::Approx(5.121320).epsilon(1e-6));
  CHECK(gossip::resistance(path, third).chi2() == doctest::Approx(1.5));
}

TEST_CASE("gossip metrics: weighted resistances sum to n - 1 and chi2 <= chi1") {
  for (auto const& g : {gossip::ring(9), gossip::star(8), gossip::torus(3, 5), gossip::random_regular(14, 3, 2), gossip::barabasi_albert(20, 2, 1)}) {
    auto const edges = g.edges();
    std::vector<double> w;
    for (std::size_t e = 0; e < edges.size(); ++e) w.push_back(0.5 + static_cast<double>(e % 5));
    gossip::resistance const r(g, w);
    double sum = 0;
    for (std::size_t e = 0; e < edges.size(); ++e) sum += w[e] * r(edges[e].a, edges[e].b);
    CHECK(sum == doctest::Approx(g.n - 1));
    CHECK(r.chi2() <= gossip::chi1(g, w));
    auto const l = gossip::laplacian(g, w);
    auto const values = ff::symmetric_eigen({l.data(), g.n, g.n}).values;
    double inverse = 0;
    for (std::size_t k = 1; k < values.size(); ++k) inverse += 1 / values[k];
    CHECK(r.kirchhoff_index() == doctest::Approx(g.n * inverse));
  }
}

TEST_CASE("gossip metrics: disconnected networks and single nodes") {
  auto const g = gossip::from_edges(4, std::vector<gossip::edge>{{0, 1}, {2, 3}});
  gossip::resistance const r(g);
  CHECK(std::isinf(r(0, 2)));
  CHECK(r(2, 3) == doctest::Approx(1));
  CHECK(std::isinf(r.chi2()));
  CHECK(std::isinf(gossip::chi1(g)));
  CHECK(r.component() == std::vector<std::int32_t>{0, 0, 1, 1});
  CHECK(std::fabs(gossip::spectral_gap(gossip::metropolis_hastings(g))) < 1e-14);
  std::vector<double> const cut{1, 0, 1};
  CHECK(std::isinf(gossip::resistance(gossip::path(4), cut)(0, 3)));
  CHECK(gossip::spectral_gap(gossip::metropolis_hastings(gossip::ring(1))) == 1);
  CHECK(gossip::resistance(gossip::ring(1)).chi2() == 0);
  CHECK_THROWS_AS(gossip::resistance(g, std::vector<double>{1, -1}), ff::argument_error);
}

TEST_CASE("gossip metrics: consensus distance") {
  std::vector<float> const x{0, 0, 3, 4, 6, 8};  // three points on a line, 5 apart
  CHECK(gossip::consensus_distance(ff::matrix_view<float const>(x.data(), 3, 2)) == doctest::Approx(std::sqrt(50.0 / 3)));
  CHECK(gossip::consensus_distance(ff::matrix_view<float const>(x.data(), 1, 6)) == 0);
  CHECK(gossip::consensus_distance(ff::matrix_view<float const>(x.data(), 3, 0)) == 0);
  std::vector<float> const same(500, 0.1f);
  CHECK(gossip::consensus_distance(ff::matrix_view<float const>(same.data(), 5, 100)) == 0);
  std::vector<double> many(70 * 5000);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = 1e6 + static_cast<double>(i * 7919 % 997);
  ff::matrix_view<double const> const rows(many.data(), 70, 5000);
  double expected = 0;
  for (std::int64_t j = 0; j < 5000; ++j) {
    double mean = 0;
    for (std::int64_t i = 0; i < 70; ++i) mean += rows(i, j) / 70;
    for (std::int64_t i = 0; i < 70; ++i) expected += (rows(i, j) - mean) * (rows(i, j) - mean) / 70;
  }
  double const d = gossip::consensus_distance(rows);
  CHECK(d == doctest::Approx(std::sqrt(expected)).epsilon(1e-10));
  support::for_each_executor([&](char const* name, auto const& ex) { CHECK_MESSAGE(support::same_bits(gossip::consensus_distance(ex, rows), d), name); });
}
