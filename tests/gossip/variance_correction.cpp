#include "fanfold/gossip/variance_correction.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "fanfold/core/random.hpp"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/gossip/topology.hpp"
#include "support/bits.hpp"

namespace {

namespace ff = fanfold;
namespace gossip = fanfold::gossip;

using vec = std::vector<double>;

// Sum of twelve uniform numbers: close to normal, good enough for spreads.
template <class T>
std::vector<T> bell(std::int64_t n, std::uint64_t seed, double scale = 1) {
  ff::random_stream const s{seed};
  std::vector<T> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) {
    double sum = -6;
    for (std::size_t k = 0; k < 12; ++k) sum += static_cast<double>(s.u01(12 * i + k));
    x[i] = T(static_cast<float>(scale * sum));
  }
  return x;
}

template <class T>
double variance(T const* x, std::size_t n) {
  double mean = 0, v = 0;
  for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x[i]) / static_cast<double>(n);
  for (std::size_t i = 0; i < n; ++i) v += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean) / static_cast<double>(n);
  return v;
}

template <class T>
struct result {
  std::vector<T> y;
  gossip::correction_record record;
};
// Node 0 averages `models` (itself the first) with the given weights.
template <class T, class P>
result<T> merge(P const& policy, std::vector<std::vector<T>> const& models, vec const& weight, std::uint32_t flags = gossip::seg_mix | gossip::seg_correct,
                float fan_in = 1, float fan_out = 1) {
  auto const d = static_cast<std::int64_t>(models[0].size());
  std::vector<T const*> table;
  for (std::size_t k = 1; k < models.size(); ++k) table.push_back(models[k].data());
  gossip::inbox<T> in;
  in.self = models[0];
  in.self_weight = weight[0];
  in.received = {table.data(), static_cast<std::int64_t>(table.size()), d};
  in.weight = ff::view<double const>(weight.data() + 1, static_cast<std::int64_t>(weight.size()) - 1);
  result<T> r;
  r.y.resize(models[0].size());
  gossip::mix(ff::serial, policy, in, std::vector<gossip::segment>{{0, d, fan_in, fan_out, flags}}, r.y, ff::view<gossip::correction_record>(&r.record, 1));
  return r;
}

vec const x1{1, -1, 2, -2, .5}, x2{2, 1, -1, -2, .5}, x3{-1, 0, 1, 3, -2};

}  // namespace

TEST_CASE("variance correction: two models") {
  auto const r = merge<double>(gossip::variance_corrected{}, {x1, x2}, {.5, .5});
  CHECK(r.record.mean == doctest::Approx(.1));
  CHECK(r.record.variance == doctest::Approx(1.34));
  CHECK(r.record.target == doctest::Approx(2.04));
  CHECK(r.record.scale == doctest::Approx(1.233850907).epsilon(1e-9));
  vec const expected{1.82739127, -.02338509, .59354036, -2.4910869, .59354036};
  for (std::size_t i = 0; i < 5; ++i) CHECK(r.y[i] == doctest::Approx(expected[i]).epsilon(1e-7));

  auto const skewed = merge<double>(gossip::variance_corrected{}, {x1, x2}, {.75, .25});
  CHECK(skewed.record.variance == doctest::Approx(1.515));
  CHECK(skewed.record.scale == doctest::Approx(1.160402798).epsilon(1e-9));
  vec const expected2{1.43446322, -.59624168, 1.43446322, -2.33684588, .56416112};
  for (std::size_t i = 0; i < 5; ++i) CHECK(skewed.y[i] == doctest::Approx(expected2[i]).epsilon(1e-7));

  std::vector<float> const f1(x1.begin(), x1.end()), f2(x2.begin(), x2.end());
  auto const single = merge<float>(gossip::variance_corrected{}, {f1, f2}, {.5, .5});
  CHECK(support::same_bits(single.y, std::vector<float>{0x1.d3cfecp+0f, -0x1.7f2430p-6f, 0x1.2fe486p-1f, -0x1.3edbf0p+1f, 0x1.2fe486p-1f}));
}

