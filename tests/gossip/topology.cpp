#include "fanfold/gossip/topology.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace gossip = fanfold::gossip;

std::string text(std::vector<gossip::edge> const& edges) {
  std::string s;
  for (auto e : edges) s += (s.empty() ? "" : " ") + std::to_string(e.a) + std::to_string(e.b);
  return s;
}
std::string text(gossip::graph const& g) { return text(g.edges()); }

// Symmetric, sorted, no loops, no duplicates.
bool well_formed(gossip::graph const& g) {
  for (std::int32_t i = 0; i < g.n; ++i) {
    std::int32_t before = -1;
    for (std::int32_t j : g.neighbours(i)) {
      if (j <= before || j == i || j >= g.n) return false;
      before = j;
      bool back = g.directed;
      for (std::int32_t k : g.neighbours(j)) back = back || k == i;
      if (!back) return false;
    }
  }
  return g.row_ptr.size() == static_cast<std::size_t>(g.n) + 1 && g.row_ptr.back() == static_cast<std::int64_t>(g.col.size());
}

std::size_t edge_count(gossip::graph const& g) { return g.edges().size(); }

}  // namespace

TEST_CASE("topology: small regular graphs") {
  CHECK(text(gossip::ring(1)).empty());
  CHECK(text(gossip::ring(2)) == "01");
  CHECK(text(gossip::ring(4)) == "01 03 12 23");
  CHECK(text(gossip::path(4)) == "01 12 23");
  CHECK(text(gossip::complete(4)) == "01 02 03 12 13 23");
  CHECK(text(gossip::star(4, 2)) == "02 12 23");
  CHECK(text(gossip::grid(2, 3)) == "01 03 12 14 25 34 45");
  CHECK(text(gossip::torus(2, 3)) == "01 02 03 12 14 25 34 35 45");
  CHECK(text(gossip::torus(1, 2)) == "01");
  CHECK(text(gossip::torus(1, 4)) == text(gossip::ring(4)));
  CHECK(edge_count(gossip::torus(4, 4)) == 32);
  CHECK(text(gossip::hypercube(4)) == "01 02 13 23");
  CHECK(text(gossip::exponential(4)) == "02 03 10 13 20 21 31 32");  // i receives from i - 1 and i - 2
  CHECK(gossip::exponential(1).col.empty());
  CHECK(gossip::near_square(16) == std::pair{4, 4});
  CHECK(gossip::near_square(12) == std::pair{3, 4});
  CHECK(gossip::near_square(13) == std::pair{1, 13});
  CHECK(gossip::near_square(2147483647) == std::pair{1, 2147483647});
}

TEST_CASE("topology: random graphs of seed 1") {
  CHECK(text(gossip::erdos_renyi(6, 0.4, 1)) == "01 02 03 14 34 45");
  CHECK(text(gossip::barabasi_albert_edges(8, 2, 1)) == "01 02 03 13 04 14 15 05 06 36 17 67");
  CHECK(text(gossip::watts_strogatz(8, 4, 0.25, 1)) == "01 02 07 13 16 17 23 24 34 35 36 45 46 56 57 67");
  CHECK(text(gossip::random_regular(8, 3, 1)) == "02 03 05 12 14 16 25 36 37 46 47 57");
  std::vector<std::int64_t> degrees;
  for (int i = 0; i < 8; ++i) degrees.push_back(gossip::barabasi_albert(8, 2, 1).degree(i));
  CHECK(degrees == std::vector<std::int64_t>{6, 5, 1, 3, 2, 2, 3, 2});
}

