// E4: prefix sums of floats and of int32 offsets.
#include <numeric>
#include <string>

#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "support/bench.hpp"
#include "support/inputs.hpp"
#ifdef BENCH_THRUST
#include "support/thrust_peer.hpp"
#endif

#ifdef BENCH_TBB
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_scan.h>
#endif

namespace ff = fanfold;

namespace {

bench::reference tbb_scan([[maybe_unused]] bench::shared_vector<float> x, [[maybe_unused]] bench::shared_vector<float> z) {
#ifdef BENCH_TBB
  auto const limit = std::make_shared<tbb::global_control>(tbb::global_control::max_allowed_parallelism, std::size_t{2});
  return {[x, z, limit] {
    tbb::parallel_scan(
        tbb::blocked_range<std::size_t>(0, x->size()), 0.0f,
        [&](auto const& range, float sum, bool final) {
          for (std::size_t i = range.begin(); i != range.end(); ++i) {
            sum += (*x)[i];
            if (final) (*z)[i] = sum;
          }
          return sum;
        },
        [](float a, float b) { return a + b; });
    benchmark::ClobberMemory();
  }};
#else
  return {};
#endif
}

}  // namespace

void bench::register_cases() {
  for (std::int64_t const full : {std::int64_t{1} << 14, std::int64_t{1} << 20, std::int64_t{1} << 24}) {
    std::int64_t const n = size(full);
    add("scan/inclusive sum/" + std::to_string(n), {n, 8 * n}, [=]() -> contest {
      auto const x = normal_floats(n);
      auto const y = zeros<float>(n), z = zeros<float>(n);
      return {[=] { ff::scan(ff::plus<float>{}, *x, *y, ff::scan_kind::inclusive); },
              {[=] {
                std::inclusive_scan(x->begin(), x->end(), z->begin());
                benchmark::ClobberMemory();
              }},
              copy_limit(4 * n, 4 * n)};
    });
  }
  std::int64_t const n = size(std::int64_t{1} << 24);
  add("scan/inclusive sum, 2 threads, peer Thrust/" + std::to_string(n), {n, 8 * n}, [=]() -> contest {
    auto const x = normal_floats(n);
    auto const y = zeros<float>(n), z = zeros<float>(n);
    auto const pool = std::make_shared<ff::thread_pool>(2);
    reference peer;
#ifdef BENCH_THRUST
    peer = {[=] { thrust_inclusive_sum(x->data(), z->data(), n, 2); }};
#endif
    return {[=] { ff::scan(pool->ref(), ff::plus<float>{}, *x, *y, ff::scan_kind::inclusive); }, peer, copy_limit(4 * n, 4 * n)};
  });
  add("scan/inclusive sum, 2 threads, peer oneTBB/" + std::to_string(n), {n, 8 * n}, [=]() -> contest {
    auto const x = normal_floats(n);
    auto const y = zeros<float>(n), z = zeros<float>(n);
    auto const pool = std::make_shared<ff::thread_pool>(2);
    return {[=] { ff::scan(pool->ref(), ff::plus<float>{}, *x, *y, ff::scan_kind::inclusive); }, tbb_scan(x, z), copy_limit(4 * n, 4 * n)};
  });
}
