#include "fanfold/emulate/executor.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "fanfold/core/workspace.hpp"
#include "fanfold/kernel/warp.hpp"

namespace {

using fanfold::view;

// Each block reverses its part of x through shared memory.
struct reverse_body {
  struct shared {
    fanfold::checked_array<int, 256> items;
  };
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, shared& s, view<int const> x, view<int> y) const {
    unsigned const n = b.threads(), t = b.thread();
    std::int64_t const first = static_cast<std::int64_t>(b.index()) * n;
    s.items[t] = x[first + t];
    b.sync();
    y[first + t] = s.items[n - 1 - t];
  }
};

struct sum_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, view<std::int64_t const> x, std::int64_t* total) const {
    std::int64_t sum = 0;
    for (std::int64_t i = fanfold::grid_thread(b); i < x.size(); i += fanfold::grid_threads(b)) sum += x[i];
    for (unsigned w = 16; w > 0; w /= 2) sum += b.shuffle_down(sum, w);
    if (fanfold::lane_of(b) == 0) b.atomic_add(total, sum);
  }
};

struct dynamic_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, view<std::byte> bytes, view<int> out) const {
    auto* const mine = reinterpret_cast<int*>(bytes.data());
    if (b.thread() < 32) mine[b.thread()] = static_cast<int>(b.thread());
    b.sync();
    if (b.thread() == 0)
      for (int i = 0; i < 32; ++i) out[i] = mine[31 - i];
  }
};

struct faulty_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, std::uint32_t* status) const {
    if (fanfold::grid_thread(b) == 33) fanfold::raise(b, status, fanfold::data_fault::id_out_of_range);
  }
};

// Lane 5 leaves before the shuffle.
struct lost_lane_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, view<unsigned> out) const {
    if (b.thread() == 5) return;
    out[b.thread()] = b.shuffle_down(b.thread(), 1);
  }
};

struct half_barrier_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b) const {
    if (b.thread() < b.threads() / 2) b.sync();
  }
};

struct mixed_operations_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b) const {
    if (b.thread() % 2 == 0)
      b.sync_warp();
    else
      b.ballot(true);
  }
};

struct unset_shared_body {
  struct shared {
    fanfold::checked_array<float, 4> x;
    int n;
  };
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, shared& s, view<float> x, view<int> n) const {
    if (b.thread() == 0) {
      x[b.index()] = s.x[2];
      n[b.index()] = s.n;
    }
  }
};

struct beyond_body {
  struct shared {
    fanfold::checked_array<int, 32> a, c;
  };
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, shared& s) const {
    s.a[b.thread() + 1] = 1;
    s.c[b.thread()] = 2;
  }
};

std::string message_of(auto const& f) {
  try {
    f();
  } catch (fanfold::assertion_error const& e) {
    return e.what();
  }
  return "nothing thrown";
}

bool contains(std::string const& text, char const* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a launch runs every thread of every block, at any block size and in either order") {
  fanfold::workspace ws;
  for (bool descending : {false, true})
    for (unsigned threads : {32u, 64u, 128u, 256u})
      for (int blocks = 0; blocks <= 7; ++blocks) {
        fanfold::emulate::executor const ex(ws, {.descending = descending});
        std::size_t const n = threads * static_cast<unsigned>(blocks);
        std::vector<int> x(n), y(n, -1), want(n);
        std::iota(x.begin(), x.end(), 100);
        for (std::size_t i = 0; i < n; ++i) want[i] = x[i / threads * threads + threads - 1 - i % threads];
        ex.launch(reverse_body{}, blocks, threads, view<int const>(x), view<int>(y));
        CHECK(y == want);
      }
}

TEST_CASE("shuffles, atomics and grid-stride loops") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<std::int64_t> x(1000);
  std::iota(x.begin(), x.end(), 0);
  std::int64_t total = 0;
  ex.launch(sum_body{}, 2, 64, view<std::int64_t const>(x), &total);
  CHECK(fanfold::fetch(ex, view<std::int64_t>(&total, 1)) == 499500);
}

TEST_CASE("dynamic shared memory") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<int> out(32);
  ex.launch_dynamic(dynamic_body{}, 1, 64, 32 * sizeof(int), view<int>(out));
  for (int i = 0; i < 32; ++i) CHECK(out[static_cast<std::size_t>(i)] == 31 - i);
}