TEST_CASE("variance correction: targets for three models") {
  vec const w{.5, .25, .25};
  std::vector<vec> const models{x1, x2, x3};
  auto const check = [&](auto const& policy, double target, double scale) {
    auto const r = merge<double>(policy, models, w);
    CHECK(r.record.variance == doctest::Approx(.425));
    CHECK(r.record.target == doctest::Approx(target));
    CHECK(r.record.scale == doctest::Approx(scale).epsilon(1e-8));
    CHECK(variance(r.y.data(), 5) == doctest::Approx(.425 * scale * scale));
  };
  check(gossip::variance_corrected{gossip::received{}}, 2.5, 2.42535625);
  check(gossip::variance_corrected{gossip::own_variance{}}, 2.04, 2.19089023);
  check(gossip::variance_corrected{gossip::blend{}}, 2.27, 2.31109854);
  check(gossip::variance_corrected{}, 2.27, 2.31109854);
  vec const initial{1.7};
  check(gossip::variance_corrected{gossip::fixed_variance{initial}}, 1.7, 2);
  check(gossip::variance_corrected{gossip::xavier{2}}, 4, std::sqrt(4 / .425));
  check(gossip::variance_corrected<gossip::received>{.partial = .5}, 2.5, 1 + .5 * 1.42535625);
  check(gossip::variance_corrected<gossip::received>{.max_scale = 1.5}, 2.5, 1.5);
  check(gossip::variance_corrected<gossip::received>{.partial = 0}, 2.5, 1);
  auto const eps = merge<double>(gossip::variance_corrected<gossip::received>{.eps = .1}, models, w);
  CHECK(eps.record.scale == doctest::Approx(std::sqrt(2.6 / .525)));
}

TEST_CASE("variance correction: segments that are only averaged") {
  auto const none = [](std::vector<vec> const& models, vec const& w, auto const& policy) {
    auto const r = merge<double>(policy, models, w);
    auto const plain = merge<double>(gossip::no_correction{}, models, w);
    CHECK(support::same_bits(r.y, plain.y));
    return r.record;
  };
  CHECK(none({{1.5}, {2.5}}, {.5, .5}, gossip::variance_corrected{}).flags == 0);
  CHECK(none({{1, -1, 2}, {-1, 1, -2}}, {.5, .5}, gossip::variance_corrected{}).flags == gossip::degenerate_variance);
  CHECK(none({{1, 1, 1}, {3, 3, 3}}, {.5, .5}, gossip::variance_corrected{}).flags == 0);
  CHECK(none({x1, x2}, {-3, 1}, gossip::variance_corrected{}).flags == gossip::degenerate_variance);  // T < 0
  // nobody else: the own model, bit for bit
  CHECK(none({x1}, {1}, gossip::variance_corrected{}).scale == 1);
  CHECK(none({x1}, {1}, gossip::variance_corrected{gossip::received{}}).scale == 1);
  CHECK(none({x1}, {1}, gossip::variance_corrected{gossip::blend{}}).scale == 1);
  CHECK(none({x1}, {1}, gossip::variance_corrected{gossip::own_variance{}}).scale == 1);
  auto const unflagged = merge<double>(gossip::variance_corrected{}, {x1, x2}, {.5, .5}, gossip::seg_mix);
  CHECK(unflagged.y[0] == 1.5);
  CHECK(unflagged.record.scale == 1);
  CHECK(merge<double>(gossip::variance_corrected{}, {x1, x2}, {.5, .5}, gossip::seg_correct).y == x1);
}

TEST_CASE("variance correction: the output has the target's variance and the average's mean") {
  for (std::size_t m : {2u, 3u, 8u, 40u}) {
    std::vector<std::vector<float>> models;
    vec w(m, 1.0 / static_cast<double>(m));
    for (std::size_t k = 0; k < m; ++k) {
      models.push_back(bell<float>(5000, k, 1.0 + static_cast<double>(k % 3)));
      for (float& v : models.back()) v += 100;
    }
    auto const r = merge<float>(gossip::variance_corrected{}, models, w);
    CHECK(r.record.scale >= 1);
    CHECK(variance(r.y.data(), r.y.size()) == doctest::Approx(r.record.target).epsilon(3e-6));
    double mean = 0;
    for (float v : r.y) mean += static_cast<double>(v) / 5000;
    CHECK(mean == doctest::Approx(r.record.mean).epsilon(1e-6));
  }
}

TEST_CASE("variance correction: uncorrelated models lose 1/m, and the scale gives sqrt(m) back") {
  for (std::size_t m : {2u, 4u, 9u}) {
    std::vector<std::vector<float>> models;
    for (std::size_t k = 0; k < m; ++k) models.push_back(bell<float>(40000, 100 + k));
    auto const r = merge<float>(gossip::variance_corrected{}, models, vec(m, 1.0 / static_cast<double>(m)));
    CHECK(r.record.scale == doctest::Approx(std::sqrt(static_cast<double>(m))).epsilon(0.02));
  }
}

