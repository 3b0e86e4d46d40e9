// expect-error: order::fixed needs a monoid whose laws include law::associative
#include "fanfold/fold/order.hpp"

struct difference {
  using state = float;
#ifdef MISTAKE
  static constexpr fanfold::law laws = fanfold::law::none;
#else
  static constexpr fanfold::law laws = fanfold::law::associative;
#endif
  float identity() const { return 0; }
  float combine(float a, float b) const { return a - b; }
};

void use() { fanfold::require_laws<fanfold::order::fixed_t, difference>(); }
