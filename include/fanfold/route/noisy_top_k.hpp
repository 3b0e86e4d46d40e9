#pragma once

#include <cstdint>
#include <vector>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/executor.hpp"
#include "fanfold/core/half.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/core/workspace.hpp"
#include "fanfold/route/detail/row_sums.hpp"
#include "fanfold/route/importance.hpp"
#include "fanfold/route/noise.hpp"
#include "fanfold/route/select.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// dscale = dlogits epsilon sigmoid(scale): the gradient of the raw noise scale of learned_noise, where `dlogits` are those of `assign_vjp`
/// for the weights alone (statistics see the clean logits). Overwrites dscale; may be dlogits.
template <host_executor E, class D, class S>
void learned_noise_vjp(E const& ex, learned_noise const& noise, matrix_view<D const> dlogits, matrix_view<S> dscale) {
  static constexpr char function[] = "route::learned_noise_vjp";
  noise.check(dlogits.cols());
  check_argument(noise.scale.rows() >= dlogits.rows(), function, "rows of the scale", noise.scale.rows(), "the rows of dlogits");
  check_argument(dscale.rows() == dlogits.rows() && dscale.cols() == dlogits.cols(), function, "shape of dscale", dscale.cols(), "that of dlogits");
  using R = arithmetic_t<S>;
  std::int64_t const n = dlogits.cols();
  workspace ws;
  detail::for_each_row<R>(ex, dlogits.rows(), 0, ws, [&](std::int64_t t, R*) {
    for (std::int64_t e = 0; e < n; ++e)
      dscale(t, e) = from_arithmetic<S>(static_cast<R>(to_arithmetic(dlogits(t, e))) * noise.template epsilon<R>(t, e, n) *
                                        math::sigmoid(noise.template raw<R>(t, e)));
  });
}

/// lambda CV^2 of the load of experts (Shazeer et al., 2017): v_e = sum_t Phi((l_te - theta_te) / sigma_te), the probability that e would be
/// chosen if its own noise alone were drawn again. theta_te is the k-th largest noisy logit of the row without e (`excluding`, Shazeer), or
/// of the whole row (V-MoE, Tutel), and a constant under differentiation.
struct load_loss {
  double lambda = 0.1;
  std::int64_t k = 2;
  bool excluding = true;
  squared_variation variation{};

  /// v, from clean logits, noisy logits and noise scales (all T x E; double).
  template <host_executor E>
  std::vector<double> load(E const& ex, matrix_view<double const> clean, matrix_view<double const> noisy, matrix_view<double const> sigma) const {
    check(clean, noisy, sigma);
    std::int64_t const n = clean.cols();
    std::vector<double> v(static_cast<std::size_t>(n));
    workspace ws;
    detail::sum_over_rows(ex, clean.rows(), n, ws, v.data(), [&](std::int64_t t, double* sum) {
      auto const bar = thresholds(noisy.row(t));
      for (std::int64_t e = 0; e < n; ++e) {
        double const z = (clean(t, e) - threshold(bar, noisy(t, e))) / sigma(t, e);
        sum[e] += 0.5 * (1 + math::erf(z * 0x1.6a09e667f3bcdp-1));
      }
    });
    return v;
  }

  template <host_executor E>
  double value(E const& ex, matrix_view<double const> clean, matrix_view<double const> noisy, matrix_view<double const> sigma) const {
    return lambda * variation.value(load(ex, clean, noisy, sigma));
  }

  /// Writes the gradients by clean logits and noise scales; `dsigma` may be empty.
  template <host_executor E>
  void gradient(E const& ex, matrix_view<double const> clean, matrix_view<double const> noisy, matrix_view<double const> sigma,
                matrix_view<double> dclean, matrix_view<double> dsigma) const {
    auto const g = variation.gradient(load(ex, clean, noisy, sigma));
    workspace ws;
    detail::for_each_row<double>(ex, clean.rows(), 0, ws, [&](std::int64_t t, double*) {
      auto const bar = thresholds(noisy.row(t));
      for (std::int64_t e = 0; e < clean.cols(); ++e) {
        double const z = (clean(t, e) - threshold(bar, noisy(t, e))) / sigma(t, e);
        double const density = z - z == 0 ? 0x1.9884533d43651p-2 * math::exp(-0.5 * (z * z)) : 0;  // 1 / sqrt(2 pi)
        double const slope = lambda * g[static_cast<std::size_t>(e)] * density / sigma(t, e);
        dclean(t, e) = slope;
        if (dsigma.data() != nullptr) dsigma(t, e) = z - z == 0 ? -z * slope : 0;
      }
    });
  }

 private:
  struct row_thresholds {
    double kth, next;  // the k-th and the (k + 1)-th largest
  };

  void check(matrix_view<double const> clean, matrix_view<double const> noisy, matrix_view<double const> sigma) const {
    static constexpr char function[] = "route::load_loss";
    check_argument(k >= 1 && k <= clean.cols(), function, "k", k, "between 1 and the number of experts");
    bool const same = noisy.rows() == clean.rows() && sigma.rows() == clean.rows() && noisy.cols() == clean.cols() && sigma.cols() == clean.cols();
    check_argument(same, function, "shape of the noisy logits or scales", noisy.cols(), "the shape of the logits");
    for (std::int64_t t = 0; t < clean.rows(); ++t)
      for (double s : sigma.row(t)) check_argument(s > 0, function, "a noise scale", s, "positive: this loss needs noise");
  }
  row_thresholds thresholds(view<double const> h) const {
    std::int64_t const n = h.size(), count = k < n ? k + 1 : k;
    std::vector<std::int32_t> id(static_cast<std::size_t>(count));
    detail::select_top(host_lane{}, h.data(), 0, n, id.data(), count);
    return {h[id[static_cast<std::size_t>(k - 1)]], k < n ? h[id[static_cast<std::size_t>(k)]] : -math::infinity<double>()};
  }
  double threshold(row_thresholds const& bar, double h) const { return excluding && h >= bar.kth ? bar.next : bar.kth; }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
