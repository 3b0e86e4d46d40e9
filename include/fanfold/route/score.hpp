#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// From a row of logits to a row of scores. `monotone`: strictly increasing in each logit within a row, so that selection may compare
/// logits. `forward(g, l, y, n)` sets y; `backward(g, l, y, dy, dl, n)` sets dl = J^T dy (dl may be dy). A score of a -infinity logit is 0.
/// `share` is the row that balance losses and statistics see: for most maps a probability, whose sum is 1 for every row with a finite
/// logit; `share_is_softmax` says that it is softmax(l). `share_backward(g, l, p, dp, dl, n)` sets dl (dl may be dp).
template <class S>
concept score_map = requires(S const s, host_lane const g, float const* in, float* out, std::int64_t n) {
  { S::monotone } -> std::convertible_to<bool>;
  { S::nonnegative } -> std::convertible_to<bool>;
  { S::share_is_softmax } -> std::convertible_to<bool>;
  s.forward(g, in, out, n);
  s.backward(g, in, in, in, out, n);
  s.share(g, in, out, n);
  s.share_backward(g, in, in, in, out, n);
};

namespace detail {

/// A score of a logit alone, which may be asked for one by one.
template <class S>
concept elementwise = requires(S const s, float x) {
  { s.at(x) } -> std::same_as<float>;
};

/// Scores whose share is softmax(l).
struct softmax_share {
  static constexpr bool share_is_softmax = true;

  template <row_group G, class R>
  FANFOLD_HD void share(G const& g, R const* l, R* p, std::int64_t n) const {
    softmax_row(g, l, p, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void share_backward(G const& g, R const*, R const* p, R const* dp, R* dl, std::int64_t n) const {
    softmax_row_vjp(g, p, dp, dl, n);
  }
};

/// y_e = Map::value(l_e), dl_e = dy_e Map::slope(l_e, y_e).
template <class Map>
struct elementwise_score {
  /// One score from one logit.
  template <class R>
  FANFOLD_HD R at(R l) const {
    return math::select(l == -math::infinity<R>(), R(0), Map::value(l));  // no branch: loops over it become vector code
  }
  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* l, R* y, std::int64_t n) const {
    for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = at(l[e]);
    g.sync();
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* l, R const* y, R const* dy, R* dl, std::int64_t n) const {
    for (std::int64_t e = g.rank(); e < n; e += g.size())
      dl[e] = l[e] == -math::infinity<R>() ? R(0) : dy[e] * Map::slope(l[e], y[e]);
    g.sync();
  }
};

/// p = y / sum y, computed as softmax(log y), so that scores which underflow keep their shares.
template <class Map>
struct log_normalised_share {
  using share_map = Map;
  static constexpr bool share_is_softmax = false;

  template <row_group G, class R>
  FANFOLD_HD void share(G const& g, R const* l, R* p, std::int64_t n) const {
    for (std::int64_t e = g.rank(); e < n; e += g.size()) p[e] = l[e] == -math::infinity<R>() ? l[e] : Map::log_value(l[e]);
    g.sync();
    softmax_row(g, p, p, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void share_backward(G const& g, R const* l, R const* p, R const* dp, R* dl, std::int64_t n) const {
    softmax_row_vjp(g, p, dp, dl, n);
    for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = l[e] == -math::infinity<R>() ? R(0) : dl[e] * Map::log_slope(l[e]);
    g.sync();
  }
};

struct identity_map {
  template <class R>
  FANFOLD_HD static R value(R l) {
    return l;
  }
  template <class R>
  FANFOLD_HD static R slope(R, R) {
    return R(1);
  }
};

struct relu_map {
  template <class R>
  FANFOLD_HD static R value(R l) {
    return l > R(0) ? l : R(0);
  }
  template <class R>
  FANFOLD_HD static R slope(R l, R) {
    return l > R(0) ? R(1) : R(0);
  }
};

struct sigmoid_map {
  template <class R>
  FANFOLD_HD static R value(R l) {
    return math::sigmoid(l);
  }
  template <class R>
  FANFOLD_HD static R slope(R, R y) {
    return y * (R(1) - y);
  }
  template <class R>
  FANFOLD_HD static R log_value(R l) {
    return -math::softplus(-l);
  }
  template <class R>
  FANFOLD_HD static R log_slope(R l) {
    return math::sigmoid(-l);
  }
};

struct sqrt_softplus_map {
  template <class R>
  FANFOLD_HD static R value(R l) {
    return l == math::infinity<R>() ? l : math::sqrt(math::softplus(l));
  }
  template <class R>
  FANFOLD_HD static R slope(R l, R y) {
    return y == R(0) ? R(0) : math::sigmoid(l) / (R(2) * y);
  }
  // Below -40 softplus(l) is exp(l) to the last bit, and its logarithm l.
  template <class R>
  FANFOLD_HD static R log_value(R l) {
    return l < R(-40) ? l / R(2) : math::log(math::softplus(l)) / R(2);
  }
  template <class R>
  FANFOLD_HD static R log_slope(R l) {
    return l < R(-40) ? R(0.5) : math::sigmoid(l) / (R(2) * math::softplus(l));
  }
};

}  // namespace detail

/// y = softmax(l) = exp(l - max) / sum exp(l - max). Where some logits are +infinity the mass is split evenly over them.
struct softmax_score : detail::softmax_share {
  static constexpr bool monotone = true;
  static constexpr bool nonnegative = true;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* l, R* y, std::int64_t n) const {
    detail::softmax_row(g, l, y, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const*, R const* y, R const* dy, R* dl, std::int64_t n) const {
    detail::softmax_row_vjp(g, y, dy, dl, n);
  }
};

/// y = l.
struct identity_score : detail::elementwise_score<detail::identity_map>, detail::softmax_share {
  static constexpr bool monotone = true;
  static constexpr bool nonnegative = false;
};

/// y = 1 / (1 + exp(-l)).
struct sigmoid_score : detail::elementwise_score<detail::sigmoid_map>, detail::log_normalised_share<detail::sigmoid_map> {
  static constexpr bool monotone = true;
  static constexpr bool nonnegative = true;
};

/// y = sqrt(log(1 + exp(l))).
struct sqrt_softplus_score : detail::elementwise_score<detail::sqrt_softplus_map>,
                             detail::log_normalised_share<detail::sqrt_softplus_map> {
  static constexpr bool monotone = true;
  static constexpr bool nonnegative = true;
};

/// y = max(l, 0). Its share is y itself, which is what an L1 loss sums.
struct relu_score : detail::elementwise_score<detail::relu_map> {
  static constexpr bool monotone = false;
  static constexpr bool nonnegative = true;
  static constexpr bool share_is_softmax = false;

  template <row_group G, class R>
  FANFOLD_HD void share(G const& g, R const* l, R* p, std::int64_t n) const {
    forward(g, l, p, n);
  }
  template <row_group G, class R>
  FANFOLD_HD void share_backward(G const& g, R const* l, R const* p, R const* dp, R* dl, std::int64_t n) const {
    backward(g, l, p, dp, dl, n);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
