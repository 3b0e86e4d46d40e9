// arch: 80 90
// ptx: coordinate_body : ld.global
// ptx: coordinate_body : min.s32
// ptx-not: coordinate : ld.local|st.local|fma
// regs: 15coordinate_bodyILi(4|8|12|16|20|24|32|48)E : 128
// regs: 15coordinate_bodyILi64E : 168
// regs: long_coordinate_body : 255
#include "fanfold/cuda/executor.cuh"
#include "fanfold/fold/coordinate_fold.hpp"
#include "fanfold/kernel/coordinate_fold.hpp"

struct middle {
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    return v[v.size() / 2];
  }
};
struct inner_mean {
  std::int64_t f = 1;
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    return fanfold::sum_of_ranks(v, f, v.size() - f) / V(static_cast<float>(v.size() - 2 * f));
  }
};

void coordinate_floats(fanfold::cuda::executor const& ex, fanfold::rows_view<float const> x, fanfold::matrix_view<float> out) {
  fanfold::coordinate_fold(ex, fanfold::together(middle{}, inner_mean{2}), x, out);
}
