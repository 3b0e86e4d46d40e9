// expect-error: order::reproducible needs a monoid whose laws include law::bitwise
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

float total(std::vector<float> const& x) {
#ifdef MISTAKE
  return fanfold::fold(fanfold::plus<float>{}, x, fanfold::order::reproducible);
#else
  return fanfold::fold(fanfold::plus<float>{}, x);
#endif
}
