// when: tsan
// expect: WARNING: ThreadSanitizer: data race
#include "emulate_bugs/bug.hpp"

// The barrier after the reads is missing: the next round writes while others still read.
struct body {
  struct shared {
    fanfold::checked_array<int, 64> x;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, fanfold::view<int> out) const {
    for (int round = 0; round < 2; ++round) {
      s.x[b.thread()] = round;
      b.sync();
      out[b.thread()] += s.x[b.threads() - 1 - b.thread()];
    }
  }
};

int main() {
  std::vector<int> out(64);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 64, fanfold::view<int>(out)); });
}
