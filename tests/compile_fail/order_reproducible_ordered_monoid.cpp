// expect-error: order::reproducible needs a monoid whose laws include law::commutative
#include <vector>

#include "fanfold/fold/fold.hpp"

// The later of two numbers: associative bit for bit, but not commutative.
struct last_one {
  using state = float;
  using input = float;
  using output = float;
  static constexpr fanfold::law laws = fanfold::law::associative | fanfold::law::idempotent | fanfold::law::bitwise;
  float identity() const { return 0; }
  float lift(float x) const { return x; }
  float combine(float, float b) const { return b; }
  float lower(float s) const { return s; }
};

float total(std::vector<float> const& x) {
#ifdef MISTAKE
  return fanfold::fold(last_one{}, x, fanfold::order::reproducible);
#else
  return fanfold::fold(last_one{}, x);
#endif
}
