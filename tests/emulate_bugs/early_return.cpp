// when: any
// expect: 31 of 32 lanes wait at a warp operation that the others will not reach
#include "emulate_bugs/bug.hpp"

// The last thread has no item and leaves before the shuffle.
struct body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::view<int> x) const {
    if (b.thread() >= x.size()) return;
    x[b.thread()] = b.shuffle_down(x[b.thread()], 1);
  }
};

int main() {
  std::vector<int> x(31);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 1, 32, fanfold::view<int>(x)); });
}