TEST_CASE("variance correction: identical models, scaling and shifting") {
  auto const x = bell<float>(3000, 5);
  CHECK(support::same_bits(merge<float>(gossip::variance_corrected{}, {x, x}, {.5, .5}).y, x));
  auto const close = merge<float>(gossip::variance_corrected{}, {x, x, x}, {1.0 / 3, 1.0 / 3, 1.0 / 3}).y;
  float most = 0;
  for (float v : x) most = std::fmax(most, std::fabs(v));
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::fabs(close[i] - x[i]) <= 16 * 0x1p-23f * most);

  auto const a = bell<double>(500, 1), b = bell<double>(500, 2);
  auto const y = merge<double>(gossip::variance_corrected{}, {a, b}, {.3, .7}).y;
  auto scaled_a = a, scaled_b = b;
  for (double& v : scaled_a) v = 4 * v + 3;
  for (double& v : scaled_b) v = 4 * v + 3;
  auto const scaled = merge<double>(gossip::variance_corrected{}, {scaled_a, scaled_b}, {.3, .7}).y;
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(scaled[i] == doctest::Approx(4 * y[i] + 3).epsilon(1e-12));
}

TEST_CASE("variance correction: over a network variances evolve as v <- W v and means as m <- W m") {
  auto const g = gossip::random_regular(10, 3, 2);
  auto const m = gossip::metropolis_hastings(g);
  std::int64_t const d = 700;
  std::vector<double> x, y(7000);
  for (std::int32_t i = 0; i < 10; ++i) {
    auto const row = bell<double>(d, static_cast<std::uint64_t>(i), 1 + i);
    x.insert(x.end(), row.begin(), row.end());
  }
  auto const row_variance = [&](std::size_t i) { return variance(x.data() + i * 700, 700); };
  auto const row_mean = [&](std::size_t i) {
    double s = 0;
    for (std::size_t k = 0; k < 700; ++k) s += x[i * 700 + k] / 700;
    return s;
  };
  vec v(10), mean(10);
  for (std::size_t i = 0; i < 10; ++i) v[i] = row_variance(i), mean[i] = row_mean(i);
  auto const w = gossip::dense(m);
  std::vector<gossip::segment> const segments{{0, d}};
  for (int round = 0; round < 25; ++round) {
    vec next_v(10), next_mean(10);
    for (std::size_t i = 0; i < 10; ++i)
      for (std::size_t j = 0; j < 10; ++j) next_v[i] += w[i * 10 + j] * v[j], next_mean[i] += w[i * 10 + j] * mean[j];
    v = next_v, mean = next_mean;
    gossip::mix(ff::serial, gossip::variance_corrected{}, m, ff::matrix_view<double const>(x.data(), 10, d), segments, ff::matrix_view<double>(y.data(), 10, d));
    std::swap(x, y);
    double total = 0;
    for (std::size_t i = 0; i < 10; ++i) {
      CHECK(row_variance(i) == doctest::Approx(v[i]).epsilon(1e-10));
      CHECK(std::fabs(row_mean(i) - mean[i]) < 1e-12);
      total += row_variance(i);
    }
    double start = 0;
    for (double s : v) start += s;
    CHECK(total == doctest::Approx(start).epsilon(1e-10));
  }
}

TEST_CASE("variance correction: plain averaging of independent models has v_t = (W^t o W^t) v_0") {
  auto const m = gossip::metropolis_hastings(gossip::ring(5));
  std::int64_t const d = 60000;
  std::vector<float> x, y;
  for (std::uint64_t i = 0; i < 5; ++i) {
    auto const row = bell<float>(d, 50 + i);
    x.insert(x.end(), row.begin(), row.end());
  }
  y.resize(x.size());
  auto w = gossip::dense(m), power = w;
  for (int round = 1; round <= 4; ++round) {
    gossip::mix(ff::serial, m, ff::matrix_view<float const>(x.data(), 5, d), ff::matrix_view<float>(y.data(), 5, d));
    std::swap(x, y);
    for (std::size_t i = 0; i < 5; ++i) {
      double expected = 0;
      for (std::size_t j = 0; j < 5; ++j) expected += power[i * 5 + j] * power[i * 5 + j];
      CHECK(variance(x.data() + i * static_cast<std::size_t>(d), static_cast<std::size_t>(d)) == doctest::Approx(expected).epsilon(0.03));
    }
    vec next(25);
    for (std::size_t i = 0; i < 5; ++i)
      for (std::size_t k = 0; k < 5; ++k)
        for (std::size_t j = 0; j < 5; ++j) next[i * 5 + j] += power[i * 5 + k] * w[k * 5 + j];
    power = next;
  }
}

