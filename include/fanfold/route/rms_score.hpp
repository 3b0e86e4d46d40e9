#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/score.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

namespace detail {

template <class R>
struct positive_square {
  R const* l;
  bool infinite;
  FANFOLD_HD R operator()(std::int64_t e) const {
    R const a = infinite ? (l[e] == math::infinity<R>() ? R(1) : R(0)) : l[e] > R(0) ? l[e] : R(0);
    return a * a;
  }
};

template <class R>
struct positive_product {
  R const* l;
  R const* dy;
  FANFOLD_HD R operator()(std::int64_t e) const { return l[e] > R(0) ? l[e] * dy[e] : R(0); }
};

}  // namespace detail

/// y = a / sqrt(mean_e a^2 + eps), a = max(l, 0): the router of BlockFFN (Song et al., 2025). Its gamma, one factor an expert, is
/// `weight.scale.expert` of the router. The share is a, as for relu_score.
struct rms_relu_score {
  float eps = 1e-5f;

  static constexpr bool monotone = false;
  static constexpr bool nonnegative = true;
  static constexpr bool share_is_softmax = false;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* l, R* y, std::int64_t n) const {
    bool const infinite = detail::row_max(g, l, n) == math::infinity<R>();
    R const r = inverse_rms(g, l, n, infinite);
    for (std::int64_t e = g.rank(); e < n; e += g.size())
      y[e] = infinite ? (l[e] == math::infinity<R>() ? r : R(0)) : l[e] > R(0) ? l[e] * r : R(0);
    g.sync();
  }
  /// da = r dy - a r^3 <a, dy> / E where l > 0.
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* l, R const*, R const* dy, R* dl, std::int64_t n) const {
    R const r = inverse_rms(g, l, n, false);
    R const dot = g.fold(detail::row_sum<R>{}, n, detail::positive_product<R>{l, dy}) / static_cast<R>(n);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = l[e] > R(0) ? r * dy[e] - l[e] * (r * r * r) * dot : R(0);
    g.sync();
  }
  template <row_group G, class R>
  FANFOLD_HD void share(G const& g, R const* l, R* p, std::int64_t n) const {
    relu_score{}.share(g, l, p, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void share_backward(G const& g, R const* l, R const* p, R const* dp, R* dl, std::int64_t n) const {
    relu_score{}.share_backward(g, l, p, dp, dl, n);
  }

 private:
  template <class G, class R>
  FANFOLD_HD R inverse_rms(G const& g, R const* l, std::int64_t n, bool infinite) const {
    R const square = g.fold(detail::row_sum<R>{}, n, detail::positive_square<R>{l, infinite});
    return R(1) / math::sqrt(square / static_cast<R>(n) + static_cast<R>(eps));
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
