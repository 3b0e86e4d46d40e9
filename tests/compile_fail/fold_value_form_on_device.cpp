// expect-error: on a device pass an output view and read it by fetch
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

struct device {
  struct device_executor_tag {};
  fanfold::workspace& scratch() const;
};

float use(device const& gpu, std::vector<float> const& x) {
#ifdef MISTAKE
  return fanfold::fold(gpu, fanfold::plus<float>{}, x);
#else
  static_cast<void>(gpu);
  return fanfold::fold(fanfold::serial, fanfold::plus<float>{}, x);
#endif
}