TEST_CASE("variance correction: signals keep their size through averaged linear layers") {
  constexpr std::size_t width = 128, depth = 5, nets = 4;
  std::int64_t const d = width * width * depth;
  std::vector<std::vector<float>> models;
  for (std::uint64_t k = 0; k < nets; ++k) models.push_back(bell<float>(d, 900 + k, std::sqrt(1.0 / width)));
  auto const power = [&](auto const& policy) {
    std::vector<float const*> table;
    for (std::size_t k = 1; k < nets; ++k) table.push_back(models[k].data());
    vec const w(nets - 1, 0.25);
    gossip::inbox<float> in{models[0], 0.25, 0, {table.data(), nets - 1, d}, w};
    std::vector<gossip::segment> segments;
    for (std::int64_t l = 0; l < static_cast<std::int64_t>(depth); ++l)
      segments.push_back(gossip::tensor_segment(l * static_cast<std::int64_t>(width * width), std::vector<std::int64_t>{width, width}));
    std::vector<float> net(static_cast<std::size_t>(d));
    gossip::mix(ff::serial, policy, in, segments, net);
    auto signal = bell<double>(width, 1);
    for (std::size_t l = 0; l < depth; ++l) {
      vec next(width);
      for (std::size_t o = 0; o < width; ++o)
        for (std::size_t i = 0; i < width; ++i) next[o] += static_cast<double>(net[(l * width + o) * width + i]) * signal[i];
      signal = next;
    }
    return variance(signal.data(), width);
  };
  CHECK(power(gossip::no_correction{}) < 4e-3);  // about 4^-5
  CHECK(power(gossip::variance_corrected{}) == doctest::Approx(1).epsilon(0.6));
}

TEST_CASE("variance correction: a non-finite element spoils its segment only") {
  std::vector<float> x(40, 1.0f), y(40);
  for (std::size_t i = 0; i < 40; ++i) x[i] = static_cast<float>(i % 7);
  x[3] = std::numeric_limits<float>::infinity();
  std::vector<gossip::segment> const segments{{0, 10}, {10, 10}};
  gossip::mix(ff::serial, gossip::variance_corrected{}, gossip::metropolis_hastings(gossip::ring(2)), ff::matrix_view<float const>(x.data(), 2, 20), segments,
              ff::matrix_view<float>(y.data(), 2, 20));
  for (std::size_t i = 0; i < 40; ++i) CHECK(std::isnan(y[i]) == (i % 20 < 10));
}

TEST_CASE("variance correction: entries far from zero in float") {
  std::vector<float> a(4096), b(4096);
  auto const n1 = bell<float>(4096, 1, 1e-3), n2 = bell<float>(4096, 2, 1e-3);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = 10 + n1[i], b[i] = 10 + n2[i];
  auto const r = merge<float>(gossip::variance_corrected{}, {a, b}, {.5, .5});
  CHECK(r.record.target == doctest::Approx(0.5 * (variance(a.data(), 4096) + variance(b.data(), 4096))).epsilon(1e-9));
  CHECK(r.record.target == doctest::Approx(1e-6).epsilon(0.05));
}

TEST_CASE("variance correction: segments of tensors") {
  auto const conv = gossip::tensor_segment(7, std::vector<std::int64_t>{16, 3, 5, 5});
  CHECK(conv.offset == 7);
  CHECK(conv.count == 1200);
  CHECK(conv.fan_in == 75);
  CHECK(conv.fan_out == 400);
  CHECK(conv.flags == (gossip::seg_mix | gossip::seg_correct));
  CHECK(gossip::tensor_segment(0, std::vector<std::int64_t>{9}).flags == (gossip::seg_mix | gossip::seg_bias));
  CHECK(gossip::tensor_segment(0, std::vector<std::int64_t>{}).count == 1);
  CHECK_THROWS_AS(gossip::tensor_segment(0, std::vector<std::int64_t>{2, -1}), ff::argument_error);
}

TEST_CASE("variance correction: errors") {
  std::vector<vec> const models{x1, x2};
  vec const w{.5, .5};
  double const inf = std::numeric_limits<double>::infinity();
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected<>{.eps = -1}, models, w), doctest::Contains("eps"), ff::argument_error);
  CHECK_THROWS_AS(merge<double>(gossip::variance_corrected<>{.eps = inf}, models, w), ff::argument_error);
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected<>{.max_scale = std::nan("")}, models, w), doctest::Contains("max_scale"), ff::argument_error);
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected<>{.partial = 1.5}, models, w), doctest::Contains("partial"), ff::argument_error);
  vec const negative{-1}, two{1, 1};
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected{gossip::fixed_variance{negative}}, models, w), doctest::Contains("fixed variance"), ff::argument_error);
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected{gossip::fixed_variance{two}}, models, w), doctest::Contains("number of fixed"), ff::argument_error);
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected{gossip::xavier{inf}}, models, w), doctest::Contains("gain"), ff::argument_error);
  CHECK_THROWS_WITH_AS(merge<double>(gossip::variance_corrected{gossip::xavier{1}}, models, w, 3, 0, 0), doctest::Contains("fan_in"), ff::argument_error);
}
