#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fanfold/core/executor.hpp"
#include "fanfold/gossip/metrics.hpp"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/gossip/mixing.hpp"
#include "fanfold/gossip/topology.hpp"
#include "fanfold/gossip/variance_correction.hpp"
#include "fanfold/monoid/moments.hpp"
#include "swarm/network.hpp"
#include "swarm/options.hpp"

namespace swarm {

inline constexpr std::int64_t batch_size = 32;
inline constexpr float learning_rate = 0.05f;

inline ff::gossip::graph links_of(options const& o) {
  switch (o.links) {
    case topology::ring: return ff::gossip::ring(o.nodes);
    case topology::complete: return ff::gossip::complete(o.nodes);
    case topology::barabasi_albert: return ff::gossip::barabasi_albert(o.nodes, o.degree, o.seed);
    case topology::torus: {
      auto const [rows, cols] = ff::gossip::near_square(o.nodes);
      return ff::gossip::torus(rows, cols);
    }
    default: return ff::gossip::random_regular(o.nodes, o.degree, o.seed);
  }
}

/// The parameter vector as gossip sees it: weight tensors are mixed and corrected, biases mixed.
inline std::vector<ff::gossip::segment> gossip_segments() {
  std::vector<ff::gossip::segment> list;
  for (tensor const& t : tensors())
    list.push_back({t.offset, t.size(), static_cast<float>(t.rows), static_cast<float>(t.cols),
                    t.is_bias() ? ff::gossip::seg_mix | ff::gossip::seg_bias : ff::gossip::seg_mix | ff::gossip::seg_correct});
  return list;
}

enum class averaging { plain_gossip, corrected_gossip, federated };

/// What a run looked like after a round.
struct report {
  std::int32_t round = 0;
  double mean_accuracy = 0, worst_accuracy = 0;
  double consensus_distance = 0;
  double variance_ratio = 0;            // of weight tensors: variance over Xavier's, mean over tensors and nodes
  std::vector<std::int64_t> load;       // choices of each expert over the test set, all nodes
};

/// One swarm: the models of all nodes, trained locally and averaged round by round. The results are a function of the options alone.
template <class Executor>
class run {
 public:
  run(Executor const& ex, options const& o, digits const& data, averaging kind)
      : ex_(ex), options_(o), data_(data), kind_(kind), segments_(gossip_segments()), d_(parameter_count()),
        models_(static_cast<std::size_t>(o.nodes * d_)), next_(models_.size()) {
    for (std::int32_t n = 0; n < o.nodes; ++n) {
      initialise(model(n), o.seed, kind == averaging::federated ? 0u : static_cast<std::uint32_t>(n));
      nets_.push_back(std::make_unique<network>(std::max<std::int64_t>(batch_size, data.test.size())));
    }
    if (kind == averaging::federated) {
      std::vector<double> sizes;
      for (image_set const& s : data.node) sizes.push_back(static_cast<double>(s.size()));
      weights_ = ff::gossip::data_size(ff::gossip::complete(o.nodes), sizes);
    } else {
      weights_ = ff::gossip::metropolis_hastings(links_of(o));
    }
  }

  /// A round: local steps on every node, then one average.
  void step(std::int32_t round) {
    ff::for_each_task(ex_, options_.nodes, [&](std::int64_t n) { train(n, round); });
    auto const from = stacked(models_), to = stacked(next_);
    if (kind_ != averaging::corrected_gossip) return finish(ff::gossip::no_correction{}, from, to);
    switch (options_.correction) {
      case target::received: return finish(ff::gossip::variance_corrected<ff::gossip::received>{}, from, to);
      case target::self: return finish(ff::gossip::variance_corrected<ff::gossip::own_variance>{}, from, to);
      case target::blend: return finish(ff::gossip::variance_corrected<ff::gossip::blend>{}, from, to);
      case target::xavier: return finish(ff::gossip::variance_corrected<ff::gossip::xavier>{}, from, to);
      default: return finish(ff::gossip::variance_corrected<ff::gossip::contributors>{}, from, to);
    }
  }

