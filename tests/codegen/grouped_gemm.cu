// arch: 75 80 90 100 120
// ptx: grouped_gemm_body.*gathered.*row_sink : ld.global.nc.v4.u32
// ptx: grouped_gemm_body.*gathered.*row_sink : ld.shared.v4
// ptx: grouped_gemm_body.*gathered.*row_sink : fma.rn.f32
// ptx: grouped_gemm_body.*activated_sink : fma.rn.f32
// ptx-not: grouped_gemm_body : ld.local|st.local
// regs: grouped_gemm_body : 128
#include "fanfold/cuda/executor.cuh"
#include "fanfold/dispatch/expert_ffn.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/grouped_gemm.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

void product(cuda::executor const& ex, plan_view const& plan, matrix_view<float const> x, weight_bank<float const> const& bank, matrix_view<float> y) {
  grouped_gemm(ex, plan, gathered{x}, bank, row_sink{y});
}
void network(cuda::executor const& ex, plan_view const& plan, matrix_view<bfloat16 const> x, matrix_view<float const> weight,
             ffn_weights<bfloat16 const> const& weights, matrix_view<bfloat16> y) {
  expert_ffn(ex, ffn_policy{}, plan, weights, x, weight, y);
}
