// arch: 75 80 90 100 120
// ptx: short_segments_bodyILi4E.*plusIf : ld.global.nc.v4.u32
// ptx: narrow_segments_body.*plusIf : shfl.sync.down
// ptx: long_segment_tiles_bodyILi4E.*plusIf : ld.global.nc.v4.u32
// ptx-not: segments?_(tiles_)?body.*plusIf : fma|ld.local|st.local|call
// regs: short_segments_body.*plusIf : 96
// regs: narrow_segments_body.*plusIf : 96
// regs: long_segment.*plusIf : 128
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

void fold_rows(fanfold::cuda::executor const& ex, fanfold::matrix_view<float const> x, fanfold::view<std::int64_t const> offsets,
               fanfold::matrix_view<float> out) {
  fanfold::segmented_fold(ex, fanfold::plus<float>{}, x, offsets, out);
}
