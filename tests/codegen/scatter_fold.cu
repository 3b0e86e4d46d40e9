// arch: 75 80 90 100 120
// ptx: scatter_items_body.*plusIi : (atom|red).*add.u64
// ptx: scatter_items_body.*extremum : (atom|red).*max.u64
// ptx: scatter_items_body.*binned_sum.*Lb0 : (atom|red).*add.u64
// ptx: scatter_items_body.*binned_sum.*Lb1 : (atom|red).*max.u64
// ptx-not: scatter_.*_body : ld.local|st.local|call
// regs: scatter_items_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/scatter_fold.hpp"
#include "fanfold/kernel/scatter_fold.hpp"

void scatter(fanfold::cuda::executor const& ex, fanfold::view<std::int32_t const> index, fanfold::view<float const> x,
             fanfold::view<std::int32_t const> n, fanfold::view<float> y, fanfold::view<std::int64_t> m) {
  fanfold::scatter_fold(ex, fanfold::binned_sum<float, 2>{}, index, x, y, fanfold::order::reproducible);
  fanfold::scatter_fold(ex, fanfold::maximum<float>{}, index, x, y, fanfold::order::reproducible);
  fanfold::scatter_fold(ex, fanfold::plus<std::int32_t>{}, index, n, m, fanfold::order::reproducible);
}
