// arch: 75 80 90 100 120
// ptx: tree_(level|pull)_body : st.global
// ptx-not: tree_.*_body : ld.local|st.local|call
// regs: tree_.*_body : 64
#include "fanfold/core/small_array.hpp"
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/tree_fold.hpp"
#include "fanfold/kernel/tree_fold.hpp"

// A pair of numbers combined as complex ones: the states are structs, and the operation has a gradient.
struct rotation {
  using state = fanfold::small_array<float, 2>;
  using input = float;
  using output = float;
  static constexpr fanfold::law laws = fanfold::law::none;
  FANFOLD_HD state identity() const { return {{1.0f, 0.0f}}; }
  FANFOLD_HD state lift(float x) const { return {{x, 1.0f - x}}; }
  FANFOLD_HD state combine(state const& a, state const& b) const { return {{a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]}}; }
  FANFOLD_HD float lower(state const& s) const { return s[0]; }
  FANFOLD_HD void combine_vjp(state const& a, state const& b, state const& g, state& ga, state& gb) const {
    ga = {{g[0] * b[0] + g[1] * b[1], g[1] * b[0] - g[0] * b[1]}};
    gb = {{g[0] * a[0] + g[1] * a[1], g[1] * a[0] - g[0] * a[1]}};
  }
};

void trees(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::tree_shape const& shape, fanfold::view<rotation::state> node,
           fanfold::view<rotation::state const> roots, fanfold::view<rotation::state> gradient) {
  fanfold::tree_fold(ex, rotation{}, x, shape, node);
  fanfold::tree_fold_vjp(ex, rotation{}, shape, node, roots, gradient);
}
