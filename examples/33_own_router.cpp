// Holds a weight map and a kernel of one's own to the contract of routers.

#include <cstdio>

#include <fanfold/route/assign.hpp>
#include <fanfold/testing/router_contract.hpp>

namespace ff = fanfold;

// [policy]
/// w = y^2.
struct squared_weight {
  ff::route::weight_scale scale{};
  static constexpr bool reads_logits = false, normalises = false;

  template <ff::row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = id[j] < 0 ? R(0) : y[id[j]] * y[id[j]];
    g.sync();
  }
  template <ff::row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* y, std::int32_t const* id, R*, R const* dw, R* dy, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (id[j] >= 0) dy[id[j]] = R(2) * y[id[j]] * dw[j];
    g.sync();
  }
};
using my_router = ff::route::token_choice<ff::route::softmax_score, ff::route::top_k, squared_weight>;
// [/policy]

// The index of the largest logit, by `>=`: of equal ones the last, which the contract forbids.
void my_kernel(ff::matrix_view<float const> logits, ff::route::assignment<> out) {
  for (std::int64_t t = 0; t < logits.rows(); ++t) {
    std::int32_t best = 0;
    for (std::int32_t e = 1; e < logits.cols(); ++e)
      if (logits(t, e) >= logits(t, best)) best = e;
    out.id(t, 0) = best;
    out.weight(t, 0) = 1;
  }
}

int main() {
  // [check]
  my_router const router{.select = {.k = 3}};
  auto const executors = [](auto const& f) { f("serial", ff::serial); };  // and every other one that you use
  std::size_t wrong = 0;
  for (auto const& load : ff::testing::router_workloads<float>(40, 17, 1)) {
    wrong += ff::testing::check_router(router, load, executors).size();
    wrong += ff::testing::check_router_vjp(router, load, executors).size();
  }
  std::printf("my policy: %zu failures\n", wrong);

  ff::route::token_choice<ff::route::softmax_score, ff::route::top_k, ff::route::sum_norm> const top1{};
  for (auto const& load : ff::testing::router_workloads<float>(40, 17, 1))
    if (load.name == "smooth" || load.name == "tied")
      std::printf("my kernel, %s: %s\n", load.name.c_str(), ff::testing::check_routing_kernel(top1, load, my_kernel, 1e-6).empty() ? "good" : "wrong");
  // [/check]
}

// output:
// my policy: 0 failures
// my kernel, smooth: good
// my kernel, tied: wrong
