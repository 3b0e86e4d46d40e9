#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "fanfold/aggregate/robust/average.hpp"
#include "fanfold/aggregate/robust/bucketing.hpp"
#include "fanfold/aggregate/robust/bulyan.hpp"
#include "fanfold/aggregate/robust/centered_clipping.hpp"
#include "fanfold/aggregate/robust/clip.hpp"
#include "fanfold/aggregate/robust/covariance_filter.hpp"
#include "fanfold/aggregate/robust/flag_aggregate.hpp"
#include "fanfold/aggregate/robust/geometric_median.hpp"
#include "fanfold/aggregate/robust/krum.hpp"
#include "fanfold/aggregate/robust/nearest.hpp"
#include "fanfold/aggregate/robust/order_statistics.hpp"
#include "fanfold/aggregate/robust/robust.hpp"
#include "fanfold/aggregate/robust/subsets.hpp"
#include "fanfold/core/distributions.hpp"
#include "fanfold/core/random.hpp"

namespace support {

/// Rows as tests write them.
template <class T>
struct table {
  std::vector<T> data;
  std::int64_t rows = 0, cols = 0;

  table(std::int64_t n, std::int64_t d) : data(static_cast<std::size_t>(n * d)), rows(n), cols(d) {}
  table(std::initializer_list<std::vector<double>> x) : rows(static_cast<std::int64_t>(x.size())), cols(static_cast<std::int64_t>(x.begin()->size())) {
    for (auto const& row : x)
      for (double v : row) data.push_back(static_cast<T>(v));
  }
  fanfold::matrix_view<T const> view() const { return {data.data(), rows, cols}; }
  fanfold::matrix_view<T> view() { return {data.data(), rows, cols}; }
  T& operator()(std::int64_t i, std::int64_t c) { return data[static_cast<std::size_t>(i * cols + c)]; }
  T operator()(std::int64_t i, std::int64_t c) const { return data[static_cast<std::size_t>(i * cols + c)]; }
};

template <class T, class R, class... Options>
std::vector<T> aggregated(R const& rule, table<T> const& x, Options const&... options) {
  std::vector<T> out(static_cast<std::size_t>(x.cols));
  fanfold::aggregate::robust(rule, x.view(), out, options...);
  return out;
}

inline table<double> random_rows(std::int64_t n, std::int64_t d, std::uint32_t tag) {
  table<double> x(n, d);
  fanfold::random_stream const r{77, 1, tag};
  for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<double>(r.normal(i));
  return x;
}

/// Calls f(name, rule) for one rule of each kind that works for n rows of which f are faulty, n >= 4f + 3.
template <class F>
void for_each_plain_rule(std::int64_t n, std::int64_t f, F&& call) {
  using namespace fanfold::aggregate;
  call("coordinate_median", coordinate_median{});
  call("trimmed_mean", trimmed_mean{.f = f});
  call("mean_around_median", mean_around_median{.f = f});
  call("mean_around_median_by_index", mean_around_median_by_index{.f = f});
  call("krum", krum{.f = f});
  call("multi_krum", multi_krum{.f = f});
  call("bulyan", bulyan{.f = f});
  call("bulyan one_shot", bulyan{.f = f, .selection = bulyan_selection::one_shot});
  call("minimum_diameter_average", minimum_diameter_average{.f = f});
  call("smallest_eigen_average", smallest_eigen_average{.f = f});
  call("nearest_to_trusted", nearest_to_trusted{.f = f, .index = n - 1});
  call("geometric_median", geometric_median{});
  call("centered_clipping", centered_clipping{.tau = 2.0, .iterations = 3});
  call("covariance_filter", covariance_filter{.f = f});
  call("flag_aggregate", flag_aggregate{.rank = 2, .lambda = 0.5});
}

/// Likewise behind pre-aggregations.
template <class F>
void for_each_composed_rule(std::int64_t f, F&& call) {
  using namespace fanfold::aggregate;
  call("norm_clip + average", compose(norm_clip{2.0}, average{}));
  call("adaptive_robust_clip + trimmed_mean", compose(adaptive_robust_clip{.f = f}, trimmed_mean{.f = f}));
  call("adaptive_robust_clip + geometric_median", compose(adaptive_robust_clip{.f = f}, geometric_median{}));
  call("nearest_neighbour_mixing + krum", compose(nearest_neighbour_mixing{.f = f}, krum{.f = f}));
  call("nearest_neighbour_mixing + trimmed_mean", compose(nearest_neighbour_mixing{.f = f}, trimmed_mean{.f = f}));
  call("nearest_neighbour_mixing + geometric_median", compose(nearest_neighbour_mixing{.f = f}, geometric_median{}));
  call("nearest_neighbour_mixing + covariance_filter", compose(nearest_neighbour_mixing{.f = f}, covariance_filter{.f = f}));
  call("bucketing + geometric_median", compose(bucketing{.size = 2, .seed = 3}, geometric_median{}));
  call("clip + mixing + bulyan", compose(adaptive_robust_clip{.f = f}, nearest_neighbour_mixing{.f = f}, bulyan{.f = f}));
}

template <class F>
void for_each_robust_rule(std::int64_t n, std::int64_t f, F&& call) {
  for_each_plain_rule(n, f, call);
  for_each_composed_rule(f, call);
}

}  // namespace support
