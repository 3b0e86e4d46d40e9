#pragma once

#include <cstdint>

#include "fanfold/core/bits.hpp"
#include "fanfold/core/config.hpp"
#include "fanfold/core/math.hpp"
#include "fanfold/core/small_array.hpp"
#include "fanfold/monoid/concept.hpp"

namespace fanfold::inline FANFOLD_ABI {

/// A pair of rows that were observed together.
template <class T, int Dx, int Dy>
struct observation {
  small_array<T, Dx> x;
  small_array<T, Dy> y;
};

/// Count, means and `cross[i][j] = sum (x_i - mean x_i)(y_j - mean y_j)`, row-major.
template <int Dx, int Dy>
struct covariance_state {
  std::uint64_t count;
  double mean_x[std::size_t{Dx}];
  double mean_y[std::size_t{Dy}];
  double cross[std::size_t{Dx * Dy}];

  /// Population covariance of x_i and y_j; NaN of no items.
  FANFOLD_HD constexpr double covariance(int i, int j) const { return cross[i * Dy + j] / static_cast<double>(count); }
  FANFOLD_HD constexpr double sample_covariance(int i, int j) const {
    return count < 2 ? math::quiet_nan<double>() : cross[i * Dy + j] / static_cast<double>(count - 1);
  }

  template <class Same>
  constexpr bool matches(covariance_state const& other, Same const& same) const {
    bool equal = count == other.count;
    for (int i = 0; i < Dx; ++i) equal = equal && same(mean_x[i], other.mean_x[i]);
    for (int j = 0; j < Dy; ++j) equal = equal && same(mean_y[j], other.mean_y[j]);
    for (int k = 0; k < Dx * Dy; ++k) equal = equal && same(cross[k], other.cross[k]);
    return equal;
  }
};

namespace detail {

/// The mean of two sides, as in moments: commutative bit for bit, a zero is +0.
FANFOLD_HD constexpr double merge_means(double na, double a, double nb, double b) {
  double const n = na + nb;
  double const h = (b - a) / n;
  return na > nb ? a + h * nb : na < nb ? b - h * na : (na * a + nb * b) / n + 0.0;
}

}  // namespace detail

namespace detail {

FANFOLD_HD constexpr double finite_or_nan(double mean, double value) { return mean - mean == 0.0 ? value : math::quiet_nan<double>(); }

}  // namespace detail

/// Covariances of every x_i with every y_j in one pass, in double (Pebay 2008). Commutative bit for bit; associative up to rounding.
template <int Dx, int Dy = Dx, class T = double>
struct covariance {
  using input = observation<T, Dx, Dy>;
  using state = covariance_state<Dx, Dy>;
  using output = state;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& item) const {
    state s{};
    s.count = 1;
    for (int i = 0; i < Dx; ++i) s.mean_x[i] = static_cast<double>(item.x[i]) + 0.0;
    for (int j = 0; j < Dy; ++j) s.mean_y[j] = static_cast<double>(item.y[j]) + 0.0;
    return s;
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    double const na = static_cast<double>(a.count);
    double const nb = static_cast<double>(b.count);
    double const factor = (na * nb) / (na + nb);
    state s{};
    s.count = a.count + b.count;
    for (int i = 0; i < Dx; ++i) s.mean_x[i] = detail::merge_means(na, a.mean_x[i], nb, b.mean_x[i]);
    for (int j = 0; j < Dy; ++j) s.mean_y[j] = detail::merge_means(na, a.mean_y[j], nb, b.mean_y[j]);
    for (int i = 0; i < Dx; ++i)
      for (int j = 0; j < Dy; ++j) {
        int const k = i * Dy + j;
        s.cross[k] = (a.cross[k] + b.cross[k]) + ((b.mean_x[i] - a.mean_x[i]) * (b.mean_y[j] - a.mean_y[j])) * factor;
      }
    return s;
  }
  /// What an item that is not finite has a part in is NaN, as in moments.
  FANFOLD_HD constexpr output lower(state const& s) const {
    state y = s;
    for (int i = 0; i < Dx; ++i) y.mean_x[i] = detail::finite_or_nan(s.mean_x[i], s.mean_x[i]);
    for (int j = 0; j < Dy; ++j) y.mean_y[j] = detail::finite_or_nan(s.mean_y[j], s.mean_y[j]);
    for (int i = 0; i < Dx; ++i)
      for (int j = 0; j < Dy; ++j) {
        int const k = i * Dy + j;
        y.cross[k] = detail::finite_or_nan(s.mean_x[i], detail::finite_or_nan(s.mean_y[j], s.cross[k]));
      }
    return y;
  }
};

/// Means, spreads and correlation of two variables.
struct correlation_result {
  std::uint64_t count;
  double mean_x;
  double mean_y;
  double m2_x;
  double m2_y;
  double cross;

  FANFOLD_HD constexpr double covariance() const { return cross / static_cast<double>(count); }
  /// Pearson's r; NaN where a variable does not vary.
  FANFOLD_HD double pearson() const {
    return m2_x == 0.0 || m2_y == 0.0 ? math::quiet_nan<double>() : cross / (math::sqrt(m2_x) * math::sqrt(m2_y));
  }

  template <class Same>
  constexpr bool matches(correlation_result const& other, Same const& same) const {
    return count == other.count && same(mean_x, other.mean_x) && same(mean_y, other.mean_y) && same(m2_x, other.m2_x) &&
           same(m2_y, other.m2_y) && same(cross, other.cross);
  }
};

/// Pearson correlation of pairs in one pass, in double. Commutative bit for bit; associative up to rounding.
template <class T = double>
struct correlation {
  struct input {
    T x;
    T y;
  };
  using state = correlation_result;
  using output = correlation_result;
  static constexpr law laws = law::associative | law::commutative;

  FANFOLD_HD constexpr state identity() const { return {}; }
  FANFOLD_HD constexpr state lift(input const& item) const {
    return {1, static_cast<double>(item.x) + 0.0, static_cast<double>(item.y) + 0.0, 0.0, 0.0, 0.0};
  }
  FANFOLD_HD constexpr state combine(state const& a, state const& b) const {
    if (b.count == 0) return a;
    if (a.count == 0) return b;
    double const na = static_cast<double>(a.count);
    double const nb = static_cast<double>(b.count);
    double const factor = (na * nb) / (na + nb);
    double const dx = b.mean_x - a.mean_x;
    double const dy = b.mean_y - a.mean_y;
    return {a.count + b.count,
            detail::merge_means(na, a.mean_x, nb, b.mean_x),
            detail::merge_means(na, a.mean_y, nb, b.mean_y),
            (a.m2_x + b.m2_x) + (dx * dx) * factor,
            (a.m2_y + b.m2_y) + (dy * dy) * factor,
            (a.cross + b.cross) + (dx * dy) * factor};
  }
  /// What an item that is not finite has a part in is NaN, as in moments.
  FANFOLD_HD constexpr output lower(state const& s) const {
    auto const of_x = [&](double v) { return detail::finite_or_nan(s.mean_x, v); };
    auto const of_y = [&](double v) { return detail::finite_or_nan(s.mean_y, v); };
    return {s.count, of_x(s.mean_x), of_y(s.mean_y), of_x(s.m2_x), of_y(s.m2_y), of_x(of_y(s.cross))};
  }
};

}  // namespace fanfold::inline FANFOLD_ABI
