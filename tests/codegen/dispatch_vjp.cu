// arch: 75 80 90 100 120
// ptx: sum_vjp_bodyILi2 : ld.global.nc.v2
// ptx: sum_vjp_bodyILi2 : st.global.v2
// ptx: sum_vjp_bodyILi2 : shfl.sync.down
// ptx: assignment_dots_bodyILi2 : ld.global.nc.v2
// ptx-not: sum_vjp_body|assignment_dots_body|combine_vjp : ld.local|st.local|call|fma.rn.f32
// ptx: hidden_bodyILi4 : ld.global.nc.v4
// ptx: hidden_vjp_bodyILi4 : st.global.v4
// ptx: weight_gradient_body : ld.global.nc.v4
// ptx: weight_gradient_body : ld.shared.v4
// ptx: weight_gradient_body : fma.rn.f32
// ptx: weight_gradient_body : st.global.v4
// ptx-not: weight_gradient_body|hidden_body|hidden_vjp_body|kept_rows_body : ld.local|st.local
// regs: sum_vjp_body : 128
// regs: assignment_dots_body : 96
// regs: combine_vjp : 96
// regs: weight_gradient_body : 112
// regs: hidden_body|hidden_vjp_body|kept_rows_body : 96
#include "fanfold/cuda/executor.cuh"
#include "fanfold/dispatch/expert_ffn_vjp.hpp"
#include "fanfold/kernel/dispatch_vjp.hpp"
#include "fanfold/kernel/grouped_gemm_vjp.hpp"
#include "fanfold/monoid/extrema.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

using floats = matrix_view<float const>;

void network(fanfold::cuda::executor const& ex, plan_view const& plan, floats x, floats weight, floats dy, ffn_weights<float const> const& weights, matrix_view<float> dx,
             matrix_view<float> dweight, ffn_weights<float> const& dweights) {
  expert_ffn_vjp(ex, ffn_policy{}, plan, weights, x, weight, dy, dx, dweight, dweights);
}
void sums(fanfold::cuda::executor const& ex, plan_view const& plan, matrix_view<bfloat16 const> rows, floats weight, floats dy, matrix_view<float> drows, matrix_view<float> dweight,
          matrix_view<float> dbias) {
  fold_combine_vjp(ex, weighted_sum{}, plan, rows, weight, dy, drows, dweight);
  gather_vjp(ex, scaled{weight}, plan, dy, floats(drows.data(), drows.rows(), drows.cols()), drows, dweight);
  grouped_bias_gradient(ex, plan, drows, dbias);
}
void maxima(fanfold::cuda::executor const& ex, plan_view const& plan, floats rows, floats weight, floats dy, matrix_view<float> drows, matrix_view<float> dweight) {
  fold_combine_vjp(ex, combine_policy{maximum<float>{}, scale{}, by_expert{}}, plan, rows, weight, dy, drows, dweight);
}
