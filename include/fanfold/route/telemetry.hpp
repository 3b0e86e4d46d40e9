#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/detail/descending.hpp"
#include "fanfold/route/routing_stats.hpp"

/// \file
/// Numbers about routing, from statistics or assignments in host memory; O(E) or O(T K) each.

namespace fanfold::inline FANFOLD_ABI::route {

/// How even loads are; of no choices at all everything is 0 and `valid` false.
struct load_metrics {
  bool valid = false;
  double max_violation = 0;  ///< (max c - mean) / mean
  double min_violation = 0;  ///< (mean - min c) / mean
  double variation = 0;      ///< population standard deviation / mean
  double gini = 0;           ///< sum |c_i - c_j| / (2 E^2 mean)
  double entropy = 0;        ///< of c / sum c over log E; 1 for E = 1
  std::int64_t dead = 0;     ///< experts without a choice
};

/// Of the choices that each expert got.
inline load_metrics measure_load(view<std::int64_t const> count) {
  load_metrics m;
  std::vector<std::int64_t> c(count.begin(), count.end()), spare(c.size());
  detail::merge_sort(c.data(), spare.data(), count.size(), [](std::int64_t a, std::int64_t b) { return a < b; });
  std::int64_t sum = 0;
  double weighted = 0, square = 0, entropy = 0;
  for (std::int64_t x : c) sum += x;
  if (sum == 0) return m;
  auto const n = static_cast<double>(c.size()), total = static_cast<double>(sum), mean = total / n;
  for (std::size_t i = 0; i < c.size(); ++i) {
    auto const x = static_cast<double>(c[i]);
    weighted += (2 * static_cast<double>(i + 1) - n - 1) * x;
    square += (x - mean) * (x - mean);
    entropy -= c[i] == 0 ? 0 : x / total * math::log(x / total);
    m.dead += c[i] == 0 ? 1 : 0;
  }
  m.valid = true;
  m.max_violation = (static_cast<double>(c.back()) - mean) / mean;
  m.min_violation = (mean - static_cast<double>(c.front())) / mean;
  m.variation = math::sqrt(square / n) / mean;
  m.gini = weighted / (n * n * mean);
  m.entropy = c.size() == 1 ? 1 : entropy / math::log(n);
  return m;
}

/// c_e / mean: 1 is a fair share, 0 a dead expert.
inline std::vector<double> utilisation(view<std::int64_t const> count) {
  std::vector<double> u(static_cast<std::size_t>(count.size()));
  double sum = 0;
  for (std::int64_t c : count) sum += static_cast<double>(c);
  for (std::size_t e = 0; e < u.size() && sum > 0; ++e) u[e] = static_cast<double>(count[e]) * static_cast<double>(u.size()) / sum;
  return u;
}

/// Load of devices that hold the experts named by `device`.
struct device_load {
  std::vector<std::int64_t> load;
  double imbalance = 0;  ///< (max - min) / T (Pangu Pro MoE)
  double overload = 0;   ///< max / mean
};
/// `count` choices an expert, `tokens` in all; device[e] in [0, devices).
inline device_load measure_devices(view<std::int64_t const> count, view<std::int32_t const> device, std::int64_t devices, std::int64_t tokens) {
  static constexpr char function[] = "route::measure_devices";
  check_argument(device.size() == count.size(), function, "size of device", device.size(), "the number of experts");
  check_argument(devices >= 1, function, "devices", devices, "1 or more");
  device_load d;
  d.load.assign(static_cast<std::size_t>(devices), 0);
  std::int64_t sum = 0;
  for (std::int64_t e = 0; e < count.size(); ++e) {
    check_argument(device[e] >= 0 && device[e] < devices, function, "a device", device[e], "in range");
    d.load[static_cast<std::size_t>(device[e])] += count[e];
    sum += count[e];
  }
  std::int64_t low = d.load[0], high = d.load[0];
  for (std::int64_t x : d.load) {
    low = x < low ? x : low;
    high = x > high ? x : high;
  }
  d.imbalance = tokens == 0 ? 0 : static_cast<double>(high - low) / static_cast<double>(tokens);
  d.overload = sum == 0 ? 0 : static_cast<double>(high) * static_cast<double>(devices) / static_cast<double>(sum);
  return d;
}

/// Number at fraction p of the sorted values, linear between neighbours at (n - 1) p. NaN for none.
inline double percentile(std::vector<double> x, double p) {
  if (x.empty()) return math::quiet_nan<double>();
  check_argument(p >= 0 && p <= 1, "route::percentile", "p", p, "between 0 and 1");
  std::vector<double> spare(x.size());
  detail::merge_sort(x.data(), spare.data(), static_cast<std::int64_t>(x.size()), [](double a, double b) { return a < b; });
  double const at = static_cast<double>(x.size() - 1) * p;
  auto const low = static_cast<std::size_t>(at);
  return low + 1 >= x.size() ? x.back() : x[low] + (at - static_cast<double>(low)) * (x[low + 1] - x[low]);
}

/// Means over rows; 0 for none.
inline double mean_entropy(routing_stats const& s) { return s.tokens() == 0 ? 0 : s.entropy_sum() / static_cast<double>(s.tokens()); }
inline double mean_choices(routing_stats const& s) { return s.tokens() == 0 ? 0 : static_cast<double>(s.choices()) / static_cast<double>(s.tokens()); }
/// Token-level sparsity: 1 - the mean share of experts that are on (BlockFFN's TLS).
inline double token_sparsity(routing_stats const& s) { return s.experts() == 0 ? 0 : 1 - mean_choices(s) / static_cast<double>(s.experts()); }

/// Mean weight of the first slot over rows; 0 for none.
template <class W, class Id>
double mean_first_weight(assignment<W, Id> const& a) {
  double sum = 0;
  for (std::int64_t t = 0; t < a.rows() && a.slots() > 0; ++t) sum += static_cast<double>(to_arithmetic(a.weight(t, 0)));
  return a.rows() == 0 ? 0 : sum / static_cast<double>(a.rows());
}

namespace detail {

template <class Id>
std::int64_t count_common(view<Id> a, view<Id> b) {
  std::int64_t n = 0;
  for (Id x : a)
    for (Id y : b) n += x >= 0 && x == y ? 1 : 0;
  return n;
}
template <class Id>
std::int64_t count_taken(view<Id> a) {
  std::int64_t n = 0;
  for (Id x : a) n += x >= 0 ? 1 : 0;
  return n;
}

}  // namespace detail

/// Two routings of the same rows: share of rows whose first id differs, and the mean of 1 - |S and S'| / K.
struct fluctuation {
  double first = 0;
  double set = 0;
};
/// Of two id matrices of one shape.
template <class Id>
fluctuation measure_fluctuation(matrix_view<Id> a, matrix_view<Id> b) {
  check_argument(a.rows() == b.rows() && a.cols() == b.cols(), "route::measure_fluctuation", "shape of the second routing", b.rows(), "that of the first");
  fluctuation f;
  if (a.empty()) return f;
  for (std::int64_t t = 0; t < a.rows(); ++t) {
    f.first += a(t, 0) != b(t, 0) ? 1 : 0;
    f.set += 1 - static_cast<double>(detail::count_common(a.row(t), b.row(t))) / static_cast<double>(a.cols());
  }
  f.first /= static_cast<double>(a.rows());
  f.set /= static_cast<double>(a.rows());
  return f;
}

/// Chunk-level sparsity: 1 - the mean over chunks of `length` rows of (experts that any row of the chunk takes) / E; a shorter tail is
/// left out. 0 for no chunk.
template <class Id>
double chunk_sparsity(matrix_view<Id> id, std::int64_t experts, std::int64_t length) {
  check_argument(length >= 1, "route::chunk_sparsity", "length", length, "1 or more");
  std::vector<char> on(static_cast<std::size_t>(experts));
  double active = 0;
  std::int64_t chunks = 0;
  for (std::int64_t first = 0; first + length <= id.rows(); first += length, ++chunks) {
    for (char& x : on) x = 0;
    for (std::int64_t t = first; t < first + length; ++t)
      for (Id e : id.row(t))
        if (e >= 0 && e < experts) on[static_cast<std::size_t>(e)] = 1;
    for (char x : on) active += x;
  }
  return chunks == 0 ? 0 : 1 - active / static_cast<double>(chunks * experts);
}

/// Mean over rows of |S_t and S_t+1| / |S_t|; rows without experts are skipped.
template <class Id>
double reuse_ratio(matrix_view<Id> id) {
  double sum = 0;
  std::int64_t rows = 0;
  for (std::int64_t t = 0; t + 1 < id.rows(); ++t) {
    std::int64_t const taken = detail::count_taken(id.row(t));
    if (taken == 0) continue;
    sum += static_cast<double>(detail::count_common(id.row(t), id.row(t + 1))) / static_cast<double>(taken);
    ++rows;
  }
  return rows == 0 ? 0 : sum / static_cast<double>(rows);
}

/// count[e * buckets + b]: choices of expert e among rows of label b (position, time step, class). Labels out of range are left out.
template <class Id>
std::vector<std::int64_t> count_by_label(matrix_view<Id> id, view<std::int32_t const> label, std::int64_t experts, std::int64_t buckets) {
  check_argument(label.size() == id.rows(), "route::count_by_label", "number of labels", label.size(), "the rows of the ids");
  std::vector<std::int64_t> count(static_cast<std::size_t>(experts * buckets));
  for (std::int64_t t = 0; t < id.rows(); ++t)
    for (Id e : id.row(t))
      if (e >= 0 && e < experts && label[t] >= 0 && label[t] < buckets) ++count[static_cast<std::size_t>(e * buckets + label[t])];
  return count;
}

}  // namespace fanfold::inline FANFOLD_ABI::route
