#include "fanfold/gossip/schedule.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fanfold/gossip/metrics.hpp"

namespace {

namespace gossip = fanfold::gossip;

std::vector<double> product(std::vector<double> const& a, std::vector<double> const& b, std::size_t n) {
  std::vector<double> c(n * n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t k = 0; k < n; ++k)
      for (std::size_t j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
  return c;
}

// Largest distance of the product of the first rounds from J.
template <class S>
double off_consensus(S const& s, int rounds) {
  auto const n = static_cast<std::size_t>(s.size());
  auto all = gossip::dense(s.matrix(0));
  for (int r = 1; r < rounds; ++r) all = product(gossip::dense(s.matrix(static_cast<std::uint64_t>(r))), all, n);
  double worst = 0;
  for (double x : all) worst = std::fmax(worst, std::fabs(x - 1.0 / static_cast<double>(n)));
  return worst;
}

template <class S>
void doubly(S const& s) {
  static_assert(gossip::topology_schedule<S>);
  for (std::uint64_t r = 0; r < 9; ++r) {
    auto const m = s.matrix(r);
    CHECK(m.n == s.size());
    auto const off = gossip::validate_stochastic(m);
    CHECK(off.rows < 1e-14);
    CHECK(off.columns < 1e-14);
    for (std::int32_t i = 0; i < m.n; ++i)
      for (auto e = m.row_ptr[static_cast<std::size_t>(i)]; e + 1 < m.row_ptr[static_cast<std::size_t>(i) + 1]; ++e)
        CHECK(m.col[static_cast<std::size_t>(e)] < m.col[static_cast<std::size_t>(e) + 1]);
  }
}

}  // namespace

TEST_CASE("schedule: every round is doubly stochastic") {
  for (std::int32_t n : {1, 2, 3, 6, 8, 13}) {
    CAPTURE(n);
    doubly(gossip::exponential_one_peer{n});
    for (std::int32_t p : {1, 2, 3, 7}) doubly(gossip::n_peer_exponential{n, p});
    doubly(gossip::dissemination_rotate{n, 2, 5});
    if (n % 2 == 0) doubly(gossip::bipartite_one_peer{n});
    if ((n & (n - 1)) == 0) doubly(gossip::hypercube_one_peer{n});
    if ((n & (n - 1)) == 0) doubly(gossip::dissemination_rotate{n, 2, 5, true});
    doubly(gossip::moshpit_grid{n, {4, 4}});
    auto const m = gossip::exponential_static(n);
    CHECK(gossip::validate_stochastic(m).columns < 1e-14);
    CHECK(gossip::validate_stochastic(gossip::hierarchical(3, m)).rows < 1e-14);
  }
}

TEST_CASE("schedule: exact averaging in a few rounds") {
  CHECK(off_consensus(gossip::exponential_one_peer{8}, 3) == 0);
  CHECK(off_consensus(gossip::exponential_one_peer{6}, 3) == doctest::Approx(1.0 / 12));
  CHECK(off_consensus(gossip::hypercube_one_peer{16}, 4) == 0);
  CHECK(off_consensus(gossip::n_peer_exponential{9, 2}, 2) < 1e-15);
  CHECK(off_consensus(gossip::dissemination_rotate{8, 3, 1}, 3) == 0);
  CHECK(off_consensus(gossip::moshpit_grid{6, {2, 3}}, 2) < 1e-15);
  CHECK(off_consensus(gossip::moshpit_grid{5, {2, 3}}, 2) > 0.01);
  CHECK(off_consensus(gossip::moshpit_grid{24, {2, 3, 4}}, 3) < 1e-15);
}

TEST_CASE("schedule: contraction of the static exponential graph") {
  CHECK(gossip::contraction(gossip::exponential_static(16)) == doctest::Approx(.6));
  for (std::int32_t n : {2, 4, 6, 10, 32}) {
    int hops = 1;
    while ((1 << hops) < n) ++hops;
    CHECK(std::fabs(gossip::contraction(gossip::exponential_static(n)) - (hops - 1.0) / (hops + 1.0)) < 1e-7);
  }
  CHECK(gossip::contraction(gossip::exponential_static(9)) <= 0.6 + 1e-12);
}

TEST_CASE("schedule: roles and groups") {
  gossip::dissemination_rotate const s{8, 4, 1};
  CHECK(s.roles(0) == std::vector<std::int32_t>{6, 7, 3, 5, 0, 4, 2, 1});
  CHECK(s.roles(1) == std::vector<std::int32_t>{4, 5, 7, 6, 1, 3, 2, 0});
  auto const m = s.matrix(0);  // node 0 plays role 6 and receives from role 5, node 3
  CHECK(m.col[0] == 3);
  auto const g = gossip::moshpit_grid{6, {2, 3}};
  CHECK(g.groups(0) == std::vector<std::int64_t>{0, 0, 2, 2, 4, 4});
  CHECK(g.groups(1) == std::vector<std::int64_t>{0, 1, 0, 1, 0, 1});
  auto const one = gossip::bipartite_one_peer{6}.matrix(1);
  CHECK(one.col == std::vector<std::int32_t>{3, 4, 5, 0, 1, 2});
  auto const block = gossip::dense(gossip::hierarchical(2, gossip::metropolis_hastings(gossip::path(2))));
  for (double x : block) CHECK(x == 0.25);
}

TEST_CASE("schedule: errors") {
  using fanfold::argument_error;
  CHECK_THROWS_AS((void)gossip::exponential_one_peer{0}.matrix(0), argument_error);
  CHECK_THROWS_AS((void)gossip::hypercube_one_peer{6}.matrix(0), argument_error);
  CHECK_THROWS_AS((void)(gossip::n_peer_exponential{4, 0}.matrix(0)), argument_error);
  CHECK_THROWS_AS((void)gossip::bipartite_one_peer{5}.matrix(0), argument_error);
  CHECK_THROWS_AS((void)(gossip::dissemination_rotate{4, 0}.matrix(0)), argument_error);
  CHECK_THROWS_AS((void)(gossip::moshpit_grid{7, {2, 3}}.matrix(0)), argument_error);
  CHECK_THROWS_AS((void)(gossip::moshpit_grid{1, {}}.matrix(0)), argument_error);
  CHECK_THROWS_AS((void)(gossip::moshpit_grid{1, {0}}.matrix(0)), argument_error);
  CHECK_THROWS_AS(gossip::hierarchical(0, gossip::exponential_static(2)), argument_error);
}
