// arch: 75 80 90 100 120
// ptx: balance_loss_body : bar.sync
// ptx-not: balance_loss|bias_body|share_body|merge_stats|entries_body : ld.local|st.local
// regs: balance_loss_body : 128
// regs: bias_body : 96
// regs: share_body : 64
// regs: merge_stats_body : 48
// regs: ragged_entries_body : 64
// regs: slot_entries_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/balance_loss.hpp"
#include "fanfold/kernel/transposed.hpp"

namespace route = fanfold::route;

void train(fanfold::cuda::executor const& ex, route::balance_loss const& loss, route::routing_stats_view stats, fanfold::view<double> gradient,
           fanfold::view<float> bias) {
  route::evaluate(ex, loss, stats, stats, gradient, gradient);
  route::update_bias(ex, stats, bias);
  route::update_share(ex, stats, fanfold::as_const(gradient), bias);
  route::merge(ex, stats, stats);
}

// The kernels behind `bin`, which is checked by itself.
void transposed(fanfold::cuda::executor const& ex, route::expert_assignment<float> a, fanfold::bin_view const& placed, route::ragged_assignment<float> ragged,
                route::assignment<float> out) {
  ex.launch(route::detail::ragged_entries_body{}, 8, 256, a, placed, ragged);
  ex.launch(route::detail::slot_entries_body{ex.status()}, 8, 256, a, placed, out);
}
