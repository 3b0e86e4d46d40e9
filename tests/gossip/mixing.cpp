#include "fanfold/gossip/mixing.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/gossip/metrics.hpp"
#include "fanfold/gossip/topology.hpp"

namespace {

namespace gossip = fanfold::gossip;

std::vector<double> eigenvalues(gossip::mixing_matrix<> const& m) {
  auto const a = gossip::dense(m);
  return fanfold::symmetric_eigen({a.data(), m.n, m.n}).values;
}

std::vector<gossip::graph> some_graphs() {
  return {gossip::ring(1),          gossip::ring(2),       gossip::ring(7),      gossip::path(4),          gossip::star(9),
          gossip::complete(5),      gossip::torus(3, 4),   gossip::hypercube(8), gossip::erdos_renyi(12, 0.2, 5),
          gossip::random_regular(10, 3, 1), gossip::barabasi_albert(15, 2, 3)};
}

}  // namespace

TEST_CASE("mixing: the path of four") {
  auto const path = gossip::path(4);
  for (auto const& m : {gossip::metropolis_hastings(path), gossip::max_degree(path)}) {
    for (double w : m.w) CHECK(w == doctest::Approx(1.0 / 3));
    CHECK(m.self[0] == doctest::Approx(2.0 / 3));
    CHECK(m.self[1] == doctest::Approx(1.0 / 3));
    auto const values = eigenvalues(m);
    double const expected[4] = {-0.138071, 1.0 / 3, 0.804738, 1};
    for (std::size_t k = 0; k < 4; ++k) CHECK(values[k] == doctest::Approx(expected[k]).epsilon(1e-5));
    CHECK(gossip::contraction(gossip::lazy(m)) == doctest::Approx(0.902369).epsilon(1e-6));
  }
  auto const best = gossip::best_constant(path);
  CHECK(best.w[0] == doctest::Approx(0.5));
  CHECK(gossip::contraction(best) == doctest::Approx(0.707107).epsilon(1e-6));
  std::vector<double> const sizes{10, 0, 5, 5};
  auto const d = gossip::dense(gossip::data_size(path, sizes));
  std::vector<double> const rows{1, 0, 0, 0, 2.0 / 3, 0, 1.0 / 3, 0, 0, 0, .5, .5, 0, 0, .5, .5};
  for (std::size_t i = 0; i < 16; ++i) CHECK(d[i] == doctest::Approx(rows[i]));
  auto const raised = gossip::data_size(path, sizes, 1.0);
  CHECK(raised.w[0] == doctest::Approx(1.0 / 11));
  std::vector<double> const none(4);
  CHECK(gossip::data_size(path, none).self == std::vector<double>{1, 1, 1, 1});
}

TEST_CASE("mixing: every undirected rule is doubly stochastic and symmetric") {
  for (auto const& g : some_graphs())
    for (auto const& m : {gossip::metropolis_hastings(g), gossip::max_degree(g), gossip::lazy(gossip::metropolis_hastings(g)),
                          gossip::constant_edge(g, 0.1), gossip::best_constant(g)}) {
      CAPTURE(g.n);
      CHECK(m.kind == gossip::stochasticity::doubly);
      auto const off = gossip::validate_stochastic(m);
      CHECK(off.rows <= 4e-16 * g.n);
      CHECK(off.columns <= 4e-16 * g.n);
      auto const a = gossip::dense(m), t = gossip::dense(gossip::transpose(m));
      CHECK(a == t);
      if (gossip::component_count(g) > 1) CHECK(gossip::contraction(m) >= 1 - 1e-12);
    }
  CHECK(gossip::metropolis_hastings(gossip::star(6)).nonnegative());
  CHECK_FALSE(gossip::constant_edge(gossip::star(6), 0.4).nonnegative());
}

TEST_CASE("mixing: row and column rules") {
  for (auto const& g : some_graphs()) {
    CHECK(gossip::validate_stochastic(gossip::uniform_neighbour(g)).rows < 1e-14);
    std::vector<double> sizes;
    for (std::int32_t i = 0; i < g.n; ++i) sizes.push_back(1 + i % 3);
    CHECK(gossip::validate_stochastic(gossip::data_size(g, sizes)).rows < 1e-14);
    CHECK(gossip::validate_stochastic(gossip::push_uniform(g)).columns < 1e-14);
  }
  auto const directed = gossip::exponential(6);
  auto const push = gossip::push_uniform(directed);
  CHECK(gossip::validate_stochastic(push).columns < 1e-14);
  CHECK(push.kind == gossip::stochasticity::column);
  CHECK(gossip::transpose(push).kind == gossip::stochasticity::row);
  CHECK(gossip::validate_stochastic(gossip::transpose(push)).rows < 1e-14);
}

TEST_CASE("mixing: second moduli of 16 nodes") {
  auto const modulus = [](gossip::graph const& g) { return gossip::contraction(gossip::metropolis_hastings(g)); };
  CHECK(modulus(gossip::ring(16)) == doctest::Approx(.949253).epsilon(1e-6));
  CHECK(modulus(gossip::path(16)) == doctest::Approx(.987190).epsilon(1e-6));
  CHECK(modulus(gossip::star(16)) == doctest::Approx(.9375));
  CHECK(modulus(gossip::torus(4, 4)) == doctest::Approx(.6));
  CHECK(modulus(gossip::hypercube(16)) == doctest::Approx(.6));
  CHECK(std::fabs(modulus(gossip::complete(16))) < 1e-14);
  CHECK(gossip::contraction(gossip::best_constant(gossip::ring(16))) == doctest::Approx(.926670).epsilon(1e-6));
  CHECK(gossip::contraction(gossip::best_constant(gossip::star(16))) == doctest::Approx(.882353).epsilon(1e-6));
}

TEST_CASE("mixing: errors") {
  using fanfold::argument_error;
  auto const path = gossip::path(3);
  CHECK_THROWS_WITH_AS(gossip::metropolis_hastings(gossip::exponential(4)), doctest::Contains("undirected"), argument_error);
  CHECK_THROWS_AS(gossip::constant_edge(path, std::nan("")), argument_error);
  std::vector<double> const negative{1, -1, 1}, nan{1, std::nan(""), 1}, two{1, 1};
  CHECK_THROWS_WITH_AS(gossip::data_size(path, negative), doctest::Contains("0 or more"), argument_error);
  CHECK_THROWS_AS(gossip::data_size(path, nan), argument_error);
  CHECK_THROWS_AS(gossip::data_size(path, two), argument_error);
  std::vector<double> const three{1, 1, 1};
  CHECK_THROWS_AS(gossip::data_size(path, three, -1), argument_error);
  CHECK_THROWS_AS(gossip::laplacian(path, three), argument_error);
}
