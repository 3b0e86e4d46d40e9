// arch: 75 80 90 100 120
// ptx: choice_scores_body : ld.global.nc.v4
// ptx: limited_choice_body : vote.sync.ballot
// ptx-not: choice : ld.local|st.local
// regs: choice_scores_body : 112
// regs: limited_choice_body : 64
// regs: choice_places_body : 112
// regs: choice_gradient_body : 112
// regs: choice_rows_vjp_body : 112
// regs: place_sums_body : 80
// regs: item_words_body : 48
// regs: segment_words_body : 48
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/expert_choice.hpp"

namespace fanfold::inline FANFOLD_ABI::cuda {

// The toolkit's sort is not what is checked here.
template <class K, class V>
void sort_pairs(executor const&, view<K const>, view<K>, view<V const>, view<V>, int, workspace&);

}  // namespace fanfold::inline FANFOLD_ABI::cuda

namespace route = fanfold::route;

// The statistics behind these kernels are the row map's, checked with it.
void choose(fanfold::cuda::executor const& ex, route::expert_choice const& router, fanfold::matrix_view<float const> logits,
            route::expert_assignment<float> out, fanfold::matrix_view<float> dlogits, fanfold::view<double> sums) {
  run_loop(ex, route::expert_choice_loop{router, {}}, logits, out, ex.scratch());
  run_loop(ex, route::place_sums_loop{}, fanfold::as_const(out.weight), sums);
  route::assign_vjp(ex, router, logits, out, out.weight, dlogits);
}
