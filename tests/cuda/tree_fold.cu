#include "fanfold/fold/tree_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/kernel/tree_fold.hpp"
#include "support/bits.hpp"
#include "support/samples.hpp"

// a * b - 2 b: neither associative nor commutative, with a gradient
struct skewed_product {
  using state = float;
  using input = float;
  using output = float;
  static constexpr fanfold::law laws = fanfold::law::none;
  FANFOLD_HD float identity() const { return 0; }
  FANFOLD_HD float combine(float a, float b) const { return a * b - 2.0f * b; }
  FANFOLD_HD float lift(float x) const { return 0.5f * x; }
  FANFOLD_HD float lower(float s) const { return s; }
  FANFOLD_HD void combine_vjp(float a, float b, float g, float& ga, float& gb) const {
    ga = g * b;
    gb = g * (a - 2.0f);
  }
};

TEST_CASE("tree_fold on a device: the nodes and gradients of the host") {
  std::vector<std::int64_t> const offsets{0, 300, 301, 301, 333, 397, 1000};
  fanfold::tree_shape const shape{fanfold::view<std::int64_t const>(offsets)};
  auto const x = support::reals(1000, 4), root = support::reals(6, 5);
  auto const tape = fanfold::tree_fold(fanfold::serial, skewed_product{}, x, offsets);
  std::vector<float> gradient(x.size());
  fanfold::tree_fold_vjp(fanfold::serial, skewed_product{}, tape, root, gradient);
  auto const device_x = support::upload(x), device_root = support::upload(root);
  support::on_device([&](fanfold::cuda::executor const& ex) {
    fanfold::cuda::buffer<float> node(shape.nodes()), dx(1000);
    fanfold::tree_fold(ex, skewed_product{}, device_x, shape, node);
    fanfold::tree_fold_vjp(ex, skewed_product{}, shape, node, device_root, dx);
    fanfold::finish(ex);
    CHECK(support::same_bits(support::download(ex, node), tape.node));
    CHECK(support::same_bits(support::download(ex, dx), gradient));
  });
}
