// when: any
// expect: sum differs
#include "emulate_bugs/bug.hpp"

// The sum in shared memory is never set to zero.
struct body {
  struct shared {
    float sum;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, fanfold::view<float> out) const {
    if (b.thread() == 0) s.sum += 1;
    b.sync();
    if (b.thread() == 31) out[0] = s.sum;
  }
};

int main() {
  std::vector<float> out(1);
  int const result = bug::run([&](auto const& ex) { ex.launch(body{}, 1, 32, fanfold::view<float>(out)); });
  if (out[0] != 1) std::printf("sum differs: %g\n", static_cast<double>(out[0]));
  return result;
}
