#pragma once

#include <concepts>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/row.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// A last factor of the weights: one number, and where `expert` is not empty one more an expert.
struct weight_scale {
  float all = 1;
  view<float const> expert{};

  template <class R>
  FANFOLD_HD R of(std::int32_t id) const {
    R const s = static_cast<R>(all);
    return expert.data() == nullptr ? s : s * static_cast<R>(expert.data()[id]);
  }
};

/// From the values of the chosen experts to combine weights, before the scale. `x` is the row of scores, or of logits where
/// `reads_logits`. `forward(g, x, id, w, K)` sets w, 0 in empty slots; `backward(g, x, id, w, dw, dx, K)` sets dx[id[j]] and leaves the
/// other entries alone (dx holds zeros); w is scratch for K numbers. Only the entries x[id[j]] may be read. `normalises` asks for scores that
/// are not negative. Optional members: `over_logits()`, the map on logits that is the same under softmax_score; `check(E)`; `kinds`, by which
/// rows that hold null experts only count as empty.
template <class N>
concept weight_map = requires(N const m, host_lane const g, float const* x, std::int32_t const* id, float* w, std::int64_t slots) {
  { N::reads_logits } -> std::convertible_to<bool>;
  { N::normalises } -> std::convertible_to<bool>;
  { m.scale } -> std::convertible_to<weight_scale>;
  m.forward(g, x, id, w, slots);
  m.backward(g, x, id, w, x, w, slots);
};

namespace detail {

/// Slot j's value, `empty` where the slot is.
template <class R>
struct chosen_of {
  R const* x;
  std::int32_t const* id;
  R empty;
  FANFOLD_HD R operator()(std::int64_t j) const { return id[j] < 0 ? empty : x[id[j]]; }
};

template <class R>
struct chosen_square {
  R const* x;
  std::int32_t const* id;
  FANFOLD_HD R operator()(std::int64_t j) const { return id[j] < 0 ? R(0) : x[id[j]] * x[id[j]]; }
};

/// x with +infinity as 1 and everything else as 0 where the row holds a chosen +infinity.
template <class R>
FANFOLD_HD R bounded(R x, bool infinite) {
  return !infinite ? x : x == math::infinity<R>() ? R(1) : R(0);
}

}  // namespace detail

/// w = y.
struct raw_weight {
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = false;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = id[j] < 0 ? R(0) : y[id[j]];
    g.sync();
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const*, std::int32_t const* id, R*, R const* dw, R* dy, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (id[j] >= 0) dy[id[j]] = dw[j];
    g.sync();
  }
};

/// The chosen values x as w = softmax(x): exact 0 for a chosen -infinity, mass split evenly over chosen +infinities.
struct softmax_of_selected {
  weight_scale scale{};

  static constexpr bool reads_logits = true;
  static constexpr bool normalises = false;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* l, std::int32_t const* id, R* w, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = id[j] < 0 ? -math::infinity<R>() : l[id[j]];
    g.sync();
    detail::softmax_row(g, w, w, slots);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* l, std::int32_t const* id, R* w, R const* dw, R* dl, std::int64_t slots) const {
    forward(g, l, id, w, slots);
    R const dot = g.fold(detail::row_sum<R>{}, slots, detail::product_of<R>{w, dw});
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (id[j] >= 0) dl[id[j]] = w[j] * (dw[j] - dot);
    g.sync();
  }
};

/// w = y / (sum of the chosen y + eps); a zero sum gives zeros. One slot keeps w = y: a weight of constant 1 would have no gradient.
/// Under softmax_score a router evaluates it as softmax_of_selected on the logits, for any number of slots.
struct sum_norm {
  double eps = 1e-20;
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = true;

  FANFOLD_HD softmax_of_selected over_logits() const { return {scale}; }
  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    if (slots == 1) return raw_weight{}.forward(g, y, id, w, slots);
    R const divisor = prepare(g, y, id, w, slots);
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = divisor == R(0) ? R(0) : w[j] / divisor;
    g.sync();
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* y, std::int32_t const* id, R* w, R const* dw, R* dy, std::int64_t slots) const {
    if (slots == 1) return raw_weight{}.backward(g, y, id, w, dw, dy, slots);
    R const divisor = prepare(g, y, id, w, slots);
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = divisor == R(0) ? R(0) : w[j] / divisor;
    g.sync();
    R const dot = g.fold(detail::row_sum<R>{}, slots, detail::product_of<R>{w, dw});
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (id[j] >= 0) dy[id[j]] = divisor == R(0) ? R(0) : (dw[j] - dot) / divisor;
    g.sync();
  }

 private:
  // w := the chosen scores, made finite; returns their sum + eps, 0 where the sum is 0.
  template <row_group G, class R>
  FANFOLD_HD R prepare(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    R const max = g.fold(detail::row_maximum<R>{}, slots, detail::chosen_of<R>{y, id, R(0)});
    bool const infinite = max == math::infinity<R>();
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = id[j] < 0 ? R(0) : detail::bounded(y[id[j]], infinite);
    g.sync();
    R const sum = g.fold(detail::row_sum<R>{}, slots, detail::element_of<R>{w});
    return sum == R(0) ? R(0) : sum + static_cast<R>(eps);
  }
};

/// w = value in every taken slot; no gradient.
struct constant_weight {
  float value = 1;
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = false;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const*, std::int32_t const* id, R* w, std::int64_t slots) const {
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = id[j] < 0 ? R(0) : static_cast<R>(value);
    g.sync();
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const*, std::int32_t const*, R*, R const*, R*, std::int64_t) const {
    g.sync();
  }
};

/// Tutel's gates: softmax scores, for more than one slot divided by their sum unless `normalise` is off. For softmax_score.
struct tutel_weight {
  bool normalise = true;
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = true;

  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    if (normalise)
      sum_norm{0, {}}.forward(g, y, id, w, slots);
    else
      raw_weight{}.forward(g, y, id, w, slots);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* y, std::int32_t const* id, R* w, R const* dw, R* dy, std::int64_t slots) const {
    if (normalise)
      sum_norm{0, {}}.backward(g, y, id, w, dw, dy, slots);
    else
      raw_weight{}.backward(g, y, id, w, dw, dy, slots);
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
