// when: asan
// expect: ERROR: AddressSanitizer: heap-buffer-overflow
#include "emulate_bugs/bug.hpp"

// One past the end of the dynamic shared memory, by a raw pointer.
struct body {
  template <fanfold::block B>
  void operator()(B& b, fanfold::view<std::byte> dynamic) const {
    reinterpret_cast<int*>(dynamic.data())[b.thread() + 1] = 1;
  }
};

int main() {
  return bug::run([&](auto const& ex) { ex.launch_dynamic(body{}, 1, 64, 64 * sizeof(int)); });
}
