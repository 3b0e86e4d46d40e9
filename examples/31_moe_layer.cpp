// Mixture-of-experts layers of published shapes: how fast they are, how evenly their experts are used, and how many bytes they move
// compared with the fewest that any program could.
//
// Weights and tokens are random or come from a .safetensors file; results go into one, so that anyone can compare with another
// implementation (bench/peers/moe.py does).

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "fanfold/core/thread_pool.hpp"
#include "moe_layer/layer.hpp"
#include "moe_layer/options.hpp"

namespace {

using namespace moe_example;

/// Bytes that must move: tokens and results once, the weights of every expert hit once. And those that a call moves besides: tokens
/// gathered by the first products, hidden rows, results by row.
struct traffic {
  double least = 0, moved = 0;
};

traffic traffic_of(shape const& s, std::int64_t tokens, ff::route::routing_stats const& stats) {
  std::int64_t hit = 0;
  for (std::int64_t n : stats.count()) hit += n > 0;
  auto const size = [](std::int64_t floats_moved) { return 4.0 * static_cast<double>(floats_moved); };
  std::int64_t const rows = stats.choices() + s.shared * tokens;
  traffic t;
  t.least = size(2 * tokens * s.features + s.experts * s.features + (hit + s.shared) * 3 * s.features * s.wide);
  t.moved = t.least + size(2 * tokens * s.experts)                      // logits out and in
            + size(rows * s.features)                                   // tokens gathered, beyond the router's read
            + size(2 * rows * s.wide) + size(2 * rows * s.features);    // hidden rows and results, out and in
  return t;
}

void print_load(ff::route::routing_stats const& stats) {
  double const fair = static_cast<double>(stats.choices()) / static_cast<double>(stats.experts());
  constexpr std::size_t bins = 6;
  std::int64_t count[bins] = {}, most = 0, idle = 0;
  for (std::int64_t n : stats.count()) {
    auto const bin = static_cast<std::size_t>(static_cast<double>(n) / fair / 0.5);
    ++count[bin < bins ? bin : bins - 1];
    most = n > most ? n : most;
    idle += n == 0;
  }
  std::printf("  load of the experts over the fair share of %.1f rows; largest %.2f, idle %lld\n", fair, static_cast<double>(most) / fair, static_cast<long long>(idle));
  for (std::size_t b = 0; b < bins; ++b) {
    auto const bar = static_cast<int>(40 * count[b] / stats.experts());
    double const low = 0.5 * static_cast<double>(b);
    if (b + 1 < bins)
      std::printf("    %.1f to %.1f  ", low, low + 0.5);
    else
      std::printf("    %.1f or more ", low);
    std::printf("%4lld %.*s\n", static_cast<long long>(count[b]), bar, "########################################");
  }
}

template <class Executor>
double best_seconds(layer& l, Executor const& ex, std::int32_t repeats) {
  double best = 1e30;
  l.run(ex);
  for (std::int32_t i = 0; i < repeats; ++i) {
    auto const begin = std::chrono::steady_clock::now();
    l.run(ex);
    double const t = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    best = t < best ? t : best;
  }
  return best;
}

void show(options const& o, shape s, ff::thread_pool& pool) {
  tensors const t = o.read.empty() ? random_tensors(s, o.tokens, o.seed) : read_tensors(o.read, s);
  layer l(s, t);
  double const seconds = best_seconds(l, pool.ref(), o.repeats);
  std::printf("%s: %lld experts, %lld chosen%s, %lld features x %lld hidden units (published widths over %lld), %lld tokens\n", s.name, static_cast<long long>(s.experts),
              static_cast<long long>(s.chosen), s.shared > 0 ? " in 4 of 8 groups, one shared" : "", static_cast<long long>(s.features),
              static_cast<long long>(s.wide), static_cast<long long>(s.divided_by), static_cast<long long>(l.tokens()));
  double const operations = 6.0 * static_cast<double>((l.stats().choices() + s.shared * l.tokens()) * s.features * s.wide);
  traffic const bytes = traffic_of(s, l.tokens(), l.stats());
  std::printf("  %.0f tokens/s (%.2f ms a call, %.1f GFLOP/s)\n", static_cast<double>(l.tokens()) / seconds, 1e3 * seconds, operations / seconds * 1e-9);
  std::printf("  %.1f MB moved, %.1f MB at least: %.2f times\n", bytes.moved * 1e-6, bytes.least * 1e-6, bytes.moved / bytes.least);
  print_load(l.stats());
  if (!o.write.empty()) {
    l.write(pool.ref(), o.write, t);
    std::printf("  wrote %s\n", o.write.c_str());
  }
}

}  // namespace

int main(int count, char** text) {
  options const o = parse(count, text);
  try {
    ff::thread_pool pool(o.threads > 0 ? o.threads : static_cast<int>(std::thread::hardware_concurrency() > 0 ? std::thread::hardware_concurrency() : 1));
    std::printf("%zu threads\n", pool.threads());
    for (shape const& s : o.chosen) show(o, s, pool);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "moe_layer: %s\n", e.what());
    return 1;
  }
}

// args: --narrow 4 --tokens 64 --repeats 1
// output matches: mixtral: 8 experts, 2 chosen
// output matches: deepseek-v3: 256 experts, 8 chosen in 4 of 8 groups, one shared
// output matches: [0-9.]+ MB moved, [0-9.]+ MB at least
