#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/core/view.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// `h -> slope h + offset`.
template <class T>
struct affine {
  T slope{};
  T offset{};

  template <class Same>
  constexpr bool matches(affine const& other, Same const& same) const {
    return same(slope, other.slope) && same(offset, other.offset);
  }
};

/// A complex number, for host and device.
template <class T>
struct complex_number {
  T re{};
  T im{};

  constexpr complex_number() = default;
  FANFOLD_HD constexpr complex_number(T real, T imaginary = T(0)) : re(real), im(imaginary) {}
  FANFOLD_HD friend constexpr complex_number operator+(complex_number a, complex_number b) { return {a.re + b.re, a.im + b.im}; }
  FANFOLD_HD friend constexpr complex_number operator*(complex_number a, complex_number b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
  FANFOLD_HD constexpr complex_number conjugate() const { return {re, -im}; }

  template <class Same>
  constexpr bool matches(complex_number const& other, Same const& same) const {
    return same(re, other.re) && same(im, other.im);
  }
};

/// Composition of affine maps, the earlier operand applied first: an inclusive scan of maps (a_t, b_t) turns `h_t = a_t h_{t-1} + b_t` into
/// one pass, y_t.offset being h_t for h_0 = 0. T: float, double, complex_number. Associative up to rounding, not commutative.
template <class T>
struct affine_map {
  using input = affine<T>;
  using state = affine<T>;
  using output = affine<T>;
  static constexpr law laws = law::associative;

  FANFOLD_HD constexpr state identity() const { return {T(1), T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& first, state const& then) const {
    return {then.slope * first.slope, then.slope * first.offset + then.offset};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// affine_map elementwise on rows of D numbers (a diagonal slope).
template <class T, int D>
struct diagonal_affine_map {
  using input = affine<small_array<T, D>>;
  using state = input;
  using output = input;
  static constexpr law laws = law::associative;

  FANFOLD_HD constexpr state identity() const { return {small_array<T, D>::filled(T(1)), small_array<T, D>::filled(T(0))}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& first, state const& then) const {
    state s{};
    for (int j = 0; j < D; ++j) {
      s.slope[j] = then.slope[j] * first.slope[j];
      s.offset[j] = then.slope[j] * first.offset[j] + then.offset[j];
    }
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// A dense J x J slope (row-major) and an offset of J numbers.
template <class T, int J>
struct dense_affine {
  T slope[std::size_t{J * J}];
  T offset[std::size_t{J}];

  template <class Same>
  constexpr bool matches(dense_affine const& other, Same const& same) const {
    bool equal = true;
    for (int k = 0; k < J * J; ++k) equal = equal && same(slope[k], other.slope[k]);
    for (int j = 0; j < J; ++j) equal = equal && same(offset[j], other.offset[j]);
    return equal;
  }
};

/// Composition of affine maps of vectors; sums of products run left to right.
template <class T, int J>
struct dense_affine_map {
  using input = dense_affine<T, J>;
  using state = input;
  using output = input;
  static constexpr law laws = law::associative;

  FANFOLD_HD constexpr state identity() const {
    state s{};
    for (int j = 0; j < J; ++j) s.slope[j * J + j] = T(1);
    return s;
  }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD constexpr state combine(state const& first, state const& then) const {
    state s{};
    for (int i = 0; i < J; ++i) {
      for (int j = 0; j < J; ++j) {
        T sum = then.slope[i * J] * first.slope[j];
        for (int k = 1; k < J; ++k) sum = sum + then.slope[i * J + k] * first.slope[k * J + j];
        s.slope[i * J + j] = sum;
      }
      T sum = then.slope[i * J] * first.offset[0];
      for (int k = 1; k < J; ++k) sum = sum + then.slope[i * J + k] * first.offset[k];
      s.offset[i] = sum + then.offset[i];
    }
    return s;
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

/// affine_map for slopes in (0, 1] given as logarithms (gates): long products of slopes stay representable as sums. Items and states are
/// (log a, b).
template <class T>
struct log_affine_map {
  using input = affine<T>;
  using state = affine<T>;
  using output = affine<T>;
  static constexpr law laws = law::associative;

  FANFOLD_HD constexpr state identity() const { return {T(0), T(0)}; }
  FANFOLD_HD constexpr state lift(input const& x) const { return x; }
  FANFOLD_HD state combine(state const& first, state const& then) const {
    return {then.slope + first.slope, math::exp_nonpositive(then.slope) * first.offset + then.offset};
  }
  FANFOLD_HD constexpr output lower(state const& s) const { return s; }
};

namespace detail {

template <class T>
FANFOLD_HD constexpr T conjugate(T x) {
  if constexpr (requires { x.conjugate(); })
    return x.conjugate();
  else
    return x;
}

}  // namespace detail

/// Gradients of `h_t = a_t h_{t-1} + b_t`, t = 1..T, from `g_t = dL/dh_t`: `G_t = g_t + a_{t+1} G_{t+1}`, `db_t = G_t`,
/// `da_t = G_t h_{t-1}`; returns `dh_0 = a_1 G_1` (0 for T = 0). Complex numbers: a and h conjugated. The sequential form.
template <class T>
FANFOLD_HD constexpr T affine_scan_vjp(view<T const> a, view<T const> h, T h0, view<T const> g, view<T> da, view<T> db) {
  T upstream = T(0);
  for (std::int64_t t = a.size() - 1; t >= 0; --t) {
    T const total = g[t] + upstream;
    db[t] = total;
    da[t] = total * detail::conjugate(t > 0 ? h[t - 1] : h0);
    upstream = detail::conjugate(a[t]) * total;
  }
  return upstream;
}

}  // namespace fanfold::inline FANFOLD_ABI
