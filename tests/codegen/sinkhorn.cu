// arch: 75 80 90 100 120
// ptx: sinkhorn_sweep_body : shfl.sync
// ptx: sinkhorn_group_body : bar.sync
// ptx-not: sinkhorn : ld.local|st.local
// regs: sinkhorn_start_body : 80
// regs: sinkhorn_check_body : 48
// regs: sinkhorn_sweep_body : 96
// regs: sinkhorn_finish_body : 96
// regs: sinkhorn_group_body : 128
// regs: sinkhorn_scale_body : 48
// regs: sinkhorn_route_body : 112
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/sinkhorn.hpp"

namespace route = fanfold::route;

// The statistics behind these kernels are the row map's, checked with it.
void balance(fanfold::cuda::executor const& ex, route::sinkhorn_router const& router, fanfold::matrix_view<float const> logits,
             route::assignment<float> out) {
  run_loop(ex, route::sinkhorn_router_loop{router}, logits, out, ex.scratch());
}
