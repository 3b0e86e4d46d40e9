// E6 and E7: the plan, tokens to expert rows, expert rows back to tokens.
#include <string>

#include "fanfold/dispatch/combine.hpp"
#include "fanfold/dispatch/gather.hpp"
#include "fanfold/dispatch/plan.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

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
}