TEST_CASE("threads that can never meet are reported, and the next launch works") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<unsigned> out(64);
  CHECK(contains(message_of([&] { ex.launch(half_barrier_body{}, 3, 128); }),
                 "64 of 128 threads wait at a barrier that the others will not reach (block 0)"));
  CHECK(contains(message_of([&] { ex.launch(lost_lane_body{}, 1, 64, view<unsigned>(out)); }),
                 "31 of 32 lanes wait at a warp operation that the others will not reach, warp 0"));
  CHECK(contains(message_of([&] { ex.launch(mixed_operations_body{}, 1, 32); }), "meet in different warp operations"));
  ex.launch(reverse_body{}, 0, 64, view<int const>(), view<int>());
  std::vector<int> x(64, 3), y(64);
  ex.launch(reverse_body{}, 1, 64, view<int const>(x), view<int>(y));
  CHECK(y == x);
}

TEST_CASE("an index beyond one shared array is an assertion, though it falls into the next") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  if (FANFOLD_CHECKED) CHECK(contains(message_of([&] { ex.launch(beyond_body{}, 1, 32); }), "assertion failed"));
}

TEST_CASE("shared memory starts as large values of alternating sign") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<float> x(2);
  std::vector<int> n(2);
  ex.launch(unset_shared_body{}, 2, 32, view<float>(x), view<int>(n));
  CHECK(x[0] < -1e36f);
  CHECK(x[1] > 1e36f);
  CHECK(n[0] < -1000000);
  CHECK(n[1] > 1000000);
}

TEST_CASE("faults in the data reach fetch once") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<float> x{2.5f};
  ex.launch(faulty_body{}, 1, 64, ex.status());
  CHECK_THROWS_WITH_AS(fanfold::fetch(ex, x), doctest::Contains("an id is out of range"), fanfold::argument_error);
  CHECK(fanfold::fetch(ex, x) == 2.5f);
}

TEST_CASE("fill, copy and fetch of many") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws, {.block_threads = 32, .resident_blocks = 1});
  std::vector<float> x(1000), y(1000), z(1000);
  fanfold::fill(ex, view<float>(x), 7.0f);
  ex.copy(view<float>(y), view<float const>(x));
  fanfold::fetch(ex, view<float const>(y), view<float>(z));
  CHECK(z == std::vector<float>(1000, 7.0f));
  CHECK_THROWS_AS(ex.copy(view<float>(y), view<float const>(x.data(), 3)), fanfold::argument_error);
}

TEST_CASE("a fixed block serves as workspace and holds the status word") {
  std::vector<std::byte> memory(1024);
  fanfold::workspace ws(memory.data(), memory.size());
  std::size_t const before = ws.capacity();
  fanfold::emulate::executor const first(ws), second(ws);
  CHECK(ws.capacity() == before - fanfold::workspace::alignment);
  CHECK(first.status() == second.status());
  CHECK(*first.status() == 0);
  fanfold::workspace none(memory.data(), 0);
  CHECK_THROWS_AS(fanfold::emulate::executor{none}, fanfold::argument_error);
}

TEST_CASE("sort_pairs is stable and looks at the low bits only") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  std::vector<std::uint32_t> const k{5, 1, 0x105, 0, 1};
  std::vector<int> const v{0, 1, 2, 3, 4};
  std::vector<std::uint32_t> sk(5);
  std::vector<int> sv(5);
  sort_pairs(ex, view<std::uint32_t const>(k), view<std::uint32_t>(sk), view<int const>(v), view<int>(sv), 8, ws);
  CHECK(sk == std::vector<std::uint32_t>{0, 1, 1, 5, 0x105});
  CHECK(sv == std::vector<int>{3, 1, 4, 0, 2});
}

TEST_CASE("bad launches are refused") {
  fanfold::workspace ws;
  fanfold::emulate::executor const ex(ws);
  CHECK_THROWS_WITH_AS(ex.launch(half_barrier_body{}, -1, 32), doctest::Contains("number of blocks"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ex.launch(half_barrier_body{}, 1, 33), doctest::Contains("threads of a block"), fanfold::argument_error);
  CHECK_THROWS_WITH_AS(ex.launch(half_barrier_body{}, 1, 512), doctest::Contains("max_threads"), fanfold::argument_error);
}
