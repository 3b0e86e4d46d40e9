#pragma once

#include <cstdint>
#include <type_traits>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"
#include "fanfold/monoid/log_sum_exp.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A score and the value row that it weighs by exp(score).
template <class T, int D>
struct attention_item {
  T score;
  T value[std::size_t{D}];
};

/// Softmax-weighted mean of value rows, and the log-sum-exp of their scores: what partial attention results carry. `Base` tells states
/// with lse in nats from states with lse in bits.
template <class T, int D, class Base = natural_base>
struct attention_result {
  T lse;
  T out[std::size_t{D}];

  template <class Same>
  constexpr bool matches(attention_result const& other, Same const& same) const {
    bool equal = same(lse, other.lse);
    for (int j = 0; j < D; ++j) equal = equal && same(out[j], other.out[j]);
    return equal;
  }
};

/// Unnormalised: `sum exp(x_i - max)` and `sum exp(x_i - max) v_i`.
template <class T, int D, class Base = natural_base>
struct attention_sums {
  T max;
  T sum;
  T out[std::size_t{D}];

  template <class Same>
  constexpr bool matches(attention_sums const& other, Same const& same) const {
    bool equal = same(max, other.max) && same(sum, other.sum);
    for (int j = 0; j < D; ++j) equal = equal && same(out[j], other.out[j]);
    return equal;
  }
};

/// dL/dx_i and dL/dv_i of an attention fold with upstream gradients `out` and `lse`: with `p_i = exp(x_i - lse)`,
/// `dv_i = p_i dout`, `dx_i = p_i (dlse + <dout, v_i - out>)`.
template <class T, int D, class Base>
struct attention_pullback {
  attention_result<T, D, Base> final{};
  attention_result<T, D, Base> gradient{};

  FANFOLD_HD attention_item<T, D> operator()(attention_item<T, D> const& item) const {
    attention_item<T, D> d{};
    if (final.lse == -math::infinity<T>() || item.score == -math::infinity<T>()) return d;
    T const p = math::exp(Base::scale(item.score) - Base::scale(final.lse));
    T dot = T(0);
    for (int j = 0; j < D; ++j) {
      d.value[j] = p * gradient.out[j];
      dot = dot + gradient.out[j] * (item.value[j] - final.out[j]);
    }
    // in base 2 a score counts ln 2 times in the exponent, and lse is divided by it
    d.score = p * (gradient.lse + Base::scale(dot));
    return d;
  }
};

/// Attention over items one by one, unnormalised, D the width of a value row. A masked item (score -infinity) is absent whatever its value.
/// Of no items: zeros and lse -infinity. Commutative bit for bit; associative up to rounding.
template <class T, int D, class Base = natural_base>
struct attention_state {
  static_assert(std::is_floating_point_v<T>);
  using input = attention_item<T, D>;
  using state = attention_sums<T, D, Base>;
  using output = attention_result<T, D, Base>;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const {
    state s{};
    s.max = -math::infinity<T>();
    return s;
  }
  FANFOLD_HD constexpr state lift(input const& item) const {
    if (item.score == -math::infinity<T>()) return identity();
    auto const weight = detail::lift_softmax(Base::scale(item.score));
    state s{weight.max, weight.sum, {}};
    for (int j = 0; j < D; ++j) s.out[j] = item.value[j];
    return s;
  }
  FANFOLD_HD state combine(state const& a, state const& b) const {
    if (b.sum == T(0)) return a;
    if (a.sum == T(0)) return b;
    auto const join = detail::join_softmax(a.max, b.max);
    state s{join.max, a.sum * join.first + b.sum * join.second, {}};
    for (int j = 0; j < D; ++j) s.out[j] = a.out[j] * join.first + b.out[j] * join.second;
    return s;
  }
  FANFOLD_HD output lower(state const& s) const {
    output y{-math::infinity<T>(), {}};
    if (s.sum == T(0)) return y;
    y.lse = Base::unscale(s.max + math::log(s.sum));
    for (int j = 0; j < D; ++j) y.out[j] = s.out[j] / s.sum;
    return y;
  }
  FANFOLD_HD attention_pullback<T, D, Base> fold_vjp(state const& final, output const& g) const { return {lower(final), g}; }
};

