#include <cstdint>
#include <memory>
#include <vector>

#include "support/bench.hpp"

#ifdef BENCH_OPENBLAS
#include <cblas.h>
#endif

namespace {

using words = std::vector<std::uint32_t>;

std::shared_ptr<words> make_words(std::int64_t bytes) { return std::make_shared<words>(static_cast<std::size_t>(bytes / 4 + 64), 1u); }

// 128 sums side by side: enough for the widest registers and the longest latencies.
std::uint32_t sum_of(words const& x) {
  std::uint32_t lane[128] = {};
  std::size_t const n = x.size() / 128 * 128;
  for (std::size_t i = 0; i < n; i += 128)
    for (std::size_t l = 0; l < 128; ++l) lane[l] += x[i + l];
  std::uint32_t sum = 0;
  for (std::uint32_t const v : lane) sum += v;
  return sum;
}

}  // namespace

bench::reference bench::read_limit(std::int64_t bytes) {
  auto const x = make_words(bytes);
  return {[x] { benchmark::DoNotOptimize(sum_of(*x)); }};
}

// The added constant keeps compilers from calling the C library's copy, which stores past the caches.
bench::reference bench::copy_limit(std::int64_t read, std::int64_t written) {
  std::int64_t const streams = written > 0 && read > written ? (read + written / 2) / written : 1;
  std::int64_t const each = streams > 1 ? written : read < written ? read : written;
  auto const from = make_words(each * streams);
  auto const to = make_words(each);
  double const done = static_cast<double>(each * (streams + 1));
  return {[=] {
            std::uint32_t* const y = to->data();
            auto const n = static_cast<std::size_t>(each / 4);
            std::uint32_t const* const x = from->data();
            if (streams == 1)
              for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + 1;
            else if (streams == 2)
              for (std::size_t i = 0; i < n; ++i) y[i] = x[i] + x[n + i];
            else
              for (std::size_t block = 0; block < n; block += 1024) {
                std::size_t const end = block + 1024 < n ? block + 1024 : n;
                for (std::size_t i = block; i < end; ++i) y[i] = x[i] + x[n + i];
                for (std::size_t s = 2; s < static_cast<std::size_t>(streams); ++s)
                  for (std::size_t i = block; i < end; ++i) y[i] += x[s * n + i];
              }
            benchmark::ClobberMemory();
          },
          done > 0 ? static_cast<double>(read + written) / done : 1};
}

bench::reference bench::gemm_limit(double flops) {
#ifdef BENCH_OPENBLAS
  int const n = smoke() ? 64 : 768;
  openblas_set_num_threads(1);
  auto const size = static_cast<std::size_t>(n) * static_cast<std::size_t>(n);
  auto const a = std::make_shared<std::vector<float>>(size, 0.5f), b = std::make_shared<std::vector<float>>(size, 0.25f),
             c = std::make_shared<std::vector<float>>(size);
  return {[=] {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a->data(), n, b->data(), n, 0, c->data(), n);
            benchmark::ClobberMemory();
          },
          flops / (2.0 * n * n * n)};
#else
  static_cast<void>(flops);
  return {};
#endif
}
