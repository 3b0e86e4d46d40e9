// arch: 75 80 90 100 120
// ptx: apply_places_body : st.global
// ptx-not: place|budget|device_bins : ld.local|st.local
// regs: apply_places_body : 64
// regs: renumber_body : 48
// regs: place_counts_body : 112
// regs: bin_keys_body : 64
// regs: drop_unplaced_body : 64
// regs: renormalise_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/kernel/placement.hpp"

namespace fanfold::inline FANFOLD_ABI::cuda {

// The toolkit's sort is not what is checked here.
template <class K, class V>
void sort_pairs(executor const&, view<K const>, view<K>, view<V const>, view<V>, int, workspace&);

}  // namespace fanfold::inline FANFOLD_ABI::cuda

namespace route = fanfold::route;

void place_all(fanfold::cuda::executor const& ex, route::assignment<float> a, fanfold::view<std::int64_t const> capacity, route::placement const& out,
               fanfold::view<std::int32_t const> device) {
  route::place(ex, route::batch_prioritised_order{}, a, capacity, out);
  route::place(ex, route::by_score_order{}, a, capacity, out);
  route::drop_over_budget(ex, a, device, capacity);
  route::renormalise_survivors(ex, a);
}
