#include "fanfold/gossip/mix.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "fanfold/core/random.hpp"
#include "fanfold/gossip/metrics.hpp"
#include "fanfold/gossip/schedule.hpp"
#include "fanfold/gossip/topology.hpp"
#include "support/bits.hpp"
#include "support/executors.hpp"

namespace {

namespace ff = fanfold;
namespace gossip = fanfold::gossip;

template <class T>
std::vector<T> noise(std::int64_t n, std::uint64_t seed) {
  ff::random_stream const s{seed};
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = T(s.u01(i) * 2 - 1);
  return x;
}

template <class T>
ff::matrix_view<T> matrix(std::vector<T>& x, std::int64_t rows) {
  return {x.data(), rows, static_cast<std::int64_t>(x.size()) / rows};
}
template <class T>
ff::matrix_view<T const> matrix(std::vector<T> const& x, std::int64_t rows) {
  return {x.data(), rows, static_cast<std::int64_t>(x.size()) / rows};
}

// The naive form: dense product in double.
template <class T>
std::vector<double> product(gossip::mixing_matrix<> const& m, std::vector<T> const& x) {
  auto const n = static_cast<std::size_t>(m.n), d = x.size() / n;
  auto const w = gossip::dense(m);
  std::vector<double> y(x.size());
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t k = 0; k < d; ++k) y[i * d + k] += w[i * n + j] * static_cast<double>(ff::to_arithmetic(x[j * d + k]));
  return y;
}

// What node i of a real system would hold.
template <class T>
struct local_view {
  std::vector<T const*> table;
  std::vector<double> weight;
  gossip::inbox<T> in;

  local_view(gossip::mixing_matrix<> const& m, std::vector<T> const& x, std::int32_t i) {
    auto const d = static_cast<std::int64_t>(x.size()) / m.n;
    for (auto e = static_cast<std::size_t>(m.row_ptr[static_cast<std::size_t>(i)]); e < static_cast<std::size_t>(m.row_ptr[static_cast<std::size_t>(i) + 1]); ++e) {
      table.push_back(x.data() + m.col[e] * d);
      weight.push_back(m.w[e]);
      in.self_rank += m.col[e] < i;
    }
    in.self = {x.data() + i * d, d};
    in.self_weight = m.self[static_cast<std::size_t>(i)];
    in.received = {table.data(), static_cast<std::int64_t>(table.size()), d};
    in.weight = weight;
  }
};

std::vector<gossip::segment> layers(std::int64_t d) {
  return {{0, d / 3, 30, 20, gossip::seg_mix | gossip::seg_correct}, {d / 3, 5, 0, 0, gossip::seg_mix}, {d / 3 + 7, 1, 1, 1, gossip::seg_mix | gossip::seg_correct},
          {d / 3 + 8, 3, 0, 0, gossip::seg_running_stat}, {d / 3 + 20, d - d / 3 - 20, 8, 8, gossip::seg_mix | gossip::seg_correct}};
}

struct serial_only {
  template <class F>
  void operator()(F&& f) const {
    f("serial", ff::serial);
  }
};
struct support_executors {
  template <class F>
  void operator()(F&& f) const {
    support::for_each_executor(f);
  }
};

template <class P, class T, class Executors>
void same_everywhere(P const& policy, gossip::mixing_matrix<> const& m, std::vector<T> const& x, Executors const& executors) {
  auto const d = static_cast<std::int64_t>(x.size()) / m.n;
  auto const segments = layers(d);
  std::vector<T> first;
  std::vector<gossip::correction_record> first_record;
  executors([&](char const* name, auto const& ex) {
    std::vector<T> next(x.size());
    std::vector<gossip::correction_record> record(static_cast<std::size_t>(m.n) * segments.size());
    gossip::mix(ex, policy, m, matrix(x, m.n), segments, matrix(next, m.n), record);
    if (first.empty()) first = next, first_record = record;
    CHECK_MESSAGE(support::same_bits(first, next), name);
    bool const with_local = std::string(name) == "serial" || std::string(name) == "thread pool, 2 threads";
    for (std::int32_t i = 0; with_local && i < m.n; i += m.n > 10 ? 16 : 1) {
      local_view<T> const local(m, x, i);
      std::vector<T> out(static_cast<std::size_t>(d));
      std::vector<gossip::correction_record> mine(segments.size());
      gossip::mix(ex, policy, local.in, segments, out, mine);
      CHECK_MESSAGE(support::same_bits(out, std::vector<T>(next.begin() + i * d, next.begin() + (i + 1) * d)), name);
      for (std::size_t s = 0; s < segments.size(); ++s) {
        auto const& a = mine[s];
        auto const& b = first_record[static_cast<std::size_t>(i) * segments.size() + s];
        CHECK((support::same_bits(a.mean, b.mean) && support::same_bits(a.variance, b.variance) && support::same_bits(a.target, b.target)));
        CHECK((support::same_bits(a.scale, b.scale) && a.flags == b.flags));
      }
    }
  });
}

}  // namespace

