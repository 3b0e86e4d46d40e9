// Folds: any monoid, any executor, the same bits.

// [fold]
#include <cstdint>
#include <cstdio>
#include <vector>

#include "fanfold/core/random_fill.hpp"
#include "fanfold/core/thread_pool.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/fold/neighbour_fold.hpp"
#include "fanfold/fold/scan.hpp"
#include "fanfold/monoid/arithmetic.hpp"
#include "fanfold/monoid/binned_sum.hpp"
#include "fanfold/monoid/extrema.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"
#include "fanfold/monoid/moments.hpp"

namespace ff = fanfold;

int main() {
  std::vector<float> x(1'000'000);
  ff::fill_normal(ff::random_stream{.seed = 42}, 0, x);

  ff::thread_pool pool(4);
  float const serial = ff::fold(ff::plus<float>{}, x);
  float const parallel = ff::fold(pool.ref(), ff::plus<float>{}, x);
  auto const m = ff::fold(pool.ref(), ff::moments<2, float>{}, x);
  std::printf("sum %.4f, the same bits on four threads: %s\n", static_cast<double>(serial), serial == parallel ? "yes" : "no");
  std::printf("mean %.5f, variance %.5f, log-sum-exp %.5f\n", m.mean, m.variance(), static_cast<double>(ff::fold(ff::log_sum_exp<float>{}, x)));

  // order::reproducible: the same bits for any permutation of the items, checked at compile time against the carrier's laws
  float const forwards = ff::fold(ff::binned_sum<float, 2>{}, x, ff::order::reproducible);
  std::vector<float> const reversed(x.rbegin(), x.rend());
  float const backwards = ff::fold(ff::binned_sum<float, 2>{}, reversed, ff::order::reproducible);
  std::printf("reproducible sum %.4f, reversed: %.4f\n", static_cast<double>(forwards), static_cast<double>(backwards));

  // a graph of three nodes: each takes the maximum of its neighbours' features, messages made on the fly
  std::vector<std::int64_t> const offsets{0, 2, 3, 3};
  std::vector<std::int32_t> const neighbours{1, 2, 0};
  std::vector<float> const features{1, 5, 2, 4, 3, 6};
  std::vector<float> out(6);
  ff::neighbour_fold(ff::maximum<float>{}, ff::csr_view<float>{offsets, neighbours, {}},
                     ff::source_rows{ff::matrix_view<float const>(features.data(), 3, 2)}, ff::matrix_view<float>(out.data(), 3, 2), ff::empty_policy::value{0.0f});
  std::printf("maxima");
  for (float v : out) std::printf(" %g", static_cast<double>(v));

  std::vector<std::int64_t> const counts{3, 0, 2, 5};
  std::vector<std::int64_t> begins(4);
  ff::scan(ff::plus<std::int64_t>{}, counts, begins, ff::scan_kind::exclusive);
  std::printf("\noffsets %lld %lld %lld %lld\n", static_cast<long long>(begins[0]), static_cast<long long>(begins[1]), static_cast<long long>(begins[2]),
              static_cast<long long>(begins[3]));
}
// [/fold]

// output:
// sum 2467.1685, the same bits on four threads: yes
// mean 0.00247, variance 0.99817, log-sum-exp 14.31724
// reproducible sum 2467.1685, reversed: 2467.1685
// maxima 3 6 1 5 0 0
// offsets 0 3 3 5
