// arch: 75 80 90 100 120
// ptx: map_units_bodyILi4ELi0E.*weighted_sumIfEEffE : ld.global.v4.f32
// ptx: map_units_bodyILi4ELi0E.*weighted_sumIfEEffE : st.global.wb.v4
// ptx: map_units_bodyILi2ELi0E.*weighted_sumIdEEddE : ld.global.v2.f64
// ptx: map_units_bodyILi8ELi0E : ld.global.v4
// ptx: map_tiles_bodyINS0_15shifted_momentsELi(0|7)E : ld.global.v4.f32
// ptx: map_tiles_body : st.global.wb.v4
// ptx: measure_tiles_body : ld.global.v4.f32
// ptx-not: map_(units|tiles|pivots)_body|measure_tiles_body : (ld|st)[.](v4[.])?(f32|u32|f64|u16)
// ptx-not: map_(units|tiles|pivots)_body|measure_tiles_body|finish_statistics_body : ld.local|st.local|fma.rn
// regs: map_units_bodyILi[1-8]ELi0E : 64
// regs: map_units_bodyILi[1-8]ELi7E : 128
// regs: map_units_bodyILi1ELi27E : 160
// regs: map_tiles_bodyINS0_15shifted_momentsELi0E : 128
// regs: map_tiles_bodyINS0_15shifted_momentsELi(7|27)E : 184
// regs: measure_tiles_body : 112
// regs: finish_statistics_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/map_fold.hpp"
#include "fanfold/fold/measure.hpp"
#include "fanfold/kernel/map_fold.hpp"

namespace ff = fanfold;

void map_floats(ff::cuda::executor const& ex, ff::weighted_sum<float> sum, ff::row_lists<float const> lists, ff::rows_view<float> out,
                ff::view<ff::element_range const> segments, ff::matrix_view<double> table) {
  ff::map_fold(ex, sum, lists, out, segments);
  ff::map_fold(ex, sum, lists, out, segments, ff::measured<ff::shifted_moments>{.inputs = false, .out = table});
  ff::measure(ex, ff::shifted_moments{}, lists.rows, segments, table);
}

template <class T>
void map_rows(ff::cuda::executor const& ex, ff::weighted_sum<ff::arithmetic_t<T>> sum, ff::rows_view<T const> rows, ff::rows_view<T> out,
              ff::view<ff::element_range const> segments) {
  ff::map_fold(ex, sum, rows, out, segments);
}
template void map_rows(ff::cuda::executor const&, ff::weighted_sum<float>, ff::rows_view<ff::bfloat16 const>, ff::rows_view<ff::bfloat16>,
                       ff::view<ff::element_range const>);
template void map_rows(ff::cuda::executor const&, ff::weighted_sum<float>, ff::rows_view<ff::float16 const>, ff::rows_view<ff::float16>,
                       ff::view<ff::element_range const>);
template void map_rows(ff::cuda::executor const&, ff::weighted_sum<double>, ff::rows_view<double const>, ff::rows_view<double>,
                       ff::view<ff::element_range const>);
