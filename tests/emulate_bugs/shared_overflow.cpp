// when: any
// expect: thrown: fanfold assertion failed
#include "emulate_bugs/bug.hpp"

// One past the end of a shared array, which is inside the next one.
struct body {
  struct shared {
    fanfold::checked_array<int, 64> x, y;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s) const {
    s.x[b.thread() + 1] = 1;
  }
};

int main() {
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 64); });
}
