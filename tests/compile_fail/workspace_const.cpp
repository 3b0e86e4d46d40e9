// expect-error: no matching function|constraint
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

void use(std::vector<float> const& x, std::vector<float>& out, fanfold::workspace const& fixed, fanfold::workspace& ws) {
#ifdef MISTAKE
  fanfold::fold(fanfold::serial, fanfold::plus<float>{}, x, out, fixed);
#endif
  fanfold::fold(fanfold::serial, fanfold::plus<float>{}, x, out, ws);
  static_cast<void>(fixed);
}
