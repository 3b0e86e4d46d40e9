#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/fold/row_group.hpp"
#include "fanfold/route/assignment.hpp"
#include "fanfold/route/row.hpp"
#include "fanfold/route/routing_stats.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// CV^2(v) = variance / mean^2 of E numbers, population or sample variance, `eps` added to mean^2. One number, or mean 0 without eps: 0.
struct squared_variation {
  bool sample = false;
  double eps = 0;

  double value(view<double const> v) const {
    auto const m = moments_of(v);
    return m.divisor == 0 ? 0 : m.correction * m.variance / m.divisor;
  }
  /// d value / d v.
  std::vector<double> gradient(view<double const> v) const {
    auto const m = moments_of(v);
    std::vector<double> g(static_cast<std::size_t>(v.size()));
    if (m.divisor == 0) return g;
    auto const n = static_cast<double>(v.size());
    for (std::int64_t e = 0; e < v.size(); ++e)
      g[static_cast<std::size_t>(e)] = m.correction * 2 / n * ((v[e] - m.mean) - m.variance * m.mean / m.divisor) / m.divisor;
    return g;
  }

 private:
  struct moments {
    double mean, variance, divisor, correction;
  };
  struct squared_distance {
    double const* v;
    double mean;
    FANFOLD_HD double operator()(std::int64_t e) const { return (v[e] - mean) * (v[e] - mean); }
  };
  moments moments_of(view<double const> v) const {
    auto const n = static_cast<double>(v.size());
    if (v.size() < 2) return {0, 0, 0, 1};
    double const mean = host_lane{}.fold(detail::row_sum<double>{}, v.size(), detail::element_of<double>{v.data()}) / n;
    double const variance = host_lane{}.fold(detail::row_sum<double>{}, v.size(), squared_distance{v.data(), mean}) / n;
    return {mean, variance, mean * mean + eps, sample ? n / (n - 1) : 1.0};
  }
};

/// lambda CV^2 of the importance of experts: the sums of their gates (Shazeer et al., 2017), or of the full softmax of the clean logits
/// (V-MoE, Tutel). Tutel: `.variation = {true, 1e-10}`.
struct importance_loss {
  enum class source : unsigned char { gates, softmax };

  double lambda = 0.1;
  source of = source::gates;
  squared_variation variation{};

  double value(routing_stats const& s) const { return lambda * variation.value(sums(s)); }
  /// d value / d(weight sum) for gates, to be spread by add_weight_gradient, or / d(score sum) for routing_stats_gradient.
  std::vector<double> gradient(routing_stats const& s) const {
    auto g = variation.gradient(sums(s));
    for (double& x : g) x *= lambda;
    return g;
  }

 private:
  view<double const> sums(routing_stats const& s) const { return of == source::gates ? s.weight_sum() : s.score_sum(); }
};

/// dweight(t, j) += g[id(t, j)]: the gradient of a loss by the sums of weights.
template <class W, class Id, class D>
void add_weight_gradient(assignment<W, Id> const& a, view<double const> g, matrix_view<D> dweight) {
  check_argument(dweight.rows() == a.rows() && dweight.cols() == a.slots(), "route::add_weight_gradient", "shape of dweight", dweight.cols(),
                 "the shape of the ids");
  for (std::int64_t t = 0; t < a.rows(); ++t)
    for (std::int64_t j = 0; j < a.slots(); ++j) {
      auto const e = static_cast<std::int64_t>(a.id(t, j));
      if (e >= 0 && e < g.size())
        dweight(t, j) = from_arithmetic<D>(static_cast<arithmetic_t<D>>(static_cast<double>(to_arithmetic(dweight(t, j))) + g[e]));
    }
}

}  // namespace fanfold::inline FANFOLD_ABI::route
