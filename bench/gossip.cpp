// One node's gossip round from its inbox, one thread: m received models and its own. The limit reads m + 1 models and writes one with ordinary
// stores; with correction the outputs are read and written once more, and all moments are taken in double.
#include "fanfold/gossip/mix.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace {

namespace ff = fanfold;
namespace gossip = ff::gossip;

struct node {
  std::int64_t m, d;
  bench::shared_vector<float> x;
  std::vector<float> out;
  std::vector<float const*> received;
  std::vector<double> weight;
  std::vector<gossip::segment> segments;
  ff::workspace ws;

  node(std::int64_t neighbours, std::int64_t size, std::int64_t tensors)
      : m(neighbours), d(size), x(bench::normal_floats((neighbours + 1) * size)), out(static_cast<std::size_t>(size)),
        weight(static_cast<std::size_t>(neighbours), 1.0 / static_cast<double>(neighbours + 1)) {
    for (std::int64_t k = 1; k <= m; ++k) received.push_back(x->data() + k * d);
    for (std::int64_t t = 0; t < tensors; ++t) segments.push_back({d / tensors * t, d / tensors, 1, 1, gossip::seg_mix | gossip::seg_correct});
  }
  gossip::inbox<float> inbox() const {
    return {ff::view<float const>(x->data(), d), weight[0], 0, ff::rows_view<float const>(received.data(), m, d), weight};
  }
};

template <class Policy>
void add_round(std::string const& name, Policy const& policy, std::int64_t m, std::int64_t full, std::int64_t tensors) {
  std::int64_t const d = bench::size(full) / tensors * tensors, read = 4 * (m + 1) * d, written = 4 * d;
  bench::add(name + " m=" + std::to_string(m) + " d=" + std::to_string(d) + " tensors=" + std::to_string(tensors), {d, read + written}, [=]() -> bench::contest {
    auto const n = std::make_shared<node>(m, d, tensors);
    return {[=] { gossip::mix(ff::serial, policy, n->inbox(), n->segments, n->out, n->ws); }, {}, bench::copy_limit(read, written)};
  });
}

}  // namespace

void bench::register_cases() {
  for (std::int64_t m : {2, 4, 8}) {
    add_round("mix", gossip::no_correction{}, m, 1 << 22, 1);
    add_round("mix, fixed variance", gossip::variance_corrected{gossip::xavier{}}, m, 1 << 22, 1);
    add_round("mix, corrected", gossip::variance_corrected{}, m, 1 << 22, 1);
  }
  add_round("mix, corrected", gossip::variance_corrected{}, 4, 1 << 22, 64);
}
