// E6, E7 and E10: the plan, tokens to expert rows, products of the experts, expert rows back to tokens, and the whole layer.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/grouped_gemm.hpp"
#include "fanfold/dispatch/moe_layer.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "fanfold/route/routers.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

#ifdef BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace ff = fanfold;

namespace {

struct batch {
  std::int64_t tokens, slots, columns;
  bench::shared_vector<std::int32_t> ids;
  std::vector<float> weights, x, rows, y;
  ff::dispatch::dispatch_plan plan;

  batch(std::int64_t t, std::int64_t k, std::int32_t experts, std::int64_t d)
      : tokens(t),
        slots(k),
        columns(d),
        ids(bench::uniform_ids(t * k, experts)),
        weights(ids->size(), 0.5f),
        x(*bench::normal_floats(t * d)),
        rows(static_cast<std::size_t>(t * k * d)),
        y(x.size()),
        plan(ff::dispatch::packed{}, t, k, experts) {
    make_plan();
  }
  void make_plan() { ff::dispatch::make_plan(ff::dispatch::packed{}, ff::route::assignment<>{{ids->data(), tokens, slots}, {}}, plan.view()); }
  void gather() { ff::dispatch::gather(plan.view(), ff::matrix_view<float const>(x.data(), tokens, columns), row_matrix()); }
  void combine() {
    ff::dispatch::fold_combine(ff::dispatch::weighted_sum{}, plan.view(), row_matrix(), ff::matrix_view<float const>(weights.data(), tokens, slots),
                               ff::matrix_view<float>(y.data(), tokens, columns));
  }
  ff::matrix_view<float> row_matrix() { return {rows.data(), tokens * slots, columns}; }

  // The loops that one writes first: rows scattered and gathered by the plan.
  void plain_gather() {
    auto const p = plan.view();
    for (std::int64_t a = 0; a < tokens * slots; ++a) {
      float const* const from = x.data() + a / slots * columns;
      float* const to = rows.data() + p.row_of[a] * columns;
      for (std::int64_t c = 0; c < columns; ++c) to[c] = from[c];
    }
    benchmark::ClobberMemory();
  }
  void plain_combine() {
    auto const p = plan.view();
    for (std::int64_t t = 0; t < tokens; ++t) {
      float* const to = y.data() + t * columns;
      for (std::int64_t c = 0; c < columns; ++c) to[c] = 0;
      for (std::int64_t s = 0; s < slots; ++s) {
        float const w = weights[static_cast<std::size_t>(t * slots + s)];
        float const* const from = rows.data() + p.row_of[t * slots + s] * columns;
        for (std::int64_t c = 0; c < columns; ++c) to[c] += w * from[c];
      }
    }
    benchmark::ClobberMemory();
  }
};

/// Rows dealt to experts unevenly (the most popular one gets about five times the mean), against weights of `inner` x `outer`.
struct products {
  std::int64_t rows, experts, inner, outer;
  ff::dispatch::dispatch_plan plan;
  std::vector<float> weights, x, y;
  ff::dispatch::packed_bank<float> packed;
  ff::dispatch::packed_bank<ff::bfloat16> packed_half;
  ff::workspace ws;

  products(std::int64_t n, std::int64_t e, std::int64_t k, std::int64_t m, bool half)
      : rows(n), experts(e), inner(k), outer(m), plan(ff::dispatch::packed{}, n, 1, e), weights(static_cast<std::size_t>(e * k * m)), x(*bench::normal_floats(n * k)),
        y(static_cast<std::size_t>(n * m)) {
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<float>(i % 1021) / 1021 - 0.5f;
    auto ids = *bench::uniform_ids(n, static_cast<std::int32_t>(e));
    auto const again = *bench::uniform_ids(n, static_cast<std::int32_t>(e), 3);
    for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = ids[i] < again[i] ? ids[i] : (ids[i] * again[i] / static_cast<std::int32_t>(e));  // low ids are popular
    ff::dispatch::make_plan(ff::dispatch::packed{}, ff::route::assignment<>{{ids.data(), n, 1}, {}}, plan.view());
    if (half) {
      std::vector<ff::bfloat16> rounded(weights.size());
      for (std::size_t i = 0; i < weights.size(); ++i) rounded[i] = ff::from_arithmetic<ff::bfloat16>(weights[i]);
      packed_half = ff::dispatch::packed_bank<ff::bfloat16>(ff::dispatch::weight_bank<ff::bfloat16 const>(rounded.data(), e, k, m));
    }
    packed = ff::dispatch::packed_bank<float>(ff::dispatch::weight_bank<float const>(weights.data(), e, k, m));
  }
  template <class Bank>
  void multiply(Bank const& bank) {
    ff::dispatch::grouped_gemm(ff::serial, plan.view(), ff::dispatch::gathered{ff::matrix_view<float const>(x.data(), rows, inner)}, bank,
                               ff::dispatch::row_sink{ff::matrix_view<float>(y.data(), rows, outer)}, ws);
  }
  std::int64_t weights_hit() {
    std::int64_t hit = 0;
    for (std::int32_t n : plan.view().kept) hit += n > 0;
    return hit * inner * outer;
  }
#ifdef BENCH_OPENBLAS
  /// A product a bin, on rows that already lie in order.
  void cblas_loop() {
    auto const p = plan.view();
    openblas_set_num_threads(1);
    for (std::int64_t e = 0; e < experts; ++e) {
      if (p.kept[e] == 0) continue;
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p.kept[e], static_cast<int>(outer), static_cast<int>(inner), 1, x.data() + p.offsets[e] * inner,
                  static_cast<int>(inner), weights.data() + e * inner * outer, static_cast<int>(outer), 0, y.data() + p.offsets[e] * outer, static_cast<int>(outer));
    }
  }
#endif
};