/// The factors of a merge of two normalised states: `out = (first out1 + second out2) / total`, or one side as it is where the other has
/// no item.
template <class T>
struct attention_factors {
  enum class side { both, first, second };
  side keep;
  T first;
  T second;
  T total;

  FANFOLD_HD constexpr T operator()(T out1, T out2) const {
    return keep == side::first ? out1 : keep == side::second ? out2 : (first * out1 + second * out2) / total;
  }
};

namespace detail {

/// log(1 + e) for e in [0, 1].
template <class T>
FANFOLD_HD inline T log1p_of_unit(T e) {
  T const s = e / (T(2) + e);
  return e - s * (e - math::detail::log1p_tail(s * s));
}

}  // namespace detail

/// The joined log-sum-exp of two sides, and the factors of their rows.
template <class Base, class T>
FANFOLD_HD inline T join_attention(T lse1, T lse2, attention_factors<T>& f) {
  using side = typename attention_factors<T>::side;
  f = {side::first, T(1), T(0), T(1)};
  if (lse2 == -math::infinity<T>()) return lse1;
  f = {side::second, T(0), T(1), T(1)};
  if (lse1 == -math::infinity<T>()) return lse2;
  auto const j = detail::join_softmax(Base::scale(lse1) + T(0), Base::scale(lse2) + T(0));
  // of two infinite sides nothing says how many items each stands for: no weights
  bool const unknown = lse1 == math::infinity<T>() && lse2 == math::infinity<T>();
  f = {side::both, j.first, j.second, unknown ? math::quiet_nan<T>() : j.first + j.second};
  return Base::unscale(j.max + detail::log1p_of_unit(j.first < j.second ? j.first : j.second));
}

/// Merge of partial attention results `(lse, out)`, as ring attention, split keys and cascades need it. Merging accumulates in T.
/// Commutative bit for bit; associative up to rounding. Two sides of lse +infinity give rows of NaN: their weights are not known.
template <class T, int D, class Base = natural_base>
struct attention_merge {
  static_assert(std::is_floating_point_v<T>);
  using input = attention_result<T, D, Base>;
  using state = attention_result<T, D, Base>;
  using output = attention_result<T, D, Base>;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {-math::infinity<T>(), {}}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x.lse == -math::infinity<T>() ? identity() : x; }
  FANFOLD_HD state combine(state const& a, state const& b) const {
    attention_factors<T> f;
    state s{join_attention<Base>(a.lse, b.lse, f), {}};
    for (int j = 0; j < D; ++j) s.out[j] = f(a.out[j], b.out[j]);
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }

  /// Gradients of the operands of `combine`: `w_k = exp(lse_k - lse)`, `dout_k = w_k dout`, `dlse_k = w_k (dlse + <dout, out_k - out>)`.
  FANFOLD_HD void combine_vjp(state const& a, state const& b, state const& g, state& ga, state& gb) const {
    state const s = combine(a, b);
    side_vjp(s, a, g, ga);
    side_vjp(s, b, g, gb);
  }

 private:
  FANFOLD_HD static void side_vjp(state const& s, state const& side, state const& g, state& out) {
    out = {};
    if (side.lse == -math::infinity<T>()) return;
    T const w = math::exp(Base::scale(side.lse) - Base::scale(s.lse));
    T dot = T(0);
    for (int j = 0; j < D; ++j) {
      out.out[j] = w * g.out[j];
      dot = dot + g.out[j] * (side.out[j] - s.out[j]);
    }
    out.lse = w * (g.lse + Base::scale(dot));
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
