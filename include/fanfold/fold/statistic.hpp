#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/fold/tree.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A few sums over the elements of a segment, in double: `lift(x, pivot, s)` writes what one element adds to each of the `fields` sums,
/// `lower(s, pivot, count)` turns the sums into answers in place. The pivot is the segment's first element.
template <class S>
concept element_statistic = requires(S const s, float x, double pivot, double* sums, std::int64_t count) {
  { S::fields } -> std::convertible_to<int>;
  s.lift(x, x, sums);
  s.lower(sums, pivot, count);
};

/// Mean and population variance of a segment, by sums shifted about its first element p: d = x - p in double, mean = p + sum(d)/n,
/// variance = max(0, sum(d*d)/n - (sum(d)/n)^2). Since (p - mean)^2 <= n * variance, the relative error is at most about n * 2^-53.
struct shifted_moments {
  static constexpr int fields = 2;

  template <class A>
  FANFOLD_HD constexpr void lift(A x, A pivot, double* s) const {
    double const d = static_cast<double>(x) - static_cast<double>(pivot);
    s[0] = d;
    s[1] = d * d;
  }
  FANFOLD_HD constexpr void lower(double* s, double pivot, std::int64_t count) const {
    double const shift = s[0] / static_cast<double>(count);
    double const variance = s[1] / static_cast<double>(count) - shift * shift;
    s[0] = pivot + shift;
    s[1] = variance < 0 ? 0 : variance;  // NaN stays
  }
};

namespace detail {

/// Sums of one tile by the interleaved tree, in two halves of 32 lanes so that the accumulators fit the registers.
template <element_statistic S, class T>
FANFOLD_NOINLINE void measure_tile(S const& statistic, T const* x, arithmetic_t<T> pivot, std::int64_t n, double* sums) {
  constexpr int half = tile_lanes / 2;
  constexpr int fields = S::fields;
  double lane[std::size_t{fields}][tile_lanes];
  std::int64_t const whole = n / tile_lanes;
  for (int first = 0; first < tile_lanes && whole > 0; first += half) {
    double acc[std::size_t{fields}][half];
    for (int j = 0; j < half; ++j) {
      double s[std::size_t{fields}];
      statistic.lift(to_arithmetic(x[first + j]), pivot, s);
      for (int f = 0; f < fields; ++f) acc[f][j] = s[f];
    }
    for (std::int64_t r = 1; r < whole; ++r) {
      T const* const row = x + r * tile_lanes + first;
      for (int j = 0; j < half; ++j) {
        double s[std::size_t{fields}];
        statistic.lift(to_arithmetic(row[j]), pivot, s);
        for (int f = 0; f < fields; ++f) acc[f][j] = acc[f][j] + s[f];
      }
    }
    for (int f = 0; f < fields; ++f)
      for (int j = 0; j < half; ++j) lane[f][first + j] = acc[f][j];
  }
  for (std::int64_t i = whole * tile_lanes; i < n; ++i) {
    double s[std::size_t{fields}];
    statistic.lift(to_arithmetic(x[i]), pivot, s);
    std::int64_t const j = i - whole * tile_lanes;
    for (int f = 0; f < fields; ++f) lane[f][j] = whole > 0 ? lane[f][j] + s[f] : s[f];
  }
  std::int64_t present = n < tile_lanes ? n : tile_lanes;
  for (std::int64_t w = half; w > 0; w /= 2) {
    for (int f = 0; f < fields; ++f)
      for (std::int64_t j = 0; j + w < present; ++j) lane[f][j] = lane[f][j] + lane[f][j + w];
    present = present < w ? present : w;
  }
  for (int f = 0; f < fields; ++f) sums[f] = lane[f][0];
}

/// Adjacent-pair tree over the tiles' sums, `stride` doubles apart, then the answers into `out`; all zero for an empty segment.
template <element_statistic S>
FANFOLD_NOINLINE void finish_statistic(S const& statistic, double* tiles, std::int64_t stride, std::int64_t count, double pivot, double* out) {
  std::int64_t const n = divide_up(count, tile_items);
  for (std::int64_t w = 1; w < n; w *= 2)
    for (std::int64_t t = 0; t + w < n; t += 2 * w)
      for (int f = 0; f < S::fields; ++f) tiles[t * stride + f] = tiles[t * stride + f] + tiles[(t + w) * stride + f];
  for (int f = 0; f < S::fields; ++f) out[f] = n == 0 ? 0.0 : tiles[f];
  if (n > 0) statistic.lower(out, pivot, count);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI
