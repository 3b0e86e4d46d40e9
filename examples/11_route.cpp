// Routing: one pass over each row of logits scores, selects, weighs and counts.

// [route]
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/route/assign.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/token_choice.hpp"

namespace ff = fanfold;
using router = ff::route::token_choice<ff::route::softmax_score, ff::route::top_k, ff::route::sum_norm>;

int main() {
  constexpr std::int64_t tokens = 4, experts = 4, slots = 2;
  std::vector<float> const logits{2.0f, 1.0f, 0.0f, -1.0f,  //
                                  0.5f, 0.5f, 0.5f, 0.5f,   // ties go to the lower index, everywhere
                                  -1.0f, 3.0f, 0.0f, 1.0f,  //
                                  0.0f, 0.0f, 4.0f, 4.0f};
  ff::matrix_view<float const> const rows(logits.data(), tokens, experts);
  std::vector<std::int32_t> id(tokens * slots);
  std::vector<float> weight(tokens * slots);
  ff::route::assignment<float> const chosen{{id.data(), tokens, slots}, {weight.data(), tokens, slots}};

  router const top2{.select = {.k = 2}};
  ff::route::routing_stats stats(experts);
  ff::route::assign(top2, rows, chosen, stats.view());
  for (std::int64_t t = 0; t < tokens; ++t)
    std::printf("token %lld: expert %d (%.3f), expert %d (%.3f)\n", static_cast<long long>(t), chosen.id(t, 0), static_cast<double>(chosen.weight(t, 0)),
                chosen.id(t, 1), static_cast<double>(chosen.weight(t, 1)));

  // the load-balance loss from the statistics, and its gradient back to the logits
  ff::route::balance_loss const loss{.alpha = 1};
  std::vector<double> const d_shares = loss.gradient(stats);
  std::vector<float> d_logits(logits.size());
  ff::route::assign_vjp(top2, rows, chosen, ff::matrix_view<float const>(), ff::matrix_view<float>(d_logits.data(), tokens, experts),
                        ff::route::routing_stats_gradient{.score_sum = ff::view<double const>(d_shares)});
  std::printf("balance loss %.4f, gradient of token 2: %.4f %.4f %.4f %.4f\n", loss.value(stats), static_cast<double>(d_logits[8]),
              static_cast<double>(d_logits[9]), static_cast<double>(d_logits[10]), static_cast<double>(d_logits[11]));
}
// [/route]

// output:
// token 0: expert 0 (0.731), expert 1 (0.269)
// token 1: expert 0 (0.500), expert 1 (0.500)
// token 2: expert 1 (0.881), expert 3 (0.119)
// token 3: expert 2 (0.500), expert 3 (0.500)
// balance loss 1.0572, gradient of token 2: -0.0015 0.0219 -0.0093 -0.0111
