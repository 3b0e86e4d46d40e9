// arch: 75 80 90 100 120
// ptx: count_digits_body : atom
// ptx: write_selected_body : vote.sync.ballot
// ptx-not: select : ld.local|st.local
// regs: selected_body : 64
// regs: count_digits_body : 64
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/select.hpp"
#include "fanfold/kernel/select.hpp"

void select_floats(fanfold::cuda::executor const& ex, fanfold::view<float const> x, fanfold::selection_view<float> const& out) {
  fanfold::select(ex, fanfold::largest_magnitude{.count = 100}, x, out);
}
