// when: any
// expect: 64 of 128 threads wait at a barrier that the others will not reach
#include "emulate_bugs/bug.hpp"

// Half of the block goes round the barrier.
struct body {
  template <fanfold::block B>
  void operator()(B& b) const {
    if (b.thread() >= 64) b.sync();
  }
};

int main() {
  return bug::run([&](auto const& ex) { ex.launch(body{}, 3, 128); });
}
