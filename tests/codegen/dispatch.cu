// arch: 75 80 90 100 120
// ptx: gather_bodyILi4 : ld.global.nc.v4.u32
// ptx: gather_bodyILi4 : st.global.v4
// ptx: combine_bodyILi4ELb0.*plusIf.*by_slotEf : ld.global.nc.v4.u32
// ptx: combine_bodyILi8ELb0.*plusIf.*by_slotE.*bfloat16 : ld.global.nc.v4.u32
// ptx-not: combine_body.*plusIf : fma.rn|ld.local|st.local|call
// regs: gather_body : 64
// regs: combine_bodyILi.ELb0.*plusIf.*by_slot : 96
#include "fanfold/cuda/executor.cuh"
#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/gather_quantised.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/monoid/extrema.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

void gather_floats(cuda::executor const& ex, plan_view const& plan, matrix_view<float const> x, matrix_view<float> rows, matrix_view<bfloat16> narrow,
                   matrix_view<float const> weight) {
  gather(ex, plan, x, rows);
  gather(ex, plan, x, narrow);
  gather(ex, scaled{weight}, plan, x, rows);
}
void gather_codes(cuda::executor const& ex, plan_view const& plan, matrix_view<float const> x, matrix_view<std::int8_t> rows, matrix_view<float> scales) {
  gather(ex, quantised{}, plan, x, rows, scales);
}
void combine_floats(cuda::executor const& ex, plan_view const& plan, matrix_view<float const> rows, matrix_view<bfloat16 const> narrow,
                    matrix_view<float const> weight, matrix_view<float> y) {
  fold_combine(ex, weighted_sum{}, plan, rows, weight, y);
  fold_combine(ex, weighted_sum<by_expert>{}, plan, rows, weight, y, y);
  fold_combine(ex, weighted_sum<by_rank_then_slot>{}, plan, rows, weight, y);
  fold_combine(ex, weighted_sum{}, plan, narrow, weight, y);
  fold_combine(ex, combine_policy{maximum<float>{}, ignore_weight{}}, plan, rows, weight, y);
}
