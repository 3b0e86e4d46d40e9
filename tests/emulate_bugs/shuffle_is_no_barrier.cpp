// when: tsan
// expect: WARNING: ThreadSanitizer: data race
#include "emulate_bugs/bug.hpp"

// A shuffle moves a value, it does not order memory: sync_warp is missing.
struct body {
  struct shared {
    fanfold::checked_array<int, 32> x;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, fanfold::view<int> out) const {
    s.x[b.thread()] = 1;
    int const first = b.shuffle(static_cast<int>(b.thread()), 0);
    out[b.thread()] = s.x[31 - b.thread()] + first;
  }
};

int main() {
  std::vector<int> out(32);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 32, fanfold::view<int>(out)); });
}
