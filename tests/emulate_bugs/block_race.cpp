// when: tsan
// expect: WARNING: ThreadSanitizer: data race
#include "emulate_bugs/bug.hpp"

// The same thread of neighbouring blocks adds to one place without an atomic.
struct body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::view<int> out) const {
    if (b.thread() == 0) out[0] += 1;
  }
};

int main() {
  std::vector<int> out(1);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 2, 32, fanfold::view<int>(out)); });
}
