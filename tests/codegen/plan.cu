// arch: 80 90
// ptx-not: sort_keys_body|bin_keys_body|each_body : ld.local|st.local
// regs: sort_keys_body|bin_keys_body : 48
// regs: each_body : 32
#include "fanfold/cuda/executor.cuh"
#include "fanfold/cuda/sort.cuh"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/kernel/bin.hpp"
#include "fanfold/kernel/dispatch.hpp"
#include "fanfold/kernel/plan.hpp"

using namespace fanfold;
using namespace fanfold::dispatch;

void plans(fanfold::cuda::executor const& ex, route::assignment<float const, std::int32_t const> const& routes, plan_view const& plan) {
  make_plan(ex, plan_policy{packed{}, priority<>{}}, routes, plan);
  make_plan(ex, plan_policy{capacity{8}, token_major{}, by_score{}}, routes, plan);
  make_plan(ex, plan_policy{masked{8}, token_major{}, at_random{}}, routes, plan);
}