  report measure(std::int32_t round) {
    std::vector<double> accuracy(static_cast<std::size_t>(options_.nodes));
    ff::for_each_task(ex_, options_.nodes, [&](std::int64_t n) { accuracy[static_cast<std::size_t>(n)] = accuracy_of(scores(n)); });
    report r{round, 0, 1, 0, 0, std::vector<std::int64_t>(experts)};
    for (double a : accuracy) {
      r.mean_accuracy += a / options_.nodes;
      r.worst_accuracy = std::min(r.worst_accuracy, a);
    }
    for (auto const& net : nets_)
      for (std::int64_t e = 0; e < experts; ++e) r.load[static_cast<std::size_t>(e)] += net->stats().count()[e];
    r.consensus_distance = ff::gossip::consensus_distance(ex_, stacked(models_), ws_);
    r.variance_ratio = variance_ratio();
    return r;
  }

  /// Class scores of node n on the test set; valid until its next forward pass.
  const_matrix scores(std::int64_t n) { return nets_[static_cast<std::size_t>(n)]->forward(model(n), data_.test.images()); }

  double accuracy_of(const_matrix score) const {
    std::int64_t right = 0;
    for (std::int64_t t = 0; t < score.rows(); ++t) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < classes; ++c) best = score(t, c) > score(t, best) ? c : best;
      right += best == data_.test.labels[static_cast<std::size_t>(t)];
    }
    return static_cast<double>(right) / static_cast<double>(score.rows());
  }

  ff::view<float const> weights() const { return models_; }

 private:
  ff::view<float> model(std::int64_t n) { return {models_.data() + n * d_, d_}; }
  ff::matrix_view<float> stacked(std::vector<float>& m) const { return {m.data(), options_.nodes, d_}; }

  void train(std::int64_t n, std::int32_t round) {
    image_set const& own = data_.node[static_cast<std::size_t>(n)];
    ff::random_stream const draws{options_.seed, batch_stream, static_cast<std::uint32_t>(n)};
    std::vector<float> images(static_cast<std::size_t>(batch_size * inputs));
    std::vector<std::uint8_t> labels(static_cast<std::size_t>(batch_size));
    for (std::int64_t s = 0; s < options_.local_steps; ++s) {
      for (std::int64_t i = 0; i < batch_size; ++i) {
        auto const element = static_cast<std::uint64_t>((std::int64_t{round} * options_.local_steps + s) * batch_size + i);
        std::int64_t const pick = draws.below(static_cast<std::uint32_t>(own.size()), element);
        std::copy_n(own.pixels.data() + pick * inputs, inputs, images.data() + i * inputs);
        labels[static_cast<std::size_t>(i)] = own.labels[static_cast<std::size_t>(pick)];
      }
      nets_[static_cast<std::size_t>(n)]->train(model(n), const_matrix(images.data(), batch_size, inputs), labels, learning_rate);
    }
  }

  template <class Policy>
  void finish(Policy const& policy, ff::matrix_view<float> from, ff::matrix_view<float> to) {
    ff::gossip::mix(ex_, policy, weights_, from, segments_, to, ws_);
    models_.swap(next_);
  }

  double variance_ratio() {
    double sum = 0;
    std::int64_t count = 0;
    for (std::int64_t n = 0; n < options_.nodes; ++n)
      for (tensor const& t : tensors()) {
        if (t.is_bias()) continue;
        auto const m = ff::fold(ff::moments<2>{}, model(n).subview(t.offset, t.size()), ws_);
        sum += static_cast<double>(m.variance()) / t.xavier();
        ++count;
      }
    return sum / static_cast<double>(count);
  }

  Executor ex_;
  options const& options_;
  digits const& data_;
  averaging kind_;
  std::vector<ff::gossip::segment> segments_;
  std::int64_t d_;
  std::vector<float> models_, next_;
  std::vector<std::unique_ptr<network>> nets_;
  ff::gossip::mixing_matrix<> weights_;
  ff::workspace ws_;
};

}  // namespace swarm
