// ptx: map_units_bodyILi4ELi0E.*IfEEff : ld.global.v4.f32
// ptx-not: correction_body|map_(units|tiles|pivots)_body : ld.local|st.local|fma.rn
// regs: correction_body.*12contributorsE : 128
// regs: correction_body.*14fixed_varianceE : 64
// regs: map_units_bodyILi[1-4]ELi0E : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/gossip/mix.hpp"
#include "fanfold/kernel/mix.hpp"

namespace ff = fanfold;
namespace gossip = fanfold::gossip;

void mix_rounds(ff::cuda::executor const& ex, gossip::mixing_matrix<> const& m, ff::rows_view<float const> models, ff::view<gossip::segment const> segments,
                ff::rows_view<float> next, ff::view<double const> variances, ff::view<gossip::correction_record> record) {
  gossip::mix(ex, gossip::variance_corrected{}, m, models, segments, next, record);
  gossip::mix(ex, gossip::variance_corrected{gossip::fixed_variance{variances}}, m, models, segments, next);
  gossip::mix(ex, gossip::no_correction{}, m, models, segments, next, record);
}

void mix_inbox(ff::cuda::executor const& ex, gossip::inbox<float> const& in, ff::view<gossip::segment const> segments, ff::view<float> out) {
  gossip::mix(ex, gossip::variance_corrected{}, in, segments, out);
}

void mix_halves(ff::cuda::executor const& ex, gossip::mixing_matrix<> const& m, ff::rows_view<ff::bfloat16 const> models,
                ff::view<gossip::segment const> segments, ff::rows_view<ff::bfloat16> next) {
  gossip::mix(ex, gossip::variance_corrected{}, m, models, segments, next);
}
