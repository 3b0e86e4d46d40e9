// when: clean
// expect: all right
#include "emulate_bugs/bug.hpp"

// A correct body that uses every way of communication: nothing may be reported.
struct body {
  struct shared {
    fanfold::checked_array<int, 256> x;
  };
  template <fanfold::block B>
  void operator()(B& b, shared& s, fanfold::view<int> out, int* total) const {
    int local[3] = {1, 2, 3};
    for (int round = 0; round < 4; ++round) {
      s.x[b.thread()] = round + local[round % 3];
      b.sync();
      int mine = s.x[b.threads() - 1 - b.thread()];
      b.sync();
      s.x[b.thread()] = mine;
      b.sync_warp();
      mine = s.x[b.thread() ^ 1];
      mine = b.shuffle_xor(mine, 1) + b.shuffle_down(0, 3) + b.shuffle_up(0, 3);
      if (b.ballot(mine > 0) == 0xffffffffu) b.atomic_add(total, 1);
      b.sync();
      out[fanfold::grid_thread(b)] = mine;
    }
  }
};

int main() {
  std::vector<int> out(256 * 7);
  int total = 0;
  int const result = bug::run([&](auto const& ex) {
    for (int i = 0; i < 3; ++i) ex.launch(body{}, 7, 256, fanfold::view<int>(out), &total);
  });
  if (total == 3 * 4 * 256 * 7) std::printf("all right\n");
  return result;
}
