// E6: stable placement of keys into bins.
#include <string>

#include "fanfold/dispatch/layout.hpp"
#include "fanfold/fold/bin.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"
#ifdef BENCH_THRUST
#include "support/thrust_peer.hpp"
#endif

namespace ff = fanfold;

namespace {

struct binned {
  bench::shared_vector<std::int32_t> keys;
  std::vector<std::int64_t> offsets;
  std::vector<std::int32_t> counts, kept, row_of, src_of, sorted, order;

  binned(std::int64_t n, std::int32_t bins)
      : keys(bench::uniform_ids(n, bins)),
        offsets(static_cast<std::size_t>(bins) + 1),
        counts(static_cast<std::size_t>(bins)),
        kept(counts),
        row_of(keys->size()),
        src_of(keys->size()),
        sorted(keys->size()),
        order(keys->size()) {}

  ff::bin_view out() { return {offsets, counts, kept, row_of, src_of}; }

  // Counting sort as anyone writes it, with the inverse.
  void plain() {
    std::fill(offsets.begin(), offsets.end(), 0);
    for (std::int32_t const k : *keys) ++offsets[static_cast<std::size_t>(k) + 1];
    for (std::size_t e = 1; e < offsets.size(); ++e) offsets[e] += offsets[e - 1];
    std::vector<std::int64_t> next(offsets);
    for (std::size_t a = 0; a < keys->size(); ++a) {
      std::int64_t const row = next[static_cast<std::size_t>((*keys)[a])]++;
      sorted[a] = static_cast<std::int32_t>(row);
      order[static_cast<std::size_t>(row)] = static_cast<std::int32_t>(a);
    }
    benchmark::ClobberMemory();
  }
#ifdef BENCH_THRUST
  void thrust() {
    sorted = *keys;
    for (std::size_t a = 0; a < order.size(); ++a) order[a] = static_cast<std::int32_t>(a);
    bench::thrust_sort_by_key(sorted.data(), order.data(), static_cast<std::int64_t>(order.size()), 1);
  }
#endif
};

}  // namespace

void bench::register_cases() {
  for (std::int64_t const full : {std::int64_t{1} << 13, std::int64_t{1} << 16, std::int64_t{1} << 20})
    for (std::int32_t const bins : {8, 64, 256}) {
      std::int64_t const n = size(full);
      std::string const shape = "/" + std::to_string(n) + " keys, " + std::to_string(bins) + " bins";
      auto const ours = [](std::shared_ptr<binned> const& b) {
        return [b] { ff::bin(ff::serial, ff::dispatch::packed{}, *b->keys, b->out()); };
      };
      add("bin/peer counting sort" + shape, {n, 12 * n}, [=]() -> contest {
        auto const b = std::make_shared<binned>(n, bins);
        return {ours(b), {[b] { b->plain(); }}, copy_limit(4 * n, 8 * n)};
      });
#ifdef BENCH_THRUST
      add("bin/peer Thrust" + shape, {n, 12 * n}, [=]() -> contest {
        auto const b = std::make_shared<binned>(n, bins);
        return {ours(b), {[b] { b->thrust(); }}, copy_limit(4 * n, 8 * n)};
      });
#endif
    }
}
