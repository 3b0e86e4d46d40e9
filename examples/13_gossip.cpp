// Gossip: a topology, weights, a correction.

// [gossip]
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/core/random_fill.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/gossip/metrics.hpp"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/gossip/mixing.hpp"
#include "fanfold/gossip/topology.hpp"
#include "fanfold/gossip/variance_correction.hpp"
#include "fanfold/monoid/moments.hpp"

namespace ff = fanfold;

int main() {
  // sixteen models of 4,096 independent weights of variance 1
  constexpr std::int64_t nodes = 16, parameters = 4096;
  std::vector<float> models(nodes * parameters), next(models.size());
  ff::fill_normal(ff::random_stream{.seed = 7}, 0, models);
  std::vector<ff::gossip::segment> const segments{{.offset = 0, .count = parameters}};

  auto const net = ff::gossip::random_regular(nodes, 4, 7);
  auto const w = ff::gossip::metropolis_hastings(net);
  std::printf("16 nodes, %lld links, spectral gap %.3f\n", static_cast<long long>(net.edges().size()), ff::gossip::spectral_gap(w));

  ff::thread_pool pool(2);
  ff::matrix_view<float> const from(models.data(), nodes, parameters), to(next.data(), nodes, parameters);
  auto const variance = [&] { return ff::fold(ff::moments<2, float>{}, to.row(0)).variance(); };

  ff::gossip::mix(pool.ref(), w, from, to);
  std::printf("variance of a node's weights after plain averaging: %.3f\n", variance());
  ff::gossip::mix(pool.ref(), ff::gossip::variance_corrected{}, w, from, segments, to);
  std::printf("after variance-corrected averaging: %.3f\n", variance());
}
// [/gossip]

// output:
// 16 nodes, 32 links, spectral gap 0.265
// variance of a node's weights after plain averaging: 0.205
// after variance-corrected averaging: 1.002