TEST_CASE("mix: known bits") {
  gossip::mixing_matrix<> m = gossip::metropolis_hastings(gossip::complete(3));
  for (double& w : m.w) w = 1.0 / 3;
  for (double& w : m.self) w = 1.0 / 3;
  std::vector<float> const x{.1f, .7f, .2f, .1f, .3f, .4f};
  std::vector<float> y(6);
  gossip::mix(ff::serial, m, matrix(x, 3), matrix(y, 3));
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(support::same_bits(y[2 * i], ff::math::from_bits(0x3e4cccceu)));
    CHECK(support::same_bits(y[2 * i + 1], ff::math::from_bits(0x3eccccceu)));
  }
}

TEST_CASE_TEMPLATE("mix: the product W X", T, float, double, ff::float16) {
  double const unit = ff::is_half_v<T> ? 0x1p-11 : std::is_same_v<T, float> ? 0x1p-22 : 0x1p-50;
  for (auto const& g : {gossip::ring(1), gossip::ring(2), gossip::path(5), gossip::complete(40), gossip::random_regular(12, 4, 1), gossip::star(9)})
    for (auto const& m : {gossip::metropolis_hastings(g), gossip::uniform_neighbour(g), gossip::best_constant(g)}) {
      auto const x = noise<T>(g.n * 130, 3);
      std::vector<T> y(x.size());
      gossip::mix(ff::serial, m, matrix(x, g.n), matrix(y, g.n));
      auto const expected = product(m, x);
      double worst = 0;
      for (std::size_t i = 0; i < y.size(); ++i) worst = std::fmax(worst, std::fabs(static_cast<double>(ff::to_arithmetic(y[i])) - expected[i]));
      CHECK(worst <= unit * 3);
    }
}

TEST_CASE("mix: equal bits over executors and in the local form") {
  for (auto const& g : {gossip::path(3), gossip::complete(33)})
    same_everywhere(gossip::variance_corrected{}, gossip::metropolis_hastings(g), noise<float>(g.n * 100, 9), support_executors{});
  auto const m = gossip::metropolis_hastings(gossip::path(4));
  same_everywhere(gossip::variance_corrected{}, m, noise<float>(4 * 9001, 9), support_executors{});
  same_everywhere(gossip::variance_corrected{}, m, noise<ff::bfloat16>(4 * 9001, 9), support_executors{});
}

TEST_CASE("mix: the local form of other policies") {
  auto const m = gossip::metropolis_hastings(gossip::path(4));
  auto const x = noise<float>(4 * 9001, 9);
  same_everywhere(gossip::no_correction{}, m, x, serial_only{});
  same_everywhere(gossip::variance_corrected{gossip::received{}}, m, x, serial_only{});
  same_everywhere(gossip::variance_corrected{gossip::own_variance{}}, m, x, serial_only{});
  // a node may give itself no weight
  gossip::mixing_matrix<> swap{2, {0, 1, 2}, {1, 0}, {1.0, 1.0}, {0.0, 0.0}, gossip::stochasticity::doubly};
  same_everywhere(gossip::variance_corrected{gossip::own_variance{}}, swap, noise<float>(2 * 300, 4), serial_only{});
}

TEST_CASE("mix: mean conservation and contraction of the consensus distance") {
  for (auto const& g : {gossip::ring(9), gossip::torus(4, 4), gossip::random_regular(16, 4, 7), gossip::star(10), gossip::hypercube(8)}) {
    auto const m = gossip::metropolis_hastings(g);
    double const rate = gossip::contraction(m);
    std::int64_t const d = 500;
    auto x = noise<double>(g.n * d, 1);
    std::vector<double> y(x.size()), mean(static_cast<std::size_t>(d));
    for (std::size_t i = 0; i < x.size(); ++i) mean[i % static_cast<std::size_t>(d)] += x[i] / g.n;
    double const start = gossip::consensus_distance(matrix(x, g.n));
    double distance = start;
    for (int round = 1; round <= 60; ++round) {
      gossip::mix(ff::serial, m, matrix(x, g.n), matrix(y, g.n));
      std::swap(x, y);
      double const now = gossip::consensus_distance(matrix(x, g.n));
      CHECK(now <= rate * distance * (1 + 1e-9) + 1e-14);
      distance = now;
    }
    CHECK(distance <= start * std::pow(rate, 60) * (1 + 1e-6) + 1e-14);
    // and not much faster: the slowest mode is present in random data
    CHECK(distance >= start * std::pow(rate, 60) * 1e-3 - 1e-14);
    std::vector<double> after(static_cast<std::size_t>(d));
    for (std::size_t i = 0; i < x.size(); ++i) after[i % static_cast<std::size_t>(d)] += x[i] / g.n;
    for (std::size_t k = 0; k < after.size(); ++k) CHECK(std::fabs(after[k] - mean[k]) < 1e-14);
  }
}

