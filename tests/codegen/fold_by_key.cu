// arch: 75 80 90 100 120
// ptx: key_heads_body : ld.global
// ptx: key_runs_body : st.global
// ptx-not: key_(heads|runs)_body : ld.local|st.local|call
// regs: key_(heads|runs)_body : 48
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/fold_by_key.hpp"
#include "fanfold/kernel/fold_by_key.hpp"

template <class Key>
void runs_of(fanfold::cuda::executor const& ex, fanfold::view<Key const> keys, fanfold::view<std::int64_t> numbers, fanfold::view<Key> out) {
  ex.launch(fanfold::detail::key_heads_body{}, 8, 256, keys, numbers);
  ex.launch(fanfold::detail::key_runs_body{ex.status()}, 8, 256, keys, fanfold::as_const(numbers), numbers, out, numbers);
}
auto of_ids = &runs_of<std::int32_t>;
auto of_reals = &runs_of<double>;
