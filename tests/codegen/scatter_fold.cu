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

using sum = fanfold::binned_sum<float, 2>;

void scatter(fanfold::cuda::executor const& ex, fanfold::view<std::int32_t const> index, fanfold::view<float const> x,
             fanfold::view<std::int32_t const> n, fanfold::view<float> y, fanfold::view<std::int64_t> m) {
  fanfold::scatter_fold(ex, fanfold::maximum<float>{}, index, x, y, fanfold::order::reproducible);
  fanfold::scatter_fold(ex, fanfold::plus<std::int32_t>{}, index, n, m, fanfold::order::reproducible);
}

// the answers' rounding indexes words at run time, so only the passes over the items are asked for no local memory
void scatter_sums(fanfold::cuda::executor const& ex, fanfold::view<std::int32_t const> index, fanfold::matrix_view<float const> x,
                  fanfold::view<std::uint64_t> words, fanfold::view<std::uint32_t> named) {
  ex.launch(fanfold::detail::scatter_items_body<sum, true>{sum{}, ex.status()}, 8, 256, index, x, words, named);
  ex.launch(fanfold::detail::scatter_items_body<sum, false>{sum{}, ex.status()}, 8, 256, index, x, words, named);
}
