#pragma once

#include <cstdint>

#include "fanfold/core/check.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/route/expert_kind.hpp"
#include "fanfold/route/weight.hpp"

/// \file
/// Weights for tables of experts of several kinds: null, copy and constant experts take ids like any other and never enter dispatch.

namespace fanfold::inline FANFOLD_ABI::route {

/// The kind of each expert, in the executor's memory; empty: all real.
struct expert_kinds {
  view<expert_kind const> of{};

  FANFOLD_HD bool null(std::int32_t id) const { return of.data() != nullptr && of.data()[id] == expert_kind::null; }
  FANFOLD_HD bool real(std::int32_t id) const { return of.data() == nullptr || of.data()[id] == expert_kind::real; }
  /// Whether a slot holds an expert that is not null.
  FANFOLD_HD bool takes(std::int32_t id) const { return id >= 0 && !null(id); }
  /// Whether any slot does.
  template <row_group G>
  FANFOLD_HD bool any_taken(G const& g, std::int32_t const* id, std::int64_t slots) const;
  void check(std::int64_t experts) const {
    check_argument(of.data() == nullptr || of.size() == experts, "route::assign", "size of kinds", of.size(), "the number of experts");
  }
};

namespace detail {

struct takes_slot {
  std::int32_t const* id;
  expert_kinds kinds;
  FANFOLD_HD float operator()(std::int64_t j) const { return kinds.takes(id[j]) ? 1.0f : 0.0f; }
};

/// Slot j's value where the slot holds an expert that is not null, else `empty`.
template <class R>
struct taken_of {
  R const* x;
  std::int32_t const* id;
  expert_kinds kinds;
  R empty;
  FANFOLD_HD R operator()(std::int64_t j) const { return kinds.takes(id[j]) ? x[id[j]] : empty; }
};

template <class G, class R>
FANFOLD_HD R slot_dot(G const& g, R const* w, R const* dw, std::int64_t slots) {
  return g.fold(row_sum<R>{}, slots, product_of<R>{w, dw});
}

}  // namespace detail

template <row_group G>
FANFOLD_HD bool expert_kinds::any_taken(G const& g, std::int32_t const* id, std::int64_t slots) const {
  return g.fold(detail::row_maximum<float>{}, slots, detail::takes_slot{id, *this}) > 0;
}

/// softmax over the logits of the chosen experts that are not null; null experts get 0.
struct softmax_of_real {
  expert_kinds kinds{};
  weight_scale scale{};

  static constexpr bool reads_logits = true;
  static constexpr bool normalises = false;

  void check(std::int64_t experts) const { kinds.check(experts); }
  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* l, std::int32_t const* id, R* w, std::int64_t slots) const {
    detail::taken_of<R> const value{l, id, kinds, -math::infinity<R>()};
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = value(j);
    g.sync();
    detail::softmax_row(g, w, w, slots);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* l, std::int32_t const* id, R* w, R const* dw, R* dl, std::int64_t slots) const {
    forward(g, l, id, w, slots);
    R const dot = detail::slot_dot(g, w, dw, slots);
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (id[j] >= 0) dl[id[j]] = w[j] * (dw[j] - dot);  // w is 0 for null experts
    g.sync();
  }
};

/// w = y / (sum of y over the chosen experts that are not null + eps), 0 for null ones; all 0 where none is chosen (AdaMoE, Zeng et al.,
/// 2024). With softmax_score it is evaluated on the logits. Unlike sum_norm it also normalises one slot.
struct sum_norm_real {
  expert_kinds kinds{};
  double eps = 1e-20;
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = true;

  FANFOLD_HD softmax_of_real over_logits() const { return {kinds, scale}; }
  void check(std::int64_t experts) const { kinds.check(experts); }
  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    normalise(g, y, id, w, slots);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* y, std::int32_t const* id, R* w, R const* dw, R* dy, std::int64_t slots) const {
    R const divisor = normalise(g, y, id, w, slots);
    R const dot = detail::slot_dot(g, w, dw, slots);
    for (std::int64_t j = g.rank(); j < slots; j += g.size())
      if (kinds.takes(id[j])) dy[id[j]] = divisor == R(0) ? R(0) : (dw[j] - dot) / divisor;
    g.sync();
  }

 private:
  template <class G, class R>
  FANFOLD_HD R normalise(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    detail::taken_of<R> const value{y, id, kinds, R(0)};
    bool const infinite = g.fold(detail::row_maximum<R>{}, slots, value) == math::infinity<R>();
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = detail::bounded(value(j), infinite);
    g.sync();
    R const sum = g.fold(detail::row_sum<R>{}, slots, detail::element_of<R>{w});
    R const divisor = sum == R(0) ? R(0) : sum + static_cast<R>(eps);
    for (std::int64_t j = g.rank(); j < slots; j += g.size()) w[j] = divisor == R(0) ? R(0) : w[j] / divisor;
    g.sync();
    return divisor;
  }
};

/// MoE++ as released: where a null expert is chosen its weight is 0 and the others are divided by their sum; other rows keep w = y. A row
/// of nothing but null experts gets 0.
struct renormalise_without_null {
  expert_kinds kinds{};
  weight_scale scale{};

  static constexpr bool reads_logits = false;
  static constexpr bool normalises = true;

  void check(std::int64_t experts) const { kinds.check(experts); }
  template <row_group G, class R>
  FANFOLD_HD void forward(G const& g, R const* y, std::int32_t const* id, R* w, std::int64_t slots) const {
    if (any_null(g, id, slots))
      sum_norm_real{kinds, 0, {}}.forward(g, y, id, w, slots);
    else
      raw_weight{}.forward(g, y, id, w, slots);
  }
  template <row_group G, class R>
  FANFOLD_HD void backward(G const& g, R const* y, std::int32_t const* id, R* w, R const* dw, R* dy, std::int64_t slots) const {
    if (any_null(g, id, slots))
      sum_norm_real{kinds, 0, {}}.backward(g, y, id, w, dw, dy, slots);
    else
      raw_weight{}.backward(g, y, id, w, dw, dy, slots);
  }

 private:
  struct null_of {
    std::int32_t const* id;
    expert_kinds kinds;
    FANFOLD_HD float operator()(std::int64_t j) const { return id[j] >= 0 && kinds.null(id[j]) ? 1.0f : 0.0f; }
  };
  template <class G>
  FANFOLD_HD bool any_null(G const& g, std::int32_t const* id, std::int64_t slots) const {
    return g.fold(detail::row_maximum<float>{}, slots, null_of{id, kinds}) > 0;
  }
};

}  // namespace fanfold::inline FANFOLD_ABI::route
