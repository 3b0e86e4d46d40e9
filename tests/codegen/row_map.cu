// arch: 75 80 90 100 120
// ptx: row_map_body : ld.global.nc.v4.u32
// ptx: row_map_body : shfl.sync
// ptx: row_map_statistics_body : shfl.sync.down
// ptx-not: row_map.*body : ld.local|st.local
// regs: row_map_body : 112
// regs: row_map_statistics_body : 128
// regs: row_map_vjp_body : 128
// regs: sum_rows_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/route/assign.hpp"

namespace route = fanfold::route;

using mixtral = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;

void route_floats(fanfold::cuda::executor const& ex, fanfold::matrix_view<float const> logits, route::assignment<> out,
                  route::routing_stats_view stats, fanfold::matrix_view<float> dlogits) {
  route::assign(ex, mixtral{.select = {.k = 2}}, logits, out);
  route::assign(ex, mixtral{.select = {.k = 2}}, logits, out, stats);
  route::assign_vjp(ex, mixtral{.select = {.k = 2}}, logits, out, out.weight, dlogits);
}
