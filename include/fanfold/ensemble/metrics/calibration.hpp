#pragma once

#include <cmath>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/ensemble/metrics/sample.hpp"
#include "fanfold/ensemble/softmax.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// Mean and largest distance of accuracy from confidence over the bins; NaN without samples.
struct calibration_errors {
  double expected = 0;
  double maximum = 0;
};

/// Per bin: samples, sum of confidences, right answers.
template <int Bins>
struct calibration_state {
  std::int64_t count[std::size_t{Bins}] = {};
  std::int64_t right[std::size_t{Bins}] = {};
  double confidence[std::size_t{Bins}] = {};
};

/// Expected and maximum calibration error (Guo et al., On calibration of modern neural networks, 2017). Bin b covers confidences (b/Bins, (b+1)/Bins],
/// 0 in bin 0; expected = sum n_b/N |acc_b - conf_b|. `cls` >= 0: of the probability of that class against being it (classwise), else of
/// the largest probability (the lower class of equal ones) against being right.
template <class T = float, int Bins = 15>
struct calibration {
  using input = labelled_sample<T>;
  using state = calibration_state<Bins>;
  using output = calibration_errors;
  static constexpr law laws = law::associative | law::commutative;
  std::int64_t cls = -1;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD state lift(input const& x) const {
    state s{};
    std::int64_t const c = cls >= 0 ? cls : detail::arg_max_row(x.p, x.classes);
    double const p = static_cast<double>(to_arithmetic(x.p[c]));
    int b = 0;  // max(0, ceil(p * Bins) - 1)
    while (b + 1 < Bins && p * Bins > b + 1) ++b;
    s.count[b] = 1;
    s.right[b] = c == x.label;
    s.confidence[b] = p;
    return s;
  }
  FANFOLD_HD constexpr state combine(state a, state const& b) const {
    for (int i = 0; i < Bins; ++i) {
      a.count[i] += b.count[i];
      a.right[i] += b.right[i];
      a.confidence[i] += b.confidence[i];
    }
    return a;
  }
  FANFOLD_HD constexpr output lower(state const& s) const {
    std::int64_t all = 0;
    output e{};
    for (int i = 0; i < Bins; ++i) all += s.count[i];
    if (all == 0) return {math::quiet_nan<double>(), math::quiet_nan<double>()};
    for (int i = 0; i < Bins; ++i) {
      if (s.count[i] == 0) continue;
      auto const n = static_cast<double>(s.count[i]);
      double const d = static_cast<double>(s.right[i]) / n - s.confidence[i] / n;
      double const gap = d < 0 ? -d : d;
      e.expected += n / static_cast<double>(all) * gap;
      e.maximum = gap > e.maximum ? gap : e.maximum;
    }
    return e;
  }
};

/// Mean over the classes of the classwise expected calibration error.
template <int Bins = 15, matrix_viewable P, viewable L>
double classwise_calibration_error(P const& probabilities, L const& labels) {
  using T = std::remove_cv_t<std::remove_reference_t<decltype(*as_matrix_view(probabilities).data())>>;
  std::int64_t const classes = as_matrix_view(probabilities).cols();
  double sum = 0;
  for (std::int64_t c = 0; c < classes; ++c) sum += evaluate(calibration<T, Bins>{c}, probabilities, labels).expected;
  return sum / static_cast<double>(classes);
}

/// Expected and maximum calibration error with bins of equal counts: after a stable ascending sort by confidence, bin b takes the positions
/// [floor(b N / bins), floor((b + 1) N / bins)).
template <matrix_viewable P, viewable L>
calibration_errors adaptive_calibration(P const& probabilities, L const& labels, std::int64_t bins = 15) {
  auto const p = as_const(as_matrix_view(probabilities));
  auto const y = as_const(as_view(labels));
  char const* const f = "ensemble::adaptive_calibration";
  detail::check_labels(f, p, y);
  check_argument(bins >= 1, f, "bins", bins, "1 or more");
  struct answer {
    double confidence;
    bool right;
  };
  std::vector<answer> sorted, spare(static_cast<std::size_t>(p.rows()));
  for (std::int64_t n = 0; n < p.rows(); ++n) {
    std::int64_t const c = detail::arg_max_row(p.row(n).data(), p.cols());
    sorted.push_back({static_cast<double>(to_arithmetic(p(n, c))), c == static_cast<std::int64_t>(y[n])});
  }
  std::size_t const size = sorted.size();
  if (size == 0) return {math::quiet_nan<double>(), math::quiet_nan<double>()};
  for (std::size_t width = 1; width < size; width *= 2) {  // merge sort from below: stable
    for (std::size_t first = 0; first < size; first += 2 * width) {
      std::size_t const middle = first + width < size ? first + width : size, last = middle + width < size ? middle + width : size;
      for (std::size_t a = first, b = middle, to = first; to < last; ++to)
        spare[to] = b >= last || (a < middle && !(sorted[b].confidence < sorted[a].confidence)) ? sorted[a++] : sorted[b++];
    }
    sorted.swap(spare);
  }
  calibration_errors e;
  for (std::int64_t b = 0; b < bins; ++b) {
    auto const at = [&](std::int64_t i) { return static_cast<std::size_t>(i / bins * static_cast<std::int64_t>(size) + i % bins * static_cast<std::int64_t>(size) / bins); };
    std::size_t const first = at(b), last = at(b + 1);
    double gap = 0;
    for (std::size_t i = first; i < last; ++i) gap += (sorted[i].right ? 1.0 : 0.0) - sorted[i].confidence;
    if (first == last) continue;
    gap = std::fabs(gap);
    e.expected += gap / static_cast<double>(size);
    e.maximum = std::fmax(e.maximum, gap / static_cast<double>(last - first));
  }
  return e;
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