TEST_CASE("mix: several steps and schedules") {
  auto const g = gossip::ring(6);
  auto const m = gossip::metropolis_hastings(g);
  auto const x = noise<float>(6 * 100, 2);
  auto const segments = layers(100);
  for (int steps : {0, 1, 2, 3, 4, 7}) {
    std::vector<float> expected = x, y(x.size());
    for (int q = 0; q < steps; ++q) {
      std::vector<float> next(x.size());
      gossip::mix(ff::serial, gossip::variance_corrected{}, m, matrix(expected, 6), segments, matrix(next, 6));
      expected = next;
    }
    gossip::mix_steps(ff::serial, gossip::variance_corrected{}, m, steps, 0, matrix(x, 6), segments, matrix(y, 6));
    CHECK(support::same_bits(y, expected));
  }
  auto const eight = noise<double>(8 * 10, 2);
  std::vector<double> y(80);
  gossip::mix_steps(ff::serial, gossip::no_correction{}, gossip::exponential_one_peer{8}, 3, 0, matrix(eight, 8), std::vector<gossip::segment>{}, matrix(y, 8));
  CHECK(gossip::consensus_distance(matrix(y, 8)) < 1e-15);
  std::vector<float> out(x.size());
  CHECK_THROWS_AS(gossip::mix_steps(ff::serial, gossip::no_correction{}, m, -1, 0, matrix(x, 6), segments, matrix(out, 6)), ff::argument_error);
}

TEST_CASE("mix: fixed points, kept segments, zero weights") {
  std::vector<float> const same(4 * 50, 0.1f);
  std::vector<float> y(200);
  gossip::mixing_matrix<> quarter = gossip::metropolis_hastings(gossip::complete(4));
  for (double& w : quarter.w) w = 0.25;
  for (double& w : quarter.self) w = 0.25;
  gossip::mix(ff::serial, quarter, matrix(same, 4), matrix(y, 4));
  CHECK(support::same_bits(y, same));

  auto const x = noise<float>(4 * 50, 1);
  std::vector<gossip::segment> const segments{{10, 5, 0, 0, gossip::seg_running_stat}, {20, 5, 0, 0, 0}};
  gossip::mix(ff::serial, gossip::variance_corrected{}, quarter, matrix(x, 4), segments, matrix(y, 4));
  std::vector<float> plain(200);
  gossip::mix(ff::serial, quarter, matrix(x, 4), matrix(plain, 4));
  for (std::size_t i = 0; i < 200; ++i) {
    std::size_t const k = i % 50;
    bool const kept = (k >= 10 && k < 15) || (k >= 20 && k < 25);
    CHECK(support::same_bits(y[i], kept ? x[i] : plain[i]));
  }

  // a weight of 0 is no term: a NaN behind it does not show, nor does the sign of a zero change
  gossip::mixing_matrix<> cut{2, {0, 1, 2}, {1, 0}, {0.0, 0.5}, {1.0, 0.5}, gossip::stochasticity::row};
  std::vector<float> const nan{-0.0f, 1.0f, std::numeric_limits<float>::quiet_NaN(), 3.0f};
  std::vector<float> z(4);
  gossip::mix(ff::serial, cut, matrix(nan, 2), matrix(z, 2));
  CHECK(support::same_bits(z, std::vector<float>{-0.0f, 1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f}));

  // nobody and nothing
  std::vector<float> none;
  gossip::mix(ff::serial, gossip::metropolis_hastings(gossip::ring(3)), ff::matrix_view<float const>(none.data(), 3, 0), ff::matrix_view<float>(none.data(), 3, 0));
  gossip::mix(ff::serial, gossip::mixing_matrix<>{}, ff::matrix_view<float const>(), ff::matrix_view<float>());
}

