// expect-error: no matching function|could not convert|no viable conversion|conversion from
#include <vector>

#include "fanfold/core/view.hpp"

void write(fanfold::view<float> x) { x[0] = 1; }

void use(std::vector<float> const& fixed, std::vector<float>& writable) {
#ifdef MISTAKE
  write(fixed);
#endif
  write(writable);
  static_cast<void>(fixed);
}
