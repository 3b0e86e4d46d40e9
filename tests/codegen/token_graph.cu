// arch: 75 80 90 100 120
// ptx: mix_rows_body : vote.sync.ballot
// ptx-not: mix_rows|related_scores|similarity|reduce_heads : ld.local|st.local
// regs: mix_rows_body : 80
// regs: related_scores_body : 112
// regs: similarity_body : 112
// regs: reduce_heads_body : 112
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/token_graph.hpp"

namespace route = fanfold::route;
using fanfold::matrix_view;

// The choice behind these kernels is the row map's, checked with it.
void related(fanfold::cuda::executor const& ex, route::token_graph_router<true> const& router, route::similarity const& s, matrix_view<float const> x,
             matrix_view<float> relation, fanfold::view<float> rows) {
  auto& ws = ex.scratch();
  route::relate(ex, s, x, x, relation, ws);
  route::reduce_heads(ex, route::head_reduce::min_entropy, 8, x, relation, ws);
  run_loop(ex, route::token_graph_loop<true>{router}, x, rows, rows, ws);
}
