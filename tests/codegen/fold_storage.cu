// The storage types of a fold: pairs of items a load, sums in the accumulator.
// arch: 75 80 90 100 120
// ptx: fold_tiles_body.*float16 : ld.global.nc.u32
// ptx: fold_tiles_body.*bfloat16 : ld.global.nc.u32
// ptx: fold_tiles_body.*plusId : ld.global.nc.v
// ptx-not: fold_.*_body : fma|ld.local|st.local|call
// regs: fold_.*_body : 96
#include "fanfold/core/half.hpp"
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

template <class T>
void fold_items(fanfold::cuda::executor const& ex, fanfold::view<T const> x, fanfold::view<typename fanfold::plus<T>::output> out) {
  fanfold::fold(ex, fanfold::plus<T>{}, x, out);
}
auto of_halves = &fold_items<fanfold::float16>;
auto of_brain_floats = &fold_items<fanfold::bfloat16>;
auto of_doubles = &fold_items<double>;
auto of_integers = &fold_items<std::int32_t>;
