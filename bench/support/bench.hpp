#pragma once

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace bench {

/// Whether this is a smoke run: small inputs, one round.
bool smoke();

/// Seconds of the wall, or with --cpu of this process on all its threads: what cases of one thread take on a machine that others use.
double now();

/// `full`, or a small size in a smoke run.
inline std::int64_t size(std::int64_t full) { return smoke() && full > 4096 ? full / 256 + 64 : full; }

/// Something to compare with. `scale` is the work of a call of the case over the work of a call of this.
struct reference {
  std::function<void()> call;
  double scale = 1;
};

/// What a call of the case handles: its items, and the bytes that it must read and write at least.
struct traffic {
  std::int64_t items = 0;
  std::int64_t bytes = 0;
};

/// A read of `bytes` by one stream: the limit of loops that mostly read.
reference read_limit(std::int64_t bytes);
/// An ordinary-store copy loop that reads `read` and writes `written` bytes: the limit of loops that write.
reference copy_limit(std::int64_t read, std::int64_t written);
/// Measured sgemm of one thread for `flops` operations; without OpenBLAS no limit.
reference gemm_limit(double flops);

namespace detail {

inline double seconds(std::function<void()> const& call, std::int64_t repeats) {
  double const begin = now();
  for (std::int64_t i = 0; i < repeats; ++i) call();
  return (now() - begin) / static_cast<double>(repeats);
}

/// Calls until a sample takes 2 ms.
inline std::int64_t repeats_of(std::function<void()> const& call) {
  double const once = seconds(call, 1);
  return smoke() || once > 2e-3 ? 1 : static_cast<std::int64_t>(2e-3 / (once + 1e-9)) + 1;
}

struct sampled {
  reference what;
  std::int64_t repeats = 0;
  double best = 1e30;

  explicit sampled(reference r) : what(std::move(r)) {
    if (what.call) repeats = repeats_of(what.call);
  }
  void sample() {
    if (!what.call) return;
    double const t = seconds(what.call, repeats);
    best = t < best ? t : best;
  }
};

}  // namespace detail

/// Registers a case. In each round the case, its peer and its limit run one after the other; of each the best round counts. Printed are
/// items/s, bytes/s, peer = time of the peer over ours, limit = time of the limit over ours (1: as fast as the machine allows).
/// `make` builds the inputs and returns {call, peer, limit}; an empty peer or limit is left out.
struct contest {
  std::function<void()> call;
  reference peer{};
  reference limit{};
};

inline void add(std::string const& name, traffic t, std::function<contest()> make) {
  benchmark::RegisterBenchmark(name.c_str(), [t, make = std::move(make)](benchmark::State& state) {
    contest const c = make();
    detail::sampled ours({c.call, 1}), peer(c.peer), limit(c.limit);
    for (auto _ : state) {
      ours.sample();
      peer.sample();
      limit.sample();
      state.SetIterationTime(ours.best);
    }
    auto const per_second = [&](std::int64_t n) { return benchmark::Counter(static_cast<double>(n) / ours.best); };
    state.counters["items/s"] = per_second(t.items);
    state.counters["bytes/s"] = per_second(t.bytes);
    if (peer.what.call) state.counters["peer"] = peer.best * peer.what.scale / ours.best;
    if (limit.what.call) state.counters["limit"] = limit.best * limit.what.scale / ours.best;
  })
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond)
      ->Iterations(smoke() ? 1 : 7);
}

/// Each program defines it: one `add` a case.
void register_cases();

}  // namespace bench
