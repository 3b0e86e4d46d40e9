#include "fanfold/cuda/executor.cuh"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "cuda/harness.cuh"
#include "fanfold/cuda/sort.cuh"
#include "fanfold/kernel/warp.hpp"

namespace {

struct triple {
  float a;
  std::int64_t b;
  std::uint16_t c;
};

// Every way of communication in one body; lane and block numbers come back as they must.
struct talk_body {
  struct shared {
    fanfold::checked_array<unsigned, 32> sums;
  };
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, shared& s, fanfold::view<std::byte> dynamic, fanfold::view<unsigned> out, std::int64_t* total,
                             std::uint32_t* status) const {
    triple const sent{1.5f, static_cast<std::int64_t>(b.thread()) << 40, static_cast<std::uint16_t>(b.thread())};
    triple const got = b.shuffle_xor(sent, 1);
    bool const right = got.b == static_cast<std::int64_t>(b.thread() ^ 1u) << 40 && got.c == (b.thread() ^ 1u) && got.a == 1.5f;
    if (b.ballot(right) != 0xffffffffu) fanfold::raise(b, status, fanfold::data_fault::other);
    unsigned sum = 0;
    unsigned const before = fanfold::block_exclusive_sum(b, s.sums, 1u, sum);
    auto* const bytes = reinterpret_cast<unsigned*>(dynamic.data());
    bytes[b.thread()] = before + sum;
    b.sync();
    out[fanfold::grid_thread(b)] = bytes[b.threads() - 1 - b.thread()];
    b.atomic_add(total, 1);
  }
};

struct faulty_body {
  template <fanfold::block B>
  FANFOLD_HD void operator()(B& b, std::uint32_t* status) const {
    if (fanfold::grid_thread(b) == 33) fanfold::raise(b, status, fanfold::data_fault::id_out_of_range);
  }
};

}  // namespace

TEST_CASE("bodies talk on the device as in the emulator") {
  support::on_device([](fanfold::cuda::executor const& ex) {
    for (unsigned threads : {32u, 96u, 256u}) {
      fanfold::cuda::buffer<unsigned> out(3 * threads);
      fanfold::cuda::buffer<std::int64_t> total(1);
      fanfold::fill(ex, fanfold::view<std::int64_t>(total), 0);
      ex.launch_dynamic(talk_body{}, 3, threads, threads * sizeof(unsigned), fanfold::view<unsigned>(out), total.data(), ex.status());
      CHECK(fanfold::fetch(ex, total) == 3 * threads);
      std::vector<unsigned> const got = support::download(ex, out);
      for (unsigned i = 0; i < 3 * threads; ++i) CHECK(got[i] == threads - 1 - i % threads + threads);
    }
  });
}

TEST_CASE("faults in the data reach fetch once") {
  support::on_device([](fanfold::cuda::executor const& ex) {
    fanfold::cuda::buffer<float> x(1);
    fanfold::fill(ex, fanfold::view<float>(x), 2.5f);
    ex.launch(faulty_body{}, 1, 64, ex.status());
    CHECK_THROWS_WITH_AS(fanfold::fetch(ex, x), doctest::Contains("an id is out of range"), fanfold::argument_error);
    CHECK(fanfold::fetch(ex, x) == 2.5f);
  });
}

TEST_CASE("sort_pairs is stable and looks at the low bits only") {
  support::device d;
  auto const ex = d.executor();
  auto const k = support::upload(std::vector<std::uint32_t>{5, 1, 0x105, 0, 1});
  auto const v = support::upload(std::vector<int>{0, 1, 2, 3, 4});
  fanfold::cuda::buffer<std::uint32_t> sk(5);
  fanfold::cuda::buffer<int> sv(5);
  sort_pairs(ex, fanfold::view<std::uint32_t const>(k), fanfold::view<std::uint32_t>(sk), fanfold::view<int const>(v),
             fanfold::view<int>(sv), 8, ex.scratch());
  CHECK(support::download(ex, sk) == std::vector<std::uint32_t>{0, 1, 1, 5, 0x105});
  CHECK(support::download(ex, sv) == std::vector<int>{3, 1, 4, 0, 2});
}

TEST_CASE("a workspace over the host heap is refused") {
  fanfold::workspace ws;
  CHECK_THROWS_WITH_AS((fanfold::cuda::executor{nullptr, ws}), doctest::Contains("device memory"), fanfold::argument_error);
}
