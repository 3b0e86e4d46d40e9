// when: asan
// expect: ERROR: AddressSanitizer: heap-buffer-overflow
#include "emulate_bugs/bug.hpp"

// One past the end of the input, by a raw pointer.
struct body {
  template <fanfold::block B>
  void operator()(B& b, int const* x, fanfold::view<int> y) const {
    y[b.thread()] = x[b.thread() + 1];
  }
};

int main() {
  std::vector<int> x(32), y(32);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 32, static_cast<int const*>(x.data()), fanfold::view<int>(y)); });
}
