#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "fanfold/core/math.hpp"
#include "fanfold/core/random.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/io/npy.hpp"

namespace swarm {

// Streams of the seed that this example draws from.
enum stream : std::uint32_t { split_stream = 1, share_stream = 2, batch_stream = 3, start_stream = 4 };

/// Images as rows of 64 values in [0, 1] and their labels.
struct image_set {
  std::vector<float> pixels;
  std::vector<std::uint8_t> labels;

  std::int64_t size() const { return static_cast<std::int64_t>(labels.size()); }
  fanfold::matrix_view<float const> images() const { return {pixels.data(), size(), 64}; }
  void add(std::uint8_t const* image, std::uint8_t label) {
    for (int i = 0; i < 64; ++i) pixels.push_back(static_cast<float>(image[i]) / 16.0f);
    labels.push_back(label);
  }
};

struct digits {
  image_set test;
  std::vector<image_set> node;  // the training images of each node
};

/// A gamma variate of shape a (Marsaglia and Tsang 2000; a below 1 by the usual power of a uniform).
inline double gamma_variate(double a, fanfold::random_stream const& r, std::uint64_t& i) {
  if (a < 1) {
    double const u = static_cast<double>(r.u01(i++));
    return gamma_variate(a + 1, r, i) * fanfold::math::exp(fanfold::math::log(u) / a);
  }
  double const d = a - 1.0 / 3, c = 1 / fanfold::math::sqrt(9 * d);
  for (;;) {
    double const x = static_cast<double>(r.normal(i++)), t = 1 + c * x, v = t * t * t;
    double const u = static_cast<double>(r.u01(i++));
    if (v > 0 && fanfold::math::log(u) < 0.5 * x * x + d - d * v + d * fanfold::math::log(v)) return d * v;
  }
}

/// Shares of one class: Dirichlet(alpha) over the nodes, as counts that sum to `total`.
inline std::vector<std::int64_t> dirichlet_counts(std::int64_t total, std::int32_t nodes, double alpha, fanfold::random_stream const& r) {
  std::vector<double> weight(static_cast<std::size_t>(nodes));
  std::uint64_t element = 0;
  double sum = 0;
  for (double& w : weight) sum += w = gamma_variate(alpha, r, element);
  std::vector<std::int64_t> count(weight.size());
  double edge = 0;
  std::int64_t begin = 0;
  for (std::size_t n = 0; n < weight.size(); ++n) {
    edge += weight[n] / sum;
    std::int64_t const end = n + 1 == weight.size() ? total : std::llround(edge * static_cast<double>(total));
    count[n] = end - begin;
    begin = end;
  }
  return count;
}

/// The handwritten digits, a fifth held out for the test, the rest dealt to the nodes class by class with label skew Dirichlet(alpha).
/// A deal that leaves a node with fewer than eight images is dealt again.
inline digits load_digits(std::string const& folder, std::int32_t nodes, std::uint64_t seed, double alpha = 0.5) {
  auto const images = fanfold::io::read_npy<std::uint8_t>(folder + "/digits_images.npy");
  auto const labels = fanfold::io::read_npy<std::uint8_t>(folder + "/digits_labels.npy");
  auto const total = static_cast<std::int64_t>(labels.data.size());
  fanfold::check_argument(images.shape == std::vector<std::int64_t>{total, 64}, "swarm", "shape of the images", images.shape.size(), "labels x 64");

  std::vector<std::int32_t> order(static_cast<std::size_t>(total));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int32_t>(i);
  fanfold::shuffle(fanfold::random_stream{seed, split_stream, 0}, order);

  digits d;
  std::vector<std::vector<std::int32_t>> of_class(10);
  for (std::int64_t i = 0; i < total; ++i) {
    auto const image = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
    if (i < total / 5)
      d.test.add(images.data.data() + 64 * image, labels.data[image]);
    else
      of_class[labels.data[image]].push_back(order[static_cast<std::size_t>(i)]);
  }
  for (std::uint32_t attempt = 0;; ++attempt) {
    d.node.assign(static_cast<std::size_t>(nodes), {});
    for (std::uint32_t c = 0; c < 10; ++c) {
      auto const count = dirichlet_counts(static_cast<std::int64_t>(of_class[c].size()), nodes, alpha, {seed, share_stream, 16 * attempt + c});
      std::size_t next = 0;
      for (std::size_t n = 0; n < count.size(); ++n)
        for (std::int64_t k = 0; k < count[n]; ++k, ++next) {
          auto const image = static_cast<std::size_t>(of_class[c][next]);
          d.node[n].add(images.data.data() + 64 * image, labels.data[image]);
        }
    }
    bool enough = true;
    for (image_set const& s : d.node) enough = enough && (s.size() >= 8 || nodes > 100);
    if (enough || attempt == 1000) break;
  }
  for (image_set const& s : d.node) fanfold::check_argument(s.size() > 0, "swarm", "images of a node", s.size(), "1 or more (fewer nodes)");
  return d;
}

}  // namespace swarm
