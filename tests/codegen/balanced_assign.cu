// arch: 75 80 90 100 120
// ptx: auction_body : atom
// ptx: auction_body : bar.sync
// ptx-not: auction_body : ld.local|st.local
// regs: auction_body : 112
// regs: settled_rows_body : 112
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/balanced_assign.hpp"

namespace route = fanfold::route;

// The statistics behind these kernels are the row map's, checked with it.
void balance(fanfold::cuda::executor const& ex, route::balanced_assign const& router, fanfold::matrix_view<float const> scores,
             route::assignment<float> out) {
  run_loop(ex, route::balanced_assign_loop{router}, scores, out, ex.scratch());
}
