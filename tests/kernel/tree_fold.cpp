#include "fanfold/kernel/tree_fold.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "fanfold/core/math.hpp"
#include "fanfold/fold/level_sweep.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "support/bits.hpp"
#include "support/emulated.hpp"
#include "support/samples.hpp"

namespace {

namespace ff = fanfold;

// a * b + tanh(a) - 2 b: neither associative nor commutative, with a gradient
struct smooth {
  using state = float;
  using input = float;
  using output = float;
  static constexpr ff::law laws = ff::law::none;
  FANFOLD_HD float identity() const { return 0; }
  FANFOLD_HD float combine(float a, float b) const { return a * b + ff::math::tanh(a) - 2.0f * b; }
  FANFOLD_HD float lift(float x) const { return 0.5f * x; }
  FANFOLD_HD float lower(float s) const { return s; }
  FANFOLD_HD void combine_vjp(float a, float b, float g, float& ga, float& gb) const {
    float const t = ff::math::tanh(a);
    ga = g * (b + (1.0f - t * t));
    gb = g * (a - 2.0f);
  }
};

}  // namespace

TEST_CASE("tree_fold on the emulated device: the nodes and gradients of the host") {
  std::vector<std::vector<std::int64_t>> const shapes{
      {0}, {0, 0}, {0, 1}, {0, 7}, {0, 0, 1, 3, 10, 10, 15, 47, 47}, {0, 300, 301, 301, 333, 397, 1000}, {0, 0, 0, 2, 2}};
  for (auto const& offsets : shapes) {
    CAPTURE(offsets);
    ff::tree_shape const shape{ff::view<std::int64_t const>(offsets)};
    auto const x = support::reals(static_cast<std::size_t>(offsets.back()), 4);
    auto const root = support::reals(static_cast<std::size_t>(shape.segments()), 5);
    auto const tape = ff::tree_fold(ff::serial, smooth{}, x, offsets);
    std::vector<float> expected(x.size());
    ff::tree_fold_vjp(ff::serial, smooth{}, tape, root, expected);
    support::for_each_geometry([&](auto const& ex) {
      std::vector<float> node(tape.node.size(), 9.0f), gradient(x.size(), 9.0f);
      ff::tree_fold(ex, smooth{}, x, shape, node);
      CHECK(support::same_bits(node, tape.node));
      ff::tree_fold_vjp(ex, smooth{}, shape, node, root, gradient);
      CHECK(support::same_bits(gradient, expected));
    });
  }
}

TEST_CASE("tree_fold on a device refuses what does not fit, before it writes") {
  std::vector<std::int64_t> const offsets{0, 3};
  ff::tree_shape const shape{ff::view<std::int64_t const>(offsets)};
  std::vector<float> const x(3, 1.0f);
  std::vector<float> node(5, 9.0f), gradient(3);
  ff::workspace ws;
  ff::emulate::executor const ex(ws, {});
  CHECK_THROWS_WITH_AS(ff::tree_fold(ex, smooth{}, x, shape, node), doctest::Contains("node.size()"), ff::argument_error);
  CHECK_THROWS_WITH_AS(ff::tree_fold(ex, smooth{}, std::vector<float>(2), shape, node), doctest::Contains("x.size()"), ff::argument_error);
  CHECK_THROWS_AS(ff::tree_fold_vjp(ex, smooth{}, shape, node, std::vector<float>(1), gradient), ff::argument_error);
  CHECK(node == std::vector<float>(5, 9.0f));
}

// longest paths: each level reads what the one before wrote
TEST_CASE("level_sweep carries an executor's loops along a graph") {
  // 0 -> 2, 1 -> 2, 2 -> 3, 0 -> 3, 3 -> 4, 1 -> 5
  std::vector<std::int64_t> const offsets{0, 0, 0, 2, 4, 5, 6};
  std::vector<std::int32_t> const ids{0, 1, 0, 2, 3, 1};
  ff::csr_view<float const> const predecessors{offsets, ids, {}};
  auto const dag = ff::dag_levels_of(predecessors);
  std::vector<std::int32_t> const nodes = dag.nodes;  // a device would hold a copy
  auto const paths = [&](auto const& ex) {
    std::vector<float> count(6, 1.0f);
    ff::level_sweep(ex, dag, nodes, [&](auto const& with, ff::view<std::int32_t const> level) {
      for (std::int64_t i = 0; i < level.size(); ++i) {  // one row at a time: what a sweep asks of a loop is order, not speed
        std::int64_t const v = level[i];
        if (offsets[static_cast<std::size_t>(v)] == offsets[static_cast<std::size_t>(v) + 1]) continue;
        ff::csr_view<float const> const row{ff::view<std::int64_t const>(offsets).subview(v, 2), ids, {}};
        ff::neighbour_fold(with, ff::plus<float>{}, row, ff::source_rows{ff::matrix_view<float const>(count.data(), 6, 1)},
                           ff::matrix_view<float>(count.data() + v, 1, 1));
      }
    });
    return count;
  };
  std::vector<float> const expected{1, 1, 2, 3, 3, 1};
  CHECK(paths(ff::serial) == expected);
  support::for_each_geometry([&](auto const& ex) { CHECK(paths(ex) == expected); });
}