TEST_CASE("mix: relabelling nodes relabels the result up to rounding") {
  auto const g = gossip::random_regular(10, 3, 5);
  std::vector<std::int32_t> perm(10);
  for (std::int32_t i = 0; i < 10; ++i) perm[static_cast<std::size_t>(i)] = (i * 3 + 1) % 10;
  std::vector<gossip::edge> edges;
  for (auto e : g.edges()) edges.push_back({perm[static_cast<std::size_t>(e.a)], perm[static_cast<std::size_t>(e.b)]});
  auto const h = gossip::from_edges(10, edges);
  auto const x = noise<double>(10 * 64, 1);
  std::vector<double> px(640), y(640), py(640);
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t k = 0; k < 64; ++k) px[static_cast<std::size_t>(perm[i]) * 64 + k] = x[i * 64 + k];
  std::vector<gossip::segment> const segments{{0, 64, 1, 1, gossip::seg_mix | gossip::seg_correct}};
  gossip::mix(ff::serial, gossip::variance_corrected{}, gossip::metropolis_hastings(g), matrix(x, 10), segments, matrix(y, 10));
  gossip::mix(ff::serial, gossip::variance_corrected{}, gossip::metropolis_hastings(h), matrix(px, 10), segments, matrix(py, 10));
  for (std::size_t i = 0; i < 10; ++i)
    for (std::size_t k = 0; k < 64; ++k) CHECK(py[static_cast<std::size_t>(perm[i]) * 64 + k] == doctest::Approx(y[i * 64 + k]).epsilon(1e-12));
}

TEST_CASE("mix: errors come before any output") {
  auto const m = gossip::metropolis_hastings(gossip::path(3));
  auto const x = noise<float>(30, 1);
  std::vector<float> y(30, 7.0f);
  std::vector<gossip::segment> const none;
  auto const run = [&](gossip::mixing_matrix<> const& w, std::vector<gossip::segment> const& s) {
    gossip::mix(ff::serial, gossip::variance_corrected{}, w, matrix(x, 3), s, matrix(y, 3));
  };
  auto bad = m;
  bad.w[0] = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(run(bad, none), doctest::Contains("a weight is"), ff::argument_error);
  bad = m;
  bad.self[1] = std::nan("");
  CHECK_THROWS_WITH_AS(run(bad, none), doctest::Contains("self weight"), ff::argument_error);
  bad = m;
  bad.col[0] = 3;
  CHECK_THROWS_WITH_AS(run(bad, none), doctest::Contains("column"), ff::argument_error);
  bad = m;
  bad.col.pop_back();
  CHECK_THROWS_WITH_AS(run(bad, none), doctest::Contains("shape of the mixing matrix"), ff::argument_error);
  gossip::mixing_matrix<> lonely{3, {0, 0, 0, 0}, {}, {}, {1, 0.5, 1}, gossip::stochasticity::row};
  CHECK_THROWS_WITH_AS(run(lonely, none), doctest::Contains("hears nobody"), ff::argument_error);
  lonely.kind = gossip::stochasticity::column;
  gossip::mix(ff::serial, lonely, matrix(x, 3), matrix(y, 3));
  CHECK(y[10] == 0.5f * x[10]);
  y.assign(30, 7.0f);
  CHECK_THROWS_WITH_AS(run(m, {{5, 5, 0, 0, 3}, {0, 5, 0, 0, 3}}), doctest::Contains("offset of a segment"), ff::argument_error);
  CHECK_THROWS_AS(run(m, {{5, 6, 0, 0, 3}}), ff::argument_error);
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, m, matrix(x, 5), matrix(y, 3)), doctest::Contains("number of models"), ff::argument_error);
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, m, matrix(x, 3), matrix(y, 5)), doctest::Contains("number of outputs"), ff::argument_error);
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, m, matrix(y, 3), matrix(y, 3)), doctest::Contains("apart from the models"), ff::argument_error);
  std::vector<gossip::correction_record> record(2);
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, gossip::no_correction{}, m, matrix(x, 3), layers(10 * 3), matrix(y, 3), record), doctest::Contains("segment"),
                       ff::argument_error);
  local_view<float> local(m, x, 1);
  std::vector<float> out(10);
  local.in.self_rank = 3;
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, gossip::no_correction{}, local.in, none, out), doctest::Contains("self_rank"), ff::argument_error);
  local.in.self_rank = 1;
  local.in.weight = {};
  CHECK_THROWS_WITH_AS(gossip::mix(ff::serial, gossip::no_correction{}, local.in, none, out), doctest::Contains("number of weights"), ff::argument_error);
  for (float v : y) CHECK(v == 7.0f);
}
