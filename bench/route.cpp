// E5: softmax, top-k and weights of rows of logits.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "fanfold/route/assign.hpp"
#include "fanfold/route/token_choice.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"

namespace ff = fanfold;

namespace {

struct routed {
  std::int64_t rows, experts, slots;
  std::vector<float> logits, weights, scores;
  std::vector<std::int32_t> ids, order;

  routed(std::int64_t t, std::int64_t e, std::int64_t k)
      : rows(t),
        experts(e),
        slots(k),
        logits(*bench::normal_floats(t * e)),
        weights(static_cast<std::size_t>(t * k)),
        scores(static_cast<std::size_t>(e)),
        ids(static_cast<std::size_t>(t * k)),
        order(static_cast<std::size_t>(e)) {}

  ff::matrix_view<float const> x() const { return {logits.data(), rows, experts}; }
  ff::route::assignment<> out() { return {{ids.data(), rows, slots}, {weights.data(), rows, slots}}; }

  // Softmax by the C library, then the standard partial sort.
  void plain() {
    for (std::int64_t t = 0; t < rows; ++t) {
      float const* const row = logits.data() + t * experts;
      float const max = *std::max_element(row, row + experts);
      float sum = 0;
      for (std::size_t e = 0; e < scores.size(); ++e) sum += scores[e] = std::exp(row[e] - max);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + slots, order.end(), [&](std::int32_t a, std::int32_t b) {
        return scores[static_cast<std::size_t>(a)] > scores[static_cast<std::size_t>(b)];
      });
      float kept = 0;
      for (std::int64_t s = 0; s < slots; ++s) kept += scores[static_cast<std::size_t>(order[static_cast<std::size_t>(s)])];
      for (std::int64_t s = 0; s < slots; ++s) {
        auto const to = static_cast<std::size_t>(t * slots + s);
        ids[to] = order[static_cast<std::size_t>(s)];
        weights[to] = scores[static_cast<std::size_t>(ids[to])] / kept;
      }
    }
    benchmark::ClobberMemory();
  }
};

}  // namespace

void bench::register_cases() {
  using router = ff::route::token_choice<ff::route::softmax_score, ff::route::top_k, ff::route::sum_norm>;
  struct shape {
    std::int64_t experts, slots;
  };
  for (shape const s : {shape{8, 2}, shape{64, 8}, shape{128, 8}, shape{256, 8}}) {
    std::int64_t const rows = size(16384);
    add("route/softmax top-k/" + std::to_string(rows) + " x " + std::to_string(s.experts) + ", k = " + std::to_string(s.slots),
        {rows, 4 * rows * (s.experts + 2 * s.slots)}, [=]() -> contest {
          auto const r = std::make_shared<routed>(rows, s.experts, s.slots);
          router const policy{.select = {.k = static_cast<std::int32_t>(s.slots)}};
          return {[=] { ff::route::assign(policy, r->x(), r->out()); }, {[r] { r->plain(); }}, read_limit(4 * rows * s.experts)};
        });
  }
}
