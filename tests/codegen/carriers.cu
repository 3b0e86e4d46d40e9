// Every carrier with a fixed-size state folds a stream in registers; one architecture.
// arch: 80
// ptx-not: fold_.*_body : fma|ld.local|st.local
// regs: fold_.*_body : 168
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold.hpp"
#include "fanfold/kernel/fold.hpp"
#include "fanfold/monoid/affine_map.hpp"
#include "fanfold/monoid/arg_extrema.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/attention_state.hpp"
#include "fanfold/monoid/boolean.hpp"
#include "fanfold/monoid/compensated.hpp"
#include "fanfold/monoid/counted.hpp"
#include "fanfold/monoid/covariance.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/gaussian_message.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"
#include "fanfold/monoid/product_monoid.hpp"
#include "fanfold/monoid/scaled_product.hpp"
#include "fanfold/monoid/segmented_lift.hpp"
#include "fanfold/monoid/semiring_matrix.hpp"
#include "fanfold/monoid/statistics.hpp"
#include "fanfold/monoid/top_k.hpp"
#include "fanfold/monoid/vector_of.hpp"
#include "fanfold/monoid/vote.hpp"

namespace ff = fanfold;

template <class... A>
struct folded {
  template <class M>
  static void one(ff::cuda::executor const& ex, void const* x, void* out) {
    ff::fold(ex, M{}, ff::view<typename M::input const>(static_cast<typename M::input const*>(x), 1 << 20),
             ff::view<typename M::output>(static_cast<typename M::output*>(out), 1));
  }
  static void all(ff::cuda::executor const& ex, void const* x, void* out) { (one<A>(ex, x, out), ...); }
};

auto sums = &folded<ff::plus<float>, ff::plus<std::int32_t>, ff::product<float>, ff::scaled_product<float>, ff::sum_neumaier<float>,
                    ff::sum_double_double<float>, ff::mean<float>, ff::weighted_mean<float>, ff::standard_deviation<float>, ff::l2_norm<float>,
                    ff::power_mean<float>, ff::counted<ff::plus<float>>>::all;
auto choices = &folded<ff::maximum<float>, ff::minimum<float, ff::nan_policy::ignore>, ff::tied_maximum<float>, ff::arg_max<float>,
                       ff::top_k<float, 4>, ff::any_true, ff::count_true, ff::bit_xor<std::uint32_t>, ff::majority<4>,
                       ff::weighted_vote<3>>::all;
auto statistics = &folded<ff::moments<1>, ff::moments<2>, ff::moments<3>, ff::moments<4>, ff::weighted_moments<2>, ff::covariance<2>,
                          ff::correlation<>, ff::log_sum_exp<float>, ff::attention_state<float, 4>, ff::gaussian_message<float, 2>>::all;
auto compositions = &folded<ff::affine_map<float>, ff::diagonal_affine_map<float, 4>, ff::dense_affine_map<float, 2>,
                            ff::semiring_matrix<ff::max_plus<float>, 2>, ff::segmented_lift<ff::plus<float>>, ff::vector_of<ff::plus<float>, 4>,
                            ff::product_monoid<ff::plus<float>, ff::maximum<float>>>::all;
