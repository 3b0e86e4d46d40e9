#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fanfold/core/config.hpp"
#include "fanfold/core/ieee.hpp"

namespace fanfold::inline FANFOLD_ABI::testing {

/// Equal representations: -0 differs from +0, any NaN equals any NaN.
struct bitwise {
  template <class T>
  bool operator()(T a, T b, double) const {
    if (is_nan(a) || is_nan(b)) return is_nan(a) && is_nan(b);
    return std::memcmp(&a, &b, sizeof(T)) == 0;
  }
};

/// At most `k` representable numbers apart; both zeros are one number here.
struct ulp {
  double k = 1.0;
  template <class T>
  bool operator()(T a, T b, double) const {
    if (is_nan(a) || is_nan(b)) return is_nan(a) && is_nan(b);
    if (a == b) return true;
    return std::abs(static_cast<double>(monotone_key(a)) - static_cast<double>(monotone_key(b))) <= k;
  }
};

/// `|a - b| <= eps * max(|a|, |b|, scale)`.
struct relative {
  double eps = 1e-12;
  double scale = 0.0;
  template <class T>
  bool operator()(T a, T b, double) const {
    if (is_nan(a) || is_nan(b)) return is_nan(a) && is_nan(b);
    if (a == b) return true;
    double const x = static_cast<double>(a);
    double const y = static_cast<double>(b);
    return std::abs(x - y) <= eps * std::fmax(scale, std::fmax(std::abs(x), std::abs(y)));
  }
};

/// `|a - b| <= eps * sum |items|` over the finite items: the bound of sums, whose result may cancel. Says nothing where that sum overflows,
/// because then whether a partial sum does depends on the order.
struct relative_to_items {
  double eps = 1e-12;
  template <class T>
  bool operator()(T a, T b, double items) const {
    if (!(items <= static_cast<double>((std::numeric_limits<T>::max)()))) return true;
    if (is_nan(a) || is_nan(b)) return is_nan(a) && is_nan(b);
    if (a == b) return true;
    return std::abs(static_cast<double>(a) - static_cast<double>(b)) <= eps * items;
  }
};

/// For carriers that are associative up to rounding, on all kinds of input: whether a result is NaN, an infinity (and which) or finite must
/// agree exactly; finite ones differ by `eps * max(floor, sum of size(item))^power` at most. Says nothing where that bound overflows, because
/// then whether an intermediate result does depends on the order. `size(item)` is a magnitude, 0 of what is not finite.
template <class Size>
struct bounded {
  Size size;
  double eps = 1e-12;
  double floor = 0.0;
  int power = 1;

  template <class T>
  bool operator()(T a, T b, double items) const {
    double bound = eps, scale = std::fmax(floor, items);
    for (int k = 0; k < power; ++k) bound *= scale;
    for (int k = 0; k < power; ++k) scale *= std::fmax(floor, items);  // a merge squares what it works on
    if (!(scale <= static_cast<double>((std::numeric_limits<T>::max)()))) return true;
    if (is_nan(a) || is_nan(b)) return is_nan(a) && is_nan(b);
    if (a == b) return true;
    return std::abs(static_cast<double>(a) - static_cast<double>(b)) <= bound;
  }
};
template <class Size, class... Rest>
bounded(Size, Rest...) -> bounded<Size>;

/// The size of one number.
struct number_size {
  template <class T>
  double operator()(T x) const {
    return is_finite(x) ? std::abs(static_cast<double>(x)) : 0.0;
  }
};

/// Equal in distribution or in guarantee only: `test(answer, answer)` decides over whole answers; states are not compared.
template <class Test>
struct distribution {
  Test test;
};
template <class Test>
distribution(Test) -> distribution<Test>;

namespace detail {

template <class V>
concept range_like = requires(V const& v) {
  v.begin();
  v.end();
  v.size();
};

template <class Leaf>
struct deep_equal {
  Leaf leaf;
  double items = 0.0;

  template <class V>
  bool operator()(V const& a, V const& b) const {
    if constexpr (std::is_floating_point_v<V>) {
      return leaf(a, b, items);
    } else if constexpr (requires { a.matches(b, *this); }) {
      return a.matches(b, *this);
    } else if constexpr (range_like<V>) {
      if (a.size() != b.size()) return false;
      auto j = b.begin();
      for (auto i = a.begin(); i != a.end(); ++i, ++j)
        if (!(*this)(*i, *j)) return false;
      return true;
    } else {
      static_assert(requires { static_cast<bool>(a == b); }, "a state or answer needs matches(other, same) or operator==");
      return a == b;
    }
  }
};

template <class Eq>
inline constexpr bool is_distribution = false;
template <class Test>
inline constexpr bool is_distribution<distribution<Test>> = true;

/// Whether two states, or two answers, are the same thing under `eq`.
template <class V, class Eq>
bool same(V const& a, V const& b, Eq const& eq, double items) {
  if constexpr (is_distribution<Eq>)
    return eq.test(a, b);
  else
    return deep_equal<Eq>{eq, items}(a, b);
}

}  // namespace detail

}  // namespace fanfold::inline FANFOLD_ABI::testing
