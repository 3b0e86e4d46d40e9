// arch: 75 80 90 100 120
// ptx: scan_totals_body.*plusIf : shfl.sync.idx
// ptx: scan_totals_body.*plusIf : ld.global.v4
// ptx: scan_apply_body.*plusIf : ld.global.v4
// ptx-not: scan_.*_body.*plusIf : fma|ld.local|st.local|call
// regs: scan_totals_body.*plusIf : 64
// regs: scan_apply_body.*plusIf : 96
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/scan.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/monoid/arithmetic.hpp"

void scan_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::view<float> y) {
  fanfold::scan(ex, fanfold::plus<float>{}, x, y, fanfold::scan_kind::inclusive);
}
