// arch: 75 80 90 100 120
// ptx: fold_tiles_body.*plusIf : ld.global.nc.v2.u32
// ptx: fold_tiles_body.*plusIf : shfl.sync.bfly
// ptx-not: fold_.*_body.*plusIf : fma|ld.local|st.local|call
// ptx: fold_pairs_body : shfl.sync.down
// regs: fold_tiles_body.*plusIf : 64
// ptx: fold_tiles_body.*ordered_float_sum : ld.global.nc.v4.u32
// regs: fold_pairs_body.*(plus|ordered) : 64
// ptx: fold_tiles_body.*binned_sumId : ld.global.nc.v(2|4)
// ptx-not: fold_.*binned_sum : fma|ld.local|st.local|call
// regs: fold_.*_body.*binned_sumI[fd]Li[23] : 104
// regs: fold_.*_body.*binned_sumIfLi9 : 168
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"

#include "support/monoids.hpp"

void fold_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::view<float> out) {
  fanfold::fold(ex, fanfold::plus<float>{}, x, out);
}
void fold_ordered_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::view<float> out) {
  fanfold::fold(ex, support::ordered_float_sum{}, x, out);
}

template <class A, class T>
void fold_bins(fanfold::cuda::executor const& ex, fanfold::view<T const> x, fanfold::view<T> out) {
  fanfold::fold(ex, A{}, x, out);
}
template void fold_bins<fanfold::binned_sum<float>>(fanfold::cuda::executor const&, fanfold::view<float const>, fanfold::view<float>);
template void fold_bins<fanfold::exact_sum<float>>(fanfold::cuda::executor const&, fanfold::view<float const>, fanfold::view<float>);
template void fold_bins<fanfold::binned_sum<double>>(fanfold::cuda::executor const&, fanfold::view<double const>, fanfold::view<double>);
