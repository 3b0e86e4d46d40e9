#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/fold/row_group.hpp"

namespace fanfold::inline FANFOLD_ABI::route {

/// The arrays of one row while a row group works on it. `R` is float, or double where the logits are double.
/// `logit` holds the logits with every NaN replaced by -infinity, `adjusted` the ones that scores see (the same array where nothing changes
/// them). A policy function finds its inputs visible to all lanes and leaves its outputs so: it ends with `g.sync()`.
template <class R>
struct row_arrays {
  std::int64_t row = 0;
  std::int64_t experts = 0;
  std::int64_t slots = 0;
  R* logit = nullptr;
  R* adjusted = nullptr;
  R* score = nullptr;
  R* key = nullptr;
  R* share = nullptr;
  R* weight = nullptr;
  R* slot_gradient = nullptr;
  std::int32_t* id = nullptr;
};

/// What a row adds to the statistics besides its choices and shares.
template <class R>
struct row_summary {
  R lse = R(0);
  R entropy = R(0);
  bool degenerate = false;
  bool no_work = false;  // none but null experts chosen
};

namespace detail {

template <class R>
struct row_sum {
  using state = R;
  static constexpr law laws = law::associative | law::commutative;
  FANFOLD_HD constexpr R identity() const { return R(0); }
  FANFOLD_HD constexpr R combine(R a, R b) const { return a + b; }
};

template <class R>
struct row_maximum {
  using state = R;
  static constexpr law laws = law::associative | law::commutative;
  FANFOLD_HD constexpr R identity() const { return -math::infinity<R>(); }
  FANFOLD_HD constexpr R combine(R a, R b) const { return a < b ? b : a; }
};

template <class R>
struct element_of {
  R const* x;
  FANFOLD_HD R operator()(std::int64_t i) const { return x[i]; }
};

template <class R>
struct product_of {
  R const* x;
  R const* y;
  FANFOLD_HD R operator()(std::int64_t i) const { return x[i] * y[i]; }
};

template <int Width, class R>
FANFOLD_HD FANFOLD_INLINE void larger_halves(R* most) {
  for (int i = 0; i < Width; ++i) most[i] = math::select(most[i] < most[i + Width], most[i + Width], most[i]);
  if constexpr (Width > 1) larger_halves<Width / 2>(most);
}

/// Maximum of a row; +0 where it is a zero of either sign. No order of comparing shows in it, so one lane takes a fast one.
template <row_group G, class R>
FANFOLD_HD R row_max(G const& g, R const* x, std::int64_t n) {
  if constexpr (G::size() == 1) {
    constexpr int width = 16;
    if (n >= width) {
      R most[std::size_t{width}];
      for (int i = 0; i < width; ++i) most[i] = x[i];
      for (std::int64_t e = width; e < n; e += width) {
        R const* const next = x + (e + width <= n ? e : n - width);  // the last step may look at items again
        for (int i = 0; i < width; ++i) most[i] = math::select(most[i] < next[i], next[i], most[i]);
      }
      larger_halves<width / 2>(most);
      return most[0] + R(0);
    }
  }
  return g.fold(row_maximum<R>{}, n, element_of<R>{x}) + R(0);
}

/// exp(x - max), with 1 at an infinite maximum.
template <class R>
FANFOLD_HD FANFOLD_INLINE R exp_below(R x, R max) {
  return math::select(x == max, R(1), math::exp_nonpositive(x - max));
}

/// The next items by `Width` at a time, then fewer, so that compilers make vector code of it.
template <int Width, class R>
FANFOLD_HD void exps_below_in_steps(R const* l, R* y, R max, std::int64_t e, std::int64_t n) {
  for (; e + Width <= n; e += Width) {
    R x[std::size_t{Width}];  // y may be l
    for (int i = 0; i < Width; ++i) x[i] = exp_below(l[e + i], max);
    for (int i = 0; i < Width; ++i) y[e + i] = x[i];
  }
  if constexpr (Width > 1) exps_below_in_steps<(Width > 4 ? Width / 2 : 1)>(l, y, max, e, n);
}

/// y = exp_below(l, max), item by item; y may be l.
template <row_group G, class R>
FANFOLD_HD void exps_below(G const& g, R const* l, R* y, R max, std::int64_t n) {
  if constexpr (G::size() == 1)
    exps_below_in_steps<64 / static_cast<int>(sizeof(R))>(l, y, max, 0, n);
  else
    for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = exp_below(l[e], max);
}

template <class R>
struct softmax_sums {
  R max;
  R sum;
};

/// y = softmax(l) for a row with a maximum above -infinity; zeros, and sum 0, for any other. y may be l.
template <row_group G, class R>
FANFOLD_HD softmax_sums<R> softmax_row(G const& g, R const* l, R* y, std::int64_t n) {
  R const max = row_max(g, l, n);
  if (max == -math::infinity<R>()) {
    for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = R(0);
    g.sync();
    return {max, R(0)};
  }
  exps_below(g, l, y, max, n);
  R const sum = g.fold(row_sum<R>{}, n, element_of<R>{y});
  for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = y[e] / sum;
  g.sync();
  return {max, sum};
}

/// dl = y (dy - <y, dy>): the vjp of softmax. dl may be dy.
template <row_group G, class R>
FANFOLD_HD void softmax_row_vjp(G const& g, R const* y, R const* dy, R* dl, std::int64_t n) {
  R const dot = g.fold(row_sum<R>{}, n, product_of<R>{y, dy});
  for (std::int64_t e = g.rank(); e < n; e += g.size()) dl[e] = y[e] * (dy[e] - dot);
  g.sync();
}

template <class R>
struct entropy_term {
  R const* logit;
  R const* probability;
  R max;
  FANFOLD_HD R operator()(std::int64_t e) const {
    return probability[e] == R(0) ? R(0) : probability[e] * (logit[e] - max);
  }
};

/// -sum y log y of y = softmax(l), as log(sum) - sum y (l - max).
template <row_group G, class R>
FANFOLD_HD R softmax_entropy(G const& g, R const* l, R const* y, softmax_sums<R> s, std::int64_t n) {
  return math::log(s.sum) - g.fold(row_sum<R>{}, n, entropy_term<R>{l, y, s.max});
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::route
