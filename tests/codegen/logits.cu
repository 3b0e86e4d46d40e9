// arch: 75 80 90 100 120
// ptx: transposed_product_body : shfl.sync.down
// ptx-not: product|unit_rows|mixing|softmax_body|recurrent|jitter : ld.local|st.local
// regs: transposed_product_body : 128
// regs: plain_product_body : 80
// regs: outer_products_body : 80
// regs: unit_rows_body : 80
// regs: recurrent_gates_body : 64
// regs: jitter_body : 64
// regs: combine_softmax_body : 112
// regs: dispatch_softmax_body : 112
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/logits.hpp"
#include "fanfold/kernel/soft_moe.hpp"

namespace route = fanfold::route;
using fanfold::matrix_view;

void all_sources(fanfold::cuda::executor const& ex, route::cosine_logits<float> const& cosine, route::residual_logits<float> const& residual,
                 route::recurrent_state<float> const& state, matrix_view<float const> x, matrix_view<float> out) {
  route::logits(ex, cosine, x, out);
  route::logits(ex, residual, x, x, out);
  route::advance(ex, state, x, x, out);
  route::jitter(ex, route::row_noise{}, .1f, x, out);
}

void soft_mixture(fanfold::cuda::executor const& ex, route::soft_moe<float> const& moe, matrix_view<float const> x, matrix_view<float> dispatch,
                  matrix_view<float> combine, matrix_view<float> out) {
  route::mixing_weights(ex, moe, x, dispatch, combine);
  route::mix_in(ex, fanfold::as_const(dispatch), x, out);
  route::mix_out(ex, fanfold::as_const(combine), x, out);
}
