// when: tsan
// expect: WARNING: ThreadSanitizer: data race
#include "emulate_bugs/bug.hpp"

// Threads read what their neighbours wrote, without a barrier between.
struct body {
  struct shared {
    fanfold::checked_array<int, 128> x;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, fanfold::view<int> out) const {
    s.x[b.thread()] = static_cast<int>(b.thread());
    out[b.thread()] = s.x[(b.thread() + 1) % b.threads()];
  }
};

int main() {
  std::vector<int> out(128);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 128, fanfold::view<int>(out)); });
}
