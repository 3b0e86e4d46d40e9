#pragma once

#include <concepts>
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

/// Maximum of a row; +0 where it is a zero of either sign.
template <row_group G, class R>
FANFOLD_HD R row_max(G const& g, R const* x, std::int64_t n) {
  return g.fold(row_maximum<R>{}, n, element_of<R>{x}) + R(0);
}

/// exp(x - max), with 1 at an infinite maximum.
template <class R>
FANFOLD_HD R exp_below(R x, R max) {
  return x == max ? R(1) : math::exp_nonpositive(x - max);
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
  bool const none = max == -math::infinity<R>();
  for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = none ? R(0) : exp_below(l[e], max);
  R const sum = g.fold(row_sum<R>{}, n, element_of<R>{y});
  for (std::int64_t e = g.rank(); e < n; e += g.size()) y[e] = none ? R(0) : y[e] / sum;
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
