// when: asan
// expect: ERROR: AddressSanitizer: (dynamic-)?stack-buffer-overflow
#include "emulate_bugs/bug.hpp"

// One past the end of an array on a thread's own stack, after the thread was suspended.
struct body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::view<int> y) const {
    int local[4] = {1, 2, 3, 4};
    int* p = local;
    asm volatile("" : "+r"(p) : : "memory");  // the compiler's own bounds check must not see the array
    b.sync();
    y[b.thread()] = p[b.thread() / 8 + 1];
  }
};

int main() {
  std::vector<int> y(32);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 32, fanfold::view<int>(y)); });
}
