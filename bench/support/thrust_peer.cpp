#include "support/thrust_peer.hpp"

#include <omp.h>
#include <thrust/reduce.h>
#include <thrust/scan.h>
#include <thrust/sort.h>
#include <thrust/system/omp/execution_policy.h>

float bench::thrust_sum(float const* x, std::int64_t n, int threads) {
  omp_set_num_threads(threads);
  return thrust::reduce(thrust::omp::par, x, x + n, 0.0f);
}

void bench::thrust_inclusive_sum(float const* x, float* y, std::int64_t n, int threads) {
  omp_set_num_threads(threads);
  thrust::inclusive_scan(thrust::omp::par, x, x + n, y);
}

void bench::thrust_sort_by_key(std::int32_t* keys, std::int32_t* values, std::int64_t n, int threads) {
  omp_set_num_threads(threads);
  thrust::stable_sort_by_key(thrust::omp::par, keys, keys + n, values);
}
