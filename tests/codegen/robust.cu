// ptx: map_units_bodyILi4ELi0E : ld.global.v4.f32
// ptx: gram_tiles_body : ld.global.nc.v2
// ptx-not: map_units_body|gram_tiles_body : ld.local|st.local|fma.rn
// regs: map_units_bodyILi[1-4]ELi0E : 64
#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bucketing.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/flag_aggregate.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/coordinate_fold.hpp"
#include "fanfold/kernel/gram.hpp"
#include "fanfold/kernel/map_fold.hpp"

namespace ff = fanfold;
using namespace fanfold::aggregate;

// Rules that weigh rows: gram and map_fold on the device, n x n numbers in between on the host. (Networks of coordinate_fold: coordinate_fold.cu.)
void weigh(ff::cuda::executor const& ex, ff::rows_view<float const> rows, ff::view<float> out) {
  robust(ex, krum{.f = 1}, rows, out);
  robust(ex, multi_krum{.f = 1}, rows, out);
  robust(ex, minimum_diameter_average{.f = 1}, rows, out);
  robust(ex, smallest_eigen_average{.f = 1}, rows, out);
  robust(ex, nearest_to_trusted{.f = 1}, rows, out);
  robust(ex, geometric_median{}, rows, out);
  robust(ex, centered_clipping{}, rows, out);
  robust(ex, covariance_filter{.f = 1}, rows, out);
  robust(ex, flag_aggregate{}, rows, out);
  robust(ex, sign_vote{}, rows, out);
  robust(ex, compose(nearest_neighbour_mixing{.f = 1}, krum{.f = 1}), rows, out);
  robust(ex, compose(norm_clip{1}, average{}), rows, out);
  robust(ex, compose(bucketing{.size = 2}, adaptive_robust_clip{.f = 1}, geometric_median{}), rows, out);
}
