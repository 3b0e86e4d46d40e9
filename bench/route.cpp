// E5: rows of logits to experts, weights, statistics and gradients. The peer is plain C++ (the C library's exp, std::partial_sort), or
// libtorch where the build found one: set BENCH_TORCH to its folder, for example the one of Python's torch.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "fanfold/route/assign.hpp"
#include "fanfold/route/balance_loss.hpp"
#include "fanfold/route/routers.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"
#ifdef BENCH_TORCH
#include "support/torch_peer.hpp"
#endif

namespace ff = fanfold;
namespace route = fanfold::route;

namespace {

constexpr std::int64_t groups = 8, kept_groups = 4;

/// Logits, an assignment, and what a plain program needs to fill one.
struct routed {
  std::int64_t rows, experts, slots;
  std::vector<float> logits, weights, scores, keys, bias, dweights, dlogits;
  std::vector<std::int32_t> ids, order;
  std::vector<double> share_sum, count;
  route::routing_stats stats;
  ff::workspace ws;

  routed(std::int64_t t, std::int64_t e, std::int64_t k)
      : rows(t),
        experts(e),
        slots(k),
        logits(*bench::normal_floats(t * e)),
        weights(static_cast<std::size_t>(t * k)),
        scores(static_cast<std::size_t>(e)),
        keys(scores),
        bias(scores.size()),
        dweights(*bench::normal_floats(t * k, 3)),
        dlogits(logits.size()),
        ids(weights.size()),
        order(scores.size()),
        share_sum(scores.size()),
        count(scores.size()),
        stats(e) {}

  ff::matrix_view<float const> x() const { return {logits.data(), rows, experts}; }
  ff::matrix_view<float const> dw() const { return {dweights.data(), rows, slots}; }
  ff::matrix_view<float> dx() { return {dlogits.data(), rows, experts}; }
  route::assignment<> out() { return {{ids.data(), rows, slots}, {weights.data(), rows, slots}}; }
  float const* row(std::int64_t t) const { return logits.data() + t * experts; }

  void softmax(float const* l) {
    float const max = *std::max_element(l, l + experts);
    float sum = 0;
    for (std::size_t e = 0; e < scores.size(); ++e) sum += scores[e] = std::exp(l[e] - max);
    for (float& y : scores) y /= sum;
  }
  void best_of(std::vector<float> const& key) {
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + slots, order.end(),
                      [&](std::int32_t a, std::int32_t b) { return key[static_cast<std::size_t>(a)] > key[static_cast<std::size_t>(b)]; });
  }
  void take_normalised(std::int64_t t) {
    float sum = 0;
    for (std::int64_t s = 0; s < slots; ++s) sum += scores[static_cast<std::size_t>(order[static_cast<std::size_t>(s)])];
    for (std::int64_t s = 0; s < slots; ++s) {
      auto const to = static_cast<std::size_t>(t * slots + s);
      ids[to] = order[static_cast<std::size_t>(s)];
      weights[to] = scores[static_cast<std::size_t>(ids[to])] / sum;
    }
  }

  void plain(bool statistics) {
    std::fill(share_sum.begin(), share_sum.end(), 0);
    std::fill(count.begin(), count.end(), 0);
    for (std::int64_t t = 0; t < rows; ++t) {
      softmax(row(t));
      best_of(scores);
      take_normalised(t);
      if (!statistics) continue;
      for (std::size_t e = 0; e < scores.size(); ++e) share_sum[e] += static_cast<double>(scores[e]);
      for (std::int64_t s = 0; s < slots; ++s) count[static_cast<std::size_t>(ids[static_cast<std::size_t>(t * slots + s)])] += 1;
    }
    double loss = std::inner_product(count.begin(), count.end(), share_sum.begin(), 0.0);
    benchmark::DoNotOptimize(loss);
    benchmark::ClobberMemory();
  }

  // DeepSeek-V3: sigmoid, the best groups by the sum of their two best.
  void plain_grouped() {
    auto const size = static_cast<std::ptrdiff_t>(experts / groups);
    for (std::int64_t t = 0; t < rows; ++t) {
      std::pair<float, std::int64_t> group[groups];
      for (std::size_t e = 0; e < scores.size(); ++e) {
        scores[e] = 1 / (1 + std::exp(-row(t)[e]));
        keys[e] = scores[e] + bias[e];
      }
      for (std::int64_t d = 0; d < groups; ++d) {
        float first = -1e30f, second = -1e30f;
        for (auto e = static_cast<std::size_t>(d * size); e < static_cast<std::size_t>((d + 1) * size); ++e) {
          second = std::max(second, std::min(first, keys[e]));
          first = std::max(first, keys[e]);
        }
        group[d] = {first + second, d};
      }
      std::partial_sort(group, group + kept_groups, group + groups, std::greater<>());
      for (std::int64_t i = kept_groups; i < groups; ++i) std::fill_n(keys.begin() + group[i].second * size, size, -1e30f);
      best_of(keys);
      take_normalised(t);
    }
    benchmark::ClobberMemory();
  }

