#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/check.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI::ensemble {

/// One sample as metrics see it: a distribution over classes and the true class.
template <class T>
struct labelled_sample {
  T const* p = nullptr;
  std::int64_t classes = 0;
  std::int64_t label = 0;
};

/// A sum in double and how many samples it has; answers are means, NaN for no samples.
struct mean_state {
  double sum = 0;
  std::int64_t count = 0;

  FANFOLD_HD constexpr double mean() const { return count == 0 ? math::quiet_nan<double>() : sum / static_cast<double>(count); }
};

/// What metrics that are means of one number a sample have in common: states add up, so batches and machines merge.
struct mean_metric {
  using state = mean_state;
  using output = double;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {-0.0, 0}; }
  FANFOLD_HD constexpr state combine(state a, state b) const { return {a.sum + b.sum, a.count + b.count}; }
  FANFOLD_HD constexpr output lower(state s) const { return s.mean(); }
};

namespace detail {

template <class P, class L>
void check_labels(char const* function, P p, L labels) {
  check_argument(labels.size() == p.rows(), function, "number of labels", labels.size(), "the number of samples");
  for (std::int64_t n = 0; n < p.rows(); ++n)
    check_argument(labels[n] >= 0 && static_cast<std::int64_t>(labels[n]) < p.cols(), function, "a label", labels[n], "in [0, classes)");
}

}  // namespace detail

/// The answer of a metric (an aggregator over labelled samples) for probabilities [samples x classes] and one label a sample.
/// \throws argument_error for a label outside the classes. \par Determinism As fold with order::fixed.
template <host_executor E, aggregator M, matrix_viewable P, viewable L>
typename M::output evaluate(E const& ex, M const& metric, P const& probabilities, L const& labels) {
  auto const p = as_const(as_matrix_view(probabilities));
  auto const y = as_const(as_view(labels));
  detail::check_labels("ensemble::evaluate", p, y);
  workspace ws;
  workspace::frame frame(ws);
  auto const items = frame.take<typename M::input>(p.rows());
  for (std::int64_t n = 0; n < p.rows(); ++n) items[n] = {p.row(n).data(), p.cols(), static_cast<std::int64_t>(y[n])};
  return fold(ex, metric, items);
}
template <aggregator M, matrix_viewable P, viewable L>
typename M::output evaluate(M const& metric, P const& probabilities, L const& labels) {
  return evaluate(serial, metric, probabilities, labels);
}

}  // namespace fanfold::inline FANFOLD_ABI::ensemble