bench::reference cblas_peer([[maybe_unused]] std::shared_ptr<products> const& p) {
#ifdef BENCH_OPENBLAS
  return {[p] { p->cblas_loop(); }};
#else
  return {};
#endif
}

void add_products(std::int64_t rows, std::int64_t experts, bool weights_bound) {
  std::int64_t const inner = bench::smoke() ? 96 : 768, outer = bench::smoke() ? 128 : 2048, n = bench::size(rows);
  std::string const shape = std::to_string(n) + " rows, " + std::to_string(experts) + " x " + std::to_string(inner) + " x " + std::to_string(outer);
  auto const flops = 2.0 * static_cast<double>(n * inner * outer);
  bench::traffic const traffic{2 * n * inner * outer, 4 * experts * inner * outer};
  bench::add("dispatch/gemm/" + shape, traffic, [=]() -> bench::contest {
    auto const p = std::make_shared<products>(n, experts, inner, outer, false);
    return {[p] { p->multiply(p->packed); }, cblas_peer(p), weights_bound ? bench::read_limit(4 * p->weights_hit()) : bench::gemm_limit(flops)};
  });
  // the peer is the same product with float weights
  bench::add("dispatch/gemm bf16/" + shape, traffic, [=]() -> bench::contest {
    auto const p = std::make_shared<products>(n, experts, inner, outer, true);
    return {[p] { p->multiply(p->packed_half); }, {[p] { p->multiply(p->packed); }}, weights_bound ? bench::read_limit(2 * p->weights_hit()) : bench::gemm_limit(flops)};
  });
}

/// A layer of 128 experts, 8 chosen; its limit is sgemm at the same number of operations.
struct whole_layer {
  std::int64_t tokens, features = 512, wide = 192, experts = 128;
  std::vector<float> gate, up, down, x, logits, y;
  ff::dispatch::packed_ffn<float> packed;
  ff::workspace ws;

  explicit whole_layer(std::int64_t t) : tokens(t), x(*bench::normal_floats(t * 512)), logits(*bench::normal_floats(t * 128, 5)), y(x.size()) {
    if (bench::smoke()) experts = 16, wide = 48;
    logits.resize(static_cast<std::size_t>(t * experts));
    for (auto* w : {&gate, &up, &down}) *w = *bench::normal_floats(experts * features * wide, 7);
    packed = ff::dispatch::packed_ffn<float>(ff::dispatch::ffn_weights<float const>{
        {gate.data(), experts, features, wide}, {up.data(), experts, features, wide}, {down.data(), experts, wide, features}});
  }
  void run() {
    ff::dispatch::moe_layer const layer{ff::route::mixtral(8), ff::dispatch::swiglu_experts{packed}};
    layer(ff::serial, ff::matrix_view<float const>(x.data(), tokens, features), ff::matrix_view<float const>(logits.data(), tokens, experts),
          ff::matrix_view<float>(y.data(), tokens, features), ws);
  }
};

}  // namespace

void bench::register_cases() {
  for (std::int64_t const tokens : {512, 8192, 131072})
    for (std::int32_t const experts : {8, 64, 256}) {
      std::int64_t const t = size(tokens), n = 8 * t;
      add("dispatch/plan/" + std::to_string(t) + " x 8, " + std::to_string(experts) + " experts", {n, 12 * n}, [=]() -> contest {
        auto const b = std::make_shared<batch>(t, 8, experts, 1);
        return {[b] { b->make_plan(); }, {}, copy_limit(4 * n, 8 * n)};
      });
    }
  std::int64_t const t = size(4096) / (smoke() ? 64 : 1), k = 8, d = 2048;
  std::string const shape = std::to_string(t) + " x " + std::to_string(k) + " x " + std::to_string(d);
  std::int64_t const small = 4 * t * d, large = k * small;
  add("dispatch/gather/" + shape, {t * k, large + large}, [=]() -> contest {
    auto const b = std::make_shared<batch>(t, k, 64, d);
    return {[b] { b->gather(); }, {[b] { b->plain_gather(); }}, copy_limit(large, large)};
  });
  add("dispatch/combine/" + shape, {t * k, large + small}, [=]() -> contest {
    auto const b = std::make_shared<batch>(t, k, 64, d);
    return {[b] { b->combine(); }, {[b] { b->plain_combine(); }}, copy_limit(large, small)};
  });
  add_products(512, 128, true);
  add_products(8, 128, true);
  add_products(4096, 128, false);
  add_products(8192, 128, false);
  add_products(512, 1, false);
  for (std::int64_t const tokens : {1, 8, 4096}) {
    std::int64_t const n = size(tokens);
    add("dispatch/layer/" + std::to_string(n) + " tokens, 8 of 128", {n, 0}, [=]() -> contest {
      auto const l = std::make_shared<whole_layer>(n);
      return {[l] { l->run(); }, {}, gemm_limit(6.0 * static_cast<double>(8 * n * l->features * l->wide))};
    });
  }
}
