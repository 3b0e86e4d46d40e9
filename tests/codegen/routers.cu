// arch: 80
// ptx-not: row_map_body : ld.local|st.local
// regs: row_map_body : 128
// regs: row_map_statistics_body : 128
// regs: row_map_vjp_body : 128
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/row_map.hpp"
#include "fanfold/route/assign.hpp"
#include "fanfold/route/routers.hpp"

namespace route = fanfold::route;

template <class Router>
void route_floats(fanfold::cuda::executor const& ex, Router const& router, fanfold::matrix_view<float const> logits, route::assignment<> out,
                  route::routing_stats_view stats, fanfold::matrix_view<float> dlogits) {
  route::assign(ex, router, logits, out, stats);
  route::assign_vjp(ex, router, logits, out, out.weight, dlogits);
}

template void route_floats(fanfold::cuda::executor const&, route::dynmole_router const&, fanfold::matrix_view<float const>, route::assignment<>,
                           route::routing_stats_view, fanfold::matrix_view<float>);
template void route_floats(fanfold::cuda::executor const&, route::gshard_router const&, fanfold::matrix_view<float const>, route::assignment<>,
                           route::routing_stats_view, fanfold::matrix_view<float>);
template void route_floats(fanfold::cuda::executor const&, route::adamoe_router const&, fanfold::matrix_view<float const>, route::assignment<>,
                           route::routing_stats_view, fanfold::matrix_view<float>);
template void route_floats(fanfold::cuda::executor const&, route::shazeer_router const&, fanfold::matrix_view<float const>, route::assignment<>,
                           route::routing_stats_view, fanfold::matrix_view<float>);
