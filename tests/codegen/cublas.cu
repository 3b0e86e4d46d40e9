// ptx-not: each_body.*sink_element : ld.local|st.local
// regs: each_body.*sink_element : 64
#include "fanfold/adapt/cublas.cuh"
#include "fanfold/dispatch/combine.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

template <class T>
void network(cuda::executor const& ex, cublasHandle_t handle, plan_view const& plan, matrix_view<T const> x, matrix_view<float const> weight,
             ffn_weights<T const> const& weights, matrix_view<T> y) {
  expert_ffn(ex, ffn_policy{}, plan, adapt::cublas_ffn<T>(handle, weights, 64), x, weight, y);
}
template void network(cuda::executor const&, cublasHandle_t, plan_view const&, matrix_view<float const>, matrix_view<float const>, ffn_weights<float const> const&, matrix_view<float>);
template void network(cuda::executor const&, cublasHandle_t, plan_view const&, matrix_view<bfloat16 const>, matrix_view<float const>, ffn_weights<bfloat16 const> const&,
                      matrix_view<bfloat16>);
