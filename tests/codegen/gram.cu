// arch: 75 80 90 100 120
// ptx: gram_tiles_body.*squared_distances : ld.global.nc.v2.u32
// ptx: gram_tiles_body : shfl.sync
// ptx-not: gram : ld.local|st.local|fma.rn.f32|fma.rn.f64
// regs: gram_tiles_body : 200
// regs: gram_pairs_body : 168
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/gram.hpp"
#include "fanfold/kernel/gram.hpp"

void gram_floats(fanfold::cuda::executor const& ex, fanfold::rows_view<float const> x, fanfold::matrix_view<double> out) {
  fanfold::gram(ex, fanfold::squared_distances{}, x, out);
  fanfold::gram(ex, fanfold::centred_products{.reference = 1}, x, out);
}
void gram_doubles(fanfold::cuda::executor const& ex, fanfold::rows_view<double const> x, fanfold::matrix_view<double> out) {
  fanfold::gram(ex, fanfold::dot_products{}, x, out);
}
