// arch: 75 80 90 100 120
// ptx: fold_tiles_body.*plusIf : ld.global.nc.v2.u32
// ptx: fold_tiles_body.*plusIf : shfl.sync.bfly
// ptx-not: fold_.*_body.*plusIf : fma|ld.local|st.local|call
// ptx: fold_pairs_body : shfl.sync.down
// regs: fold_tiles_body.*plusIf : 64
// ptx: fold_tiles_body.*ordered_float_sum : ld.global.nc.v4.u32
// regs: fold_pairs_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

#include "support/monoids.hpp"

void fold_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::view<float> out) {
  fanfold::fold(ex, fanfold::plus<float>{}, x, out);
}
void fold_ordered_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::view<float> out) {
  fanfold::fold(ex, support::ordered_float_sum{}, x, out);
}
