#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fanfold/core/config.hpp"

namespace fanfold::inline FANFOLD_ABI::testing {

/// A reproducible stream of words for tests (a Weyl sequence behind a mixing function); not for use outside of them.
class word_stream {
 public:
  explicit word_stream(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du) {}

  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    x = (x ^ (x >> 32)) * 0xd6e8feb86659fd93u;
    return x ^ (x >> 32);
  }
  /// Uniform in [0, n).
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(next() % static_cast<std::uint64_t>(n)); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

/// Kinds of input on which folds go wrong. Floats: signed zeros, subnormals, the largest finite numbers, infinities, NaN, all equal, a
/// huge offset, alternating cancellation, heavy tails, plain. Integers: small, whole range, extremes, all equal.
template <class T>
struct nasty_values {
  bool non_finite = true;  // infinities and NaN
  bool overflow = true;    // numbers whose sums overflow

  using value_type = T;

  static std::vector<std::string> all_names() {
    if constexpr (std::is_floating_point_v<T>)
      return {"plain", "signed zeros", "subnormals", "all equal", "huge offset", "cancellation", "heavy tails", "largest", "infinities", "NaN"};
    else
      return {"small", "whole range", "all equal", "extremes"};
  }
  int kinds() const {
    if constexpr (!std::is_floating_point_v<T>) return 4;
    return non_finite ? 10 : overflow ? 8 : 7;
  }
  std::string name(int kind) const { return all_names()[static_cast<std::size_t>(kind)]; }

  std::vector<T> operator()(int kind, std::int64_t n, std::uint64_t seed) const {
    std::vector<T> x(static_cast<std::size_t>(n));
    word_stream words(seed * 131u + static_cast<std::uint64_t>(kind));
    for (std::int64_t i = 0; i < n; ++i) {
      if constexpr (std::is_floating_point_v<T>)
        x[static_cast<std::size_t>(i)] = floating(kind, i, words);
      else
        x[static_cast<std::size_t>(i)] = integral(kind, words);
    }
    return x;
  }

 private:
  using limits = std::numeric_limits<T>;

  T floating(int kind, std::int64_t i, word_stream& words) const {
    T const u = static_cast<T>(words.uniform());
    bool const negative = (words.next() & 1u) != 0;
    bool const rare = words.below(8) == 0;
    switch (kind) {
      case 1: return negative ? -T(0) : T(0);
      case 2: return (negative ? -limits::denorm_min() : limits::denorm_min()) * static_cast<T>(words.below(1000));
      case 3: return static_cast<T>(0.1);
      case 4: return static_cast<T>(1e12) + u;
      case 5: return (i % 2 == 0 ? T(1) : T(-1)) * (static_cast<T>(1e8) + (i % 4 < 2 ? T(0) : u));
      case 6: return (negative ? T(-1) : T(1)) * std::ldexp(T(1) + u, static_cast<int>(words.below(60)) - 30);
      case 7: return rare ? (negative ? -(limits::max)() : (limits::max)()) : (u - T(0.5)) * (limits::max)();
      case 8: return rare ? (negative && words.below(3) == 0 ? limits::infinity() : -limits::infinity()) : u - T(0.5);
      case 9: return rare && words.below(8) == 0 ? limits::quiet_NaN() : negative ? -T(0) : u;
      default: return u * T(4) - T(2);
    }
  }
  static T integral(int kind, word_stream& words) {
    std::uint64_t const w = words.next();
    switch (kind) {
      case 1: return static_cast<T>(w);
      case 2: return T(7);
      case 3: return (w & 1u) != 0 ? (limits::max)() : (limits::min)();
      default: return static_cast<T>(w % 20u);
    }
  }
};

/// Items made from nasty values: `make(value, i, words)` gives item i.
template <class T, class Make>
struct items_from {
  nasty_values<T> values{};
  Make make;

  int kinds() const { return values.kinds(); }
  std::string name(int kind) const { return values.name(kind); }
  auto operator()(int kind, std::int64_t n, std::uint64_t seed) const {
    word_stream words(seed + 77u);
    std::vector<std::decay_t<decltype(make(T{}, std::int64_t{}, words))>> items;
    items.reserve(static_cast<std::size_t>(n));
    std::int64_t i = 0;
    for (T const x : values(kind, n, seed)) items.push_back(make(x, i++, words));
    return items;
  }
};
template <class T, class Make>
items_from(nasty_values<T>, Make) -> items_from<T, Make>;

}  // namespace fanfold::inline FANFOLD_ABI::testing