  // The gradient of normalised weights: nonzero at the chosen experts only.
  void plain_vjp() {
    std::fill(dlogits.begin(), dlogits.end(), 0.0f);
    for (std::int64_t t = 0; t < rows; ++t) {
      float dot = 0;
      for (std::int64_t s = t * slots; s < (t + 1) * slots; ++s) dot += weights[static_cast<std::size_t>(s)] * dweights[static_cast<std::size_t>(s)];
      for (std::int64_t s = t * slots; s < (t + 1) * slots; ++s) {
        auto const a = static_cast<std::size_t>(s);
        dlogits[static_cast<std::size_t>(t * experts + ids[a])] = weights[a] * (dweights[a] - dot);
      }
    }
    benchmark::ClobberMemory();
  }
};

using shared_routed = std::shared_ptr<routed>;

std::string sizes(std::int64_t rows, std::int64_t experts, std::int64_t slots) {
  return std::to_string(rows) + " x " + std::to_string(experts) + ", k = " + std::to_string(slots);
}

/// `make(r)` gives the call and its peer.
template <class Make>
void add_case(std::string const& name, std::int64_t rows, std::int64_t experts, std::int64_t slots, Make const& make) {
  bench::add("route/" + name + "/" + sizes(rows, experts, slots), {rows, 4 * rows * (experts + 2 * slots)}, [=]() -> bench::contest {
    auto const r = std::make_shared<routed>(rows, experts, slots);
    bench::contest c = make(r);
    c.limit = bench::read_limit(4 * rows * experts);
    return c;
  });
}

template <class Router>
std::function<void()> routing(shared_routed const& r, Router const& router) {
  return [=] { route::assign(router, r->x(), r->out(), r->ws); };
}

std::function<void()> with_loss(shared_routed const& r) {
  return [=] {
    route::assign(route::mixtral(r->slots), r->x(), r->out(), r->stats.view(), r->ws);
    benchmark::DoNotOptimize(route::mixtral_balance().value(r->stats));
  };
}

void add_shape(std::int64_t rows, std::int64_t experts, std::int64_t k) {
  using bench::contest;
  add_case("softmax top-k", rows, experts, k, [](auto r) { return contest{routing(r, route::mixtral(r->slots)), {[=] { r->plain(false); }}}; });
  add_case("softmax top-k, statistics, loss", rows, experts, k, [](auto r) { return contest{with_loss(r), {[=] { r->plain(true); }}}; });
#ifdef BENCH_TORCH
  add_case("softmax top-k against libtorch", rows, experts, k, [](auto r) {
    return contest{routing(r, route::mixtral(r->slots)), {bench::torch_softmax_top_k(r->logits.data(), r->rows, r->experts, r->slots)}};
  });
#endif
}

}  // namespace

void bench::register_cases() {
  struct shape {
    std::int64_t experts, slots;
  };
  std::int64_t const rows = size(16384);
  for (shape const s : {shape{8, 2}, shape{64, 8}, shape{128, 8}, shape{256, 8}}) add_shape(rows, s.experts, s.slots);
  add_case("softmax top-k, one row", 1, 256, 8, [](auto r) { return contest{routing(r, route::mixtral(8)), {[=] { r->plain(false); }}}; });
  add_case("softmax top-k, not normalised", rows, 64, 8, [](auto r) { return contest{routing(r, route::olmoe(8)), {[=] { r->plain(false); }}}; });
  add_case("sigmoid, 4 of 8 groups, biased", rows, 256, 8, [](auto r) {
    return contest{routing(r, route::deepseek_v3(ff::view<float const>(r->bias), groups, kept_groups, 8)), {[=] { r->plain_grouped(); }}};
  });
  add_case("softmax top-k, gradient", rows, 64, 8, [](auto r) {
    r->plain(false);
    return contest{[=] { route::assign_vjp(route::mixtral(8), r->x(), r->out(), r->dw(), r->dx(), r->ws); }, {[=] { r->plain_vjp(); }}};
  });
#ifdef _OPENMP
  add_case("softmax top-k, two threads against one", rows, 256, 8, [](auto r) {
    return contest{[=] { route::assign(ff::openmp_executor{2}, route::mixtral(8), r->x(), r->out(), r->ws); }, {routing(r, route::mixtral(8))}};
  });
#endif
}
