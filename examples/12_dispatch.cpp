// Dispatch: carry rows to their experts, run them, fold the results back.

// [dispatch]
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/route/assignment.hpp"

namespace ff = fanfold;

int main() {
  constexpr std::int64_t tokens = 5, slots = 2, experts = 4, width = 2;
  std::vector<std::int32_t> ids{2, 0, 2, 1, 0, 2, 3, 2, 2, 0};
  std::vector<float> weights{.75f, .25f, .5f, .5f, .6f, .4f, .9f, .1f, .8f, .2f};
  ff::route::assignment<float> const routes{{ids.data(), tokens, slots}, {weights.data(), tokens, slots}};

  // which row each assignment takes: histogram, scan, stable placement; reusable for any number of tensors
  ff::dispatch::dispatch_plan memory(ff::dispatch::packed{}, tokens, slots, experts);
  auto const plan = memory.view();
  ff::dispatch::make_plan(ff::dispatch::plan_policy{}, routes, plan);
  for (std::int64_t e = 0; e < experts; ++e)
    std::printf("expert %lld: rows %lld to %lld\n", static_cast<long long>(e), static_cast<long long>(plan.offsets[e]), static_cast<long long>(plan.offsets[e + 1]));

  // expert e multiplies by (e + 1): a grouped product that reads the tokens where they lie
  std::vector<float> const x{1, 10, 2, 20, 3, 30, 4, 40, 5, 50};
  std::vector<float> bank;
  for (float factor : {1.0f, 2.0f, 3.0f, 4.0f}) bank.insert(bank.end(), {factor, 0, 0, factor});
  std::vector<float> rows(tokens * slots * width), y(tokens * width), most(tokens * width);
  ff::dispatch::grouped_gemm(ff::serial, plan, ff::dispatch::gathered{ff::matrix_view<float const>(x.data(), tokens, width)},
                             ff::dispatch::weight_bank<float const>(bank.data(), experts, width, width),
                             ff::dispatch::row_sink{ff::matrix_view<float>(rows.data(), tokens * slots, width)});

  // back to tokens by any monoid: the weighted sum of a mixture of experts, or a maximum
  ff::matrix_view<float const> const results(rows.data(), tokens * slots, width);
  ff::dispatch::fold_combine(ff::dispatch::weighted_sum{}, plan, results, routes.weight, ff::matrix_view<float>(y.data(), tokens, width));
  ff::dispatch::fold_combine(ff::dispatch::combine_policy<ff::maximum<float>, ff::dispatch::ignore_weight>{}, plan, results, ff::matrix_view<float const>(),
                             ff::matrix_view<float>(most.data(), tokens, width));
  for (std::int64_t t = 0; t < tokens; ++t)
    std::printf("token %lld: sum %g, maximum %g\n", static_cast<long long>(t), static_cast<double>(y[static_cast<std::size_t>(2 * t)]),
                static_cast<double>(most[static_cast<std::size_t>(2 * t)]));
}
// [/dispatch]

// output:
// expert 0: rows 0 to 3
// expert 1: rows 3 to 4
// expert 2: rows 4 to 9
// expert 3: rows 9 to 10
// token 0: sum 2.5, maximum 3
// token 1: sum 5, maximum 6
// token 2: sum 5.4, maximum 9
// token 3: sum 15.6, maximum 16
// token 4: sum 13, maximum 15