TEST_CASE("topology: properties over sizes and seeds") {
  for (std::uint64_t seed = 0; seed < 6; ++seed)
    for (std::int32_t n : {1, 2, 3, 4, 5, 8, 9, 16, 31, 64}) {
      CAPTURE(n);
      CAPTURE(seed);
      for (std::int32_t degree = 0; degree < n && degree < 20; ++degree) {
        if (n % 2 == 1 && degree % 2 == 1) continue;
        auto const g = gossip::random_regular(n, degree, seed);
        CAPTURE(degree);
        CHECK(well_formed(g));
        for (std::int32_t i = 0; i < n; ++i) CHECK(g.degree(i) == degree);
        if (degree >= 2) CHECK(gossip::component_count(g) == 1);
      }
      for (std::int32_t m = 1; m < n && m < 5; ++m) {
        auto const g = gossip::barabasi_albert(n, m, seed);
        CHECK(well_formed(g));
        CHECK(edge_count(g) == static_cast<std::size_t>(m + m * (n - m - 1)));
        CHECK(gossip::component_count(g) == 1);
      }
      for (std::int32_t k = 2; k < n && k < 8; k += 2)
        for (double p : {0.0, 0.3, 1.0}) {
          auto const g = gossip::watts_strogatz(n, k, p, seed);
          CHECK(well_formed(g));
          if (k == n - 1) CHECK(text(g) == text(gossip::complete(n)));
          if (k < n - 1) CHECK(edge_count(g) == static_cast<std::size_t>(n * k / 2));
        }
      auto const e = gossip::erdos_renyi(n, 0.3, seed);
      CHECK(well_formed(e));
      CHECK(gossip::erdos_renyi(n, 0, seed).col.empty());
      CHECK(text(gossip::erdos_renyi(n, 1, seed)) == text(gossip::complete(n)));
      CHECK(well_formed(gossip::exponential(n)));
    }
  CHECK(text(gossip::watts_strogatz(9, 4, 0, 3)) == text(gossip::watts_strogatz(9, 4, 0, 4)));
  CHECK(text(gossip::random_regular(16, 4, 3)) != text(gossip::random_regular(16, 4, 4)));
  auto const big = gossip::random_regular(20000, 4, 7);
  CHECK(well_formed(big));
  CHECK(gossip::component_count(big) == 1);
}

TEST_CASE("topology: graphs from edges") {
  std::vector<gossip::edge> const list{{3, 1}, {1, 3}, {0, 3}, {3, 1}};
  CHECK(text(gossip::from_edges(5, list)) == "03 13");
  CHECK(text(gossip::from_edges(5, list, true)) == "03 13 31");
  CHECK(gossip::components(gossip::from_edges(5, list)) == std::vector<std::int32_t>{0, 0, 1, 0, 2});
  CHECK(gossip::component_count(gossip::graph{}) == 0);
}

TEST_CASE("topology: errors") {
  using fanfold::argument_error;
  CHECK_THROWS_WITH_AS(gossip::ring(0), doctest::Contains("gossip::ring: n is 0"), argument_error);
  CHECK_THROWS_AS(gossip::path(-1), argument_error);
  CHECK_THROWS_AS(gossip::complete(0), argument_error);
  CHECK_THROWS_AS(gossip::star(3, 3), argument_error);
  CHECK_THROWS_AS(gossip::torus(0, 3), argument_error);
  CHECK_THROWS_AS(gossip::grid(65536, 65536), argument_error);
  CHECK_THROWS_WITH_AS(gossip::hypercube(6), doctest::Contains("power of two"), argument_error);
  CHECK_THROWS_AS(gossip::exponential(0), argument_error);
  CHECK_THROWS_AS(gossip::erdos_renyi(4, 1.5, 0), argument_error);
  CHECK_THROWS_AS(gossip::erdos_renyi(4, std::nan(""), 0), argument_error);
  CHECK_THROWS_WITH_AS(gossip::watts_strogatz(8, 3, 0.1, 0), doctest::Contains("even"), argument_error);
  CHECK_THROWS_AS(gossip::watts_strogatz(8, 8, 0.1, 0), argument_error);
  CHECK_THROWS_AS(gossip::watts_strogatz(8, 0, 0.1, 0), argument_error);
  CHECK_THROWS_AS(gossip::watts_strogatz(8, 2, -0.1, 0), argument_error);
  CHECK_THROWS_AS(gossip::barabasi_albert(8, 0, 0), argument_error);
  CHECK_THROWS_AS(gossip::barabasi_albert(8, 8, 0), argument_error);
  CHECK_THROWS_WITH_AS(gossip::random_regular(5, 3, 0), doctest::Contains("even where n is odd"), argument_error);
  CHECK_THROWS_AS(gossip::random_regular(5, 5, 0), argument_error);
  CHECK_THROWS_AS(gossip::random_regular(5, -1, 0), argument_error);
  CHECK_THROWS_AS(gossip::from_edges(3, std::vector<gossip::edge>{{0, 3}}), argument_error);
  CHECK_THROWS_AS(gossip::from_edges(3, std::vector<gossip::edge>{{1, 1}}), argument_error);
}
