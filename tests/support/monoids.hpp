#pragma once

#include <cstdint>

#include "fanfold/core/config.hpp"
#include "fanfold/monoid/concept.hpp"

// Small monoids that tests of the engine use, independent of the library's own carriers.
namespace support {

struct float_sum {
  using state = float;
  using input = float;
  using output = float;
  static constexpr fanfold::law laws = fanfold::law::associative | fanfold::law::commutative;
  FANFOLD_HD float identity() const { return -0.0f; }
  FANFOLD_HD float combine(float a, float b) const { return a + b; }
  FANFOLD_HD float lift(float x) const { return x; }
  FANFOLD_HD float lower(float s) const { return s; }
  FANFOLD_HD float empty() const { return 0.0f; }
};

/// The same without the commutative law, so that the ordered tree is taken.
struct ordered_float_sum : float_sum {
  static constexpr fanfold::law laws = fanfold::law::associative;
};

/// x -> a x + b, composed left to right: not commutative, exact for small integers.
struct affine {
  struct state {
    std::int64_t a, b;
    bool operator==(state const&) const = default;
  };
  using input = state;
  using output = state;
  static constexpr fanfold::law laws = fanfold::law::associative | fanfold::law::bitwise;
  FANFOLD_HD state identity() const { return {1, 0}; }
  FANFOLD_HD state combine(state const& f, state const& g) const { return {wrap(g.a * f.a), wrap(g.a * f.b + g.b)}; }
  FANFOLD_HD state lift(state const& x) const { return x; }
  FANFOLD_HD state lower(state const& s) const { return s; }
  FANFOLD_HD static std::int64_t wrap(std::int64_t x) { return x % 10007; }
};

/// No law at all.
struct difference {
  using state = float;
  using input = float;
  using output = float;
  static constexpr fanfold::law laws = fanfold::law::none;
  FANFOLD_HD float identity() const { return 0; }
  FANFOLD_HD float combine(float a, float b) const { return a - b; }
  FANFOLD_HD float lift(float x) const { return x; }
  FANFOLD_HD float lower(float s) const { return s; }
};

}  // namespace support
