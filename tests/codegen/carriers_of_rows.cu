// Carriers with states of several numbers in segmented folds, scans and runs; one architecture.
// arch: 80
// ptx-not: (segments?_(tiles_)?body|scan_.*_body) : fma|ld.local|st.local
// regs: segments?_(tiles_)?body|scan_.*_body : 200
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/scan.hpp"
#include "fanfold/fold/segmented_fold.hpp"
#include "fanfold/kernel/scan.hpp"
#include "fanfold/kernel/segmented_fold.hpp"
#include "fanfold/monoid/affine_map.hpp"
#include "fanfold/monoid/arg_extrema.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"
#include "fanfold/monoid/segmented_lift.hpp"

namespace ff = fanfold;

template <class M>
void fold_rows(ff::cuda::executor const& ex, ff::matrix_view<typename M::input const> x, ff::view<std::int64_t const> offsets,
               ff::matrix_view<typename M::output> out) {
  ff::segmented_fold(ex, M{}, x, offsets, out);
}
auto maxima = &fold_rows<ff::maximum<float>>;
auto soft_maxima = &fold_rows<ff::log_sum_exp<float>>;
auto variances = &fold_rows<ff::moments<2, float>>;
auto sums = &fold_rows<ff::binned_sum<float>>;

template <class M>
void scan_items(ff::cuda::executor const& ex, ff::view<typename M::input const> x, ff::view<typename M::output> y) {
  ff::scan(ex, M{}, x, y, ff::scan_kind::inclusive);
}
auto soft_prefixes = &scan_items<ff::log_sum_exp<float>>;
auto exact_prefixes = &scan_items<ff::binned_sum<float>>;
auto restarted = &scan_items<ff::segmented_lift<ff::plus<float>>>;
auto recurrences = &scan_items<ff::affine_map<float>>;
