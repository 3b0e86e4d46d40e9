// arch: 75 80 90 100 120
// ptx: coordinate_body : ld.global
// ptx: coordinate_body : min.s(32|64)
// ptx-not: coordinate : ld.local|st.local|fma
// regs: 15coordinate_bodyILi(4|8|12|16|20|24|32)E : 128
// regs: 15coordinate_bodyILi48E : 160
// regs: 15coordinate_bodyILi64E : 208
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
// A window that starts where the data says.
struct near_middle {
  template <class Column>
  FANFOLD_HD auto operator()(Column const& v) const {
    using V = typename Column::value_type;
    std::int64_t const keep = v.size() / 2, slack = v.size() - keep;
    return fanfold::sum_of_window(v, fanfold::choose(v[0] < V(0), V(0), V(static_cast<float>(slack))), keep, slack);
  }
};

void coordinate_floats(fanfold::cuda::executor const& ex, fanfold::rows_view<float const> x, fanfold::matrix_view<float> out) {
  fanfold::coordinate_fold(ex, fanfold::together(middle{}, inner_mean{2}), x, out);
}

// the widest keys with the longest networks
using doubles = fanfold::detail::coordinate_task<fanfold::joined_rules<inner_mean, near_middle>, double, double>;

void coordinate_doubles(fanfold::cuda::executor const& ex, doubles const& task) {
  fanfold::detail::launch_coordinates<64>(ex, task);
  ex.launch(fanfold::detail::long_coordinate_body<doubles>{task, nullptr}, 1, 64);
}
