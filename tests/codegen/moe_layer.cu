// ptx-not: each_body|token_body : ld.local|st.local
// regs: each_body : 64
// regs: token_body : 96
#include "fanfold/cuda/executor.cuh"
#include "fanfold/cuda/sort.cuh"
#include "fanfold/dispatch/moe_layer_vjp.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch_vjp.hpp"
#include "fanfold/kernel/grouped_gemm_vjp.hpp"
#include "fanfold/kernel/plan.hpp"
#include "fanfold/kernel/row_map.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

void layer(fanfold::cuda::executor const& ex, matrix_view<float const> x, matrix_view<float const> logits, matrix_view<float> y, ffn_weights<float const> const& weights,
           ffn_weights<float const> const& shared, view<float const> gate, special_experts<float> const& special, route::routing_stats_view stats) {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  moe_layer const whole{router{}, swiglu_experts{weights}, weighted_sum{}, capacity{64}, shared_experts{swiglu_experts{shared}, gate}, special, true};
  whole(ex, x, logits, y, stats);
}
void backward(fanfold::cuda::executor const& ex, matrix_view<float const> x, matrix_view<float const> logits, matrix_view<float const> dy, ffn_weights<float const> const& weights,
              ffn_weights<float const> const& shared, view<float const> gate, special_experts<float> const& special, matrix_view<float> dx, matrix_view<float> dlogits,
              ffn_weights<float> const& dweights, ffn_weights<float> const& dshared, view<float> dgate, special_gradients<float> const& dspecial) {
  using router = route::token_choice<route::softmax_score, route::top_k, route::sum_norm>;
  moe_layer const whole{router{}, swiglu_experts{weights}, weighted_sum{}, capacity{64}, shared_experts{swiglu_experts{shared}, gate}, special, true};
  moe_layer_vjp(ex, whole, x, logits, dy, moe_gradients{dx, dlogits, dweights, shared_gradients{dshared, dgate}, dspecial});
}
