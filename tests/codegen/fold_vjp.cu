// arch: 75 80 90 100 120
// ptx: fold_vjp_body.*log_sum_exp : ld.global
// ptx: segmented_vjp_body.*plus : st.global
// ptx-not: _vjp_body : fma|ld.local|st.local|call
// regs: _vjp_body.*(plus|log_sum_exp|extremum) : 64
// regs: _vjp_body.*moments : 80
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold_vjp.hpp"
#include "fanfold/kernel/fold_vjp.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/arg_extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"

template <class A, class G>
void pull(fanfold::cuda::executor const& ex, fanfold::matrix_view<float const> x, fanfold::view<std::int64_t const> offsets,
          fanfold::matrix_view<typename A::state const> states, fanfold::matrix_view<G const> g, fanfold::matrix_view<float> dx) {
  fanfold::fold_vjp(ex, A{}, fanfold::view<float const>(x.data(), x.cols()), fanfold::view<typename A::state const>(states.data(), 1),
                    fanfold::view<G const>(g.data(), 1), fanfold::view<float>(dx.data(), dx.cols()));
  fanfold::segmented_fold_vjp(ex, A{}, x, offsets, states, g, dx);
}
template <class A, class G = float>
constexpr auto pulled = &pull<A, G>;

auto of_sum = pulled<fanfold::plus<float>>;
auto of_soft_maximum = pulled<fanfold::log_sum_exp<float>>;
auto of_maxima = pulled<fanfold::tied_maximum<float>>;
auto of_moments = pulled<fanfold::moments<2>, fanfold::moments_gradient>;
