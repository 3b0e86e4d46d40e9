// expect-error: no backend of fold for this executor: include <fanfold/kernel/fold.hpp> for device executors
#include <vector>

#include "fanfold/fold/fold.hpp"
#include "fanfold/monoid/arithmetic.hpp"

struct device {
  struct device_executor_tag {};
  fanfold::workspace& scratch() const;
};

void use(device const& gpu, std::vector<float> const& x, std::vector<float>& out) {
#ifdef MISTAKE
  fanfold::fold(gpu, fanfold::plus<float>{}, x, out);
#else
  fanfold::fold(fanfold::serial, fanfold::plus<float>{}, x, out);
  static_cast<void>(gpu);
#endif
}
