// when: tsan
// expect: WARNING: ThreadSanitizer: data race
#include "emulate_bugs/bug.hpp"

// A block reads what the one before wrote in the same launch.
struct body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::view<int> x) const {
    b.sync();
    std::int64_t const i = fanfold::grid_thread(b);
    x[i] = i >= b.threads() ? x[i - b.threads()] + 1 : 0;
    b.sync();
  }
};

int main() {
  std::vector<int> x(128);
  return bug::run([&](auto const& ex) { ex.launch(body{}, 2, 64, fanfold::view<int>(x)); });
}
