// Dispatch in one piece: routes to a plan, through a bank of expert networks, back to the tokens.

// [dispatch]
#include <fanfold/dispatch/expert_ffn.hpp>
#include <fanfold/dispatch/plan.hpp>

#include <cstdint>
#include <cstdio>
#include <vector>

namespace ff = fanfold;

int main() {
  // two experts of one hidden unit on tokens of one feature; the second one negates its gate
  std::vector<float> const gate{1, -1}, up{0.5f, 1}, down{1, 2};
  ff::dispatch::ffn_weights<float const> const weights{{gate.data(), 2, 1, 1}, {up.data(), 2, 1, 1}, {down.data(), 2, 1, 1}};
  ff::dispatch::packed_ffn<float> const packed(weights);  // once

  // three tokens, two slots each; the last token uses one
  std::vector<std::int32_t> const id{0, 1, 1, 0, 1, -1};
  std::vector<float> const weight{0.75f, 0.25f, 0.5f, 0.5f, 1, 0}, x{2, -1, 3};
  std::vector<float> y(3);
  ff::route::assignment<float const, std::int32_t const> const routes{{id.data(), 3, 2}, {weight.data(), 3, 2}};

  ff::workspace ws;
  ff::dispatch::dispatch_plan plan(ff::dispatch::packed{}, 3, 2, 2);
  ff::dispatch::make_plan(ff::serial, ff::dispatch::packed{}, routes, plan.view(), ws);
  ff::dispatch::expert_ffn(ff::serial, ff::dispatch::ffn_policy{}, plan.view(), packed, ff::matrix_view(x.data(), 3, 1), routes.weight,
                           ff::matrix_view(y.data(), 3, 1), ws);
  for (float v : y) std::printf("%.6f\n", static_cast<double>(v));  // 1.082790, -0.663823, -0.853666
}
// [/dispatch]

// output:
// 1.082790
// -0.663823
// -0.853666
